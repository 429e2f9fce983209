import { type Command, Option } from "commander";
import { type Resolved, resolve } from "../config/resolve.ts";
import type { Setting } from "../config/setting.ts";

type Table = Record<string, Setting<unknown>>;

/** Adds a flag for each setting of the table; help shows the variables and the default. */
export function addSettings(command: Command, table: Table): Command {
  for (const setting of Object.values(table)) {
    const short = setting.short ? `-${setting.short}, ` : "";
    const argument = setting.argument ? ` <${setting.argument}>` : " [true|false]";
    const from = `${setting.help}${setting.defaultText ? ` (default ${setting.defaultText})` : ""} [${setting.env.join(", ")}]`;
    const option = new Option(`${short}--${setting.flag}${argument}`, from);
    if (setting.many) option.argParser((value: string, before: string[] | undefined) => [...(before ?? []), value]);
    command.addOption(option);
  }
  return command;
}

/** Reads the table from a parsed command and an environment. */
export function readSettings<T extends Table>(
  command: Command,
  table: T,
  environment: Readonly<Record<string, string | undefined>>,
): Resolved<T> {
  const flags: Record<string, string | string[] | undefined> = {};
  for (const setting of Object.values(table)) {
    const name = new Option(`--${setting.flag} <x>`).attributeName();
    const value: unknown = command.opts()[name];
    // A switch without a value is true.
    flags[setting.flag] = value === true ? "true" : (value as string | string[] | undefined);
  }
  return resolve(table, flags, environment);
}
