import { type Command, Option } from "commander";
import { readSettingsFile } from "../config/file.ts";
import { didYouMean } from "../config/nearest-name.ts";
import { type Problem, type Resolved, resolve } from "../config/resolve.ts";
import type { Setting, Table } from "../config/setting.ts";
import { settingGroups, startSettings } from "../config/start-settings.ts";

/** Adds a flag for each setting of the table; help shows the variables and the default. */
export function addSettings(command: Command, table: Table): Command {
  for (const setting of Object.values(table)) command.addOption(optionOf(setting));
  return command;
}

/**
 * The same for a command that takes every setting and no arguments, with help in groups. Flags of other names are accepted
 * here and are problems of `readStartSettings`: so that they are told together with everything else that is wrong.
 */
export function addStartSettings(command: Command, table: typeof startSettings): Command {
  for (const [key, setting] of Object.entries(table)) {
    const group = settingGroups.find((candidate) => key in candidate.table);
    command.addOption(group ? optionOf(setting).helpGroup(`${group.title}:`) : optionOf(setting));
  }
  return command.allowUnknownOption().allowExcessArguments();
}

function optionOf(setting: Setting<unknown>): Option {
  const short = setting.short ? `-${setting.short}, ` : "";
  const argument = setting.argument ? ` <${setting.argument}>` : " [true|false]";
  const fallback = setting.defaultText ? ` (default ${setting.defaultText})` : "";
  const help = `${setting.help}${fallback} [${setting.env.join(", ")}]`;
  const option = new Option(`${short}--${setting.flag}${argument}`, help).hideHelp(setting.ignored);
  return setting.many
    ? option.argParser((value: string, before: string[] | undefined) => [...(before ?? []), value])
    : option;
}

/** Reads the table from a parsed command, an environment, and the file that one of them names. */
export function readSettings<T extends Table>(
  command: Command,
  table: T,
  environment: Readonly<Record<string, string | undefined>>,
): Resolved<T> {
  const flags: Record<string, string | string[] | undefined> = {};
  for (const setting of Object.values(table)) {
    const name = optionOf(setting).attributeName();
    if (command.getOptionValueSource(name) !== "cli") continue;
    const value: unknown = command.opts()[name];
    // A switch without a value is true, one that is called no-… false.
    flags[setting.flag] = typeof value === "boolean" ? "true" : (value as string | string[]);
  }
  const path = flags["config"] ?? environment["OUTPOST_CONFIG"];
  // Checked against every setting: one file serves all commands.
  const file = typeof path === "string" && path ? readSettingsFile(path, startSettings) : undefined;
  const resolved = resolve(table, flags, environment, file?.values);
  return { ...resolved, problems: [...(file?.problems ?? []), ...resolved.problems] };
}

/** Reads what `addStartSettings` added. */
export function readStartSettings(
  command: Command,
  table: typeof startSettings,
  environment: Readonly<Record<string, string | undefined>>,
): Resolved<typeof startSettings> {
  const resolved = readSettings(command, table, environment);
  return { ...resolved, problems: [...unknownWords(command), ...resolved.problems] };
}

/** What stands on the command line and is nothing that the command knows. */
function unknownWords(command: Command): Problem[] {
  const names = command.options.map(({ long }) => (long ?? "").slice(2));
  return command.args.flatMap((word, index) => {
    if (!word.startsWith("-")) {
      // The value of an unknown flag is told by the flag.
      return command.args[index - 1]?.startsWith("-") ? [] : [{ place: `"${word}"`, text: "no arguments are taken" }];
    }
    const [flag = ""] = word.split("=", 1);
    return [{ place: flag, text: `no such flag${didYouMean(flag.replace(/^-+/, ""), names, "--")}` }];
  });
}
