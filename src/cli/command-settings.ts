import { type Command, Option } from "commander";
import { readSettingsFile } from "../config/file.ts";
import { didYouMean } from "../config/nearest-name.ts";
import { type Problem, type Resolved, resolve } from "../config/resolve.ts";
import type { Setting, Table } from "../config/setting.ts";

/**
 * Adds a flag for each setting of the table; help shows the variables and the default. Flags of other names are accepted
 * here, and are problems of `readSettings`: so that they are told together with everything else that is wrong.
 */
export function addSettings(
  command: Command,
  table: Table,
  groups: ReadonlyArray<{ title: string; table: Table }> = [],
): Command {
  for (const [key, setting] of Object.entries(table)) {
    const option = optionOf(setting);
    const group = groups.find((candidate) => key in candidate.table);
    if (group) option.helpGroup(`${group.title}:`);
    if (setting.ignored) option.hideHelp();
    if (setting.many) option.argParser((value: string, before: string[] | undefined) => [...(before ?? []), value]);
    command.addOption(option);
  }
  return command.allowUnknownOption().allowExcessArguments();
}

function optionOf(setting: Setting<unknown>): Option {
  const short = setting.short ? `-${setting.short}, ` : "";
  const argument = setting.argument ? ` <${setting.argument}>` : " [true|false]";
  const fallback = setting.defaultText ? ` (default ${setting.defaultText})` : "";
  return new Option(`${short}--${setting.flag}${argument}`, `${setting.help}${fallback} [${setting.env.join(", ")}]`);
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
  const file = typeof path === "string" && path ? readSettingsFile(path, table) : undefined;
  const resolved = resolve(table, flags, environment, file?.values);
  return { ...resolved, problems: [...unknownWords(command), ...(file?.problems ?? []), ...resolved.problems] };
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
