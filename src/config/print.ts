import { type Resolved, withoutPassword } from "./resolve.ts";
import type { Setting, Table } from "./setting.ts";

export interface ShownSetting {
  /** The flag's name. */
  name: string;
  value: string | number | boolean | readonly string[];
  source: string;
}

/** Each effective value and where it came from; secrets are masked, of NAME=VALUE pairs the value. */
export function shownSettings<T extends Table>(table: T, resolved: Resolved<T>): ShownSetting[] {
  return Object.entries<Setting<unknown>>(table).flatMap(([key, setting]) =>
    setting.ignored
      ? []
      : [{ name: setting.flag, value: shown(setting, key, resolved), source: resolved.sources[key] ?? "default" }],
  );
}

function shown<T extends Table>(setting: Setting<unknown>, key: string, resolved: Resolved<T>): ShownSetting["value"] {
  const value: unknown = resolved.values[key];
  if (Array.isArray(value)) {
    const mask = (item: string) => (setting.secret ? item.replace(/^([^=]*)=?.*$/s, "$1=[secret]") : item);
    return value.map((item) => mask(String(item)));
  }
  if (setting.secret) return value ? "[secret]" : "";
  if (typeof value === "boolean") return value;
  if (setting.schema?.["type"] === "integer") return Number(value);
  // As it was written: a duration's value is a count of milliseconds.
  const refused = resolved.problems.some((problem) => problem.setting === setting.flag);
  const text = refused ? undefined : resolved.given[key]?.[0]?.text;
  return withoutPassword(text || setting.defaultText);
}
