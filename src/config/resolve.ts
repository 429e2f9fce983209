import { exitCode, messageOf, OperatorError } from "../kit/errors.ts";
import type { Setting, Table } from "./setting.ts";

export type Values<T extends Table> = { [K in keyof T]: T[K] extends Setting<infer V> ? V : never };
export type Source =
  | "flag"
  | `variable ${string}`
  | `flag and variable ${string}`
  /** With line and column of the value. */
  | `file ${string}`
  | "default";

/** One thing that is wrong with the settings: where it stands and what should be. */
export interface Problem {
  place: string;
  text: string;
  /** The flag's name of the setting whose value is wrong; absent for a rule between settings. */
  setting?: string;
}

/** A value of one setting as it was written: a CSV record for a list. */
export interface Given {
  text: string;
  /** Flag, variable, or file with line and column. */
  place: string;
  /** As a person wrote it, where that is not the text. */
  shown?: string;
}

/** What a settings file holds, by flag names. */
export type FileValues = ReadonlyMap<string, { at: string; given: readonly Given[] }>;

export interface Resolved<T extends Table> {
  values: Values<T>;
  /** Where each value came from. */
  sources: { [K in keyof T]: Source };
  /** What was written for each; empty for a default. */
  given: { [K in keyof T]: readonly Given[] };
  problems: Problem[];
}

/**
 * Flag beats variable beats file beats default. Lists of flags and the variable add up (spec/02 §6.1); the file's list counts
 * only where neither is given. Every problem is found, not only the first; a setting with a problem has its default.
 */
export function resolve<T extends Table>(
  table: T,
  flags: Readonly<Record<string, string | readonly string[] | undefined>>,
  environment: Readonly<Record<string, string | undefined>>,
  file: FileValues = new Map(),
): Resolved<T> {
  const values: Record<string, unknown> = {};
  const sources: Record<string, Source> = {};
  const written: Record<string, readonly Given[]> = {};
  const problems: Problem[] = [];
  for (const [key, setting] of Object.entries(table)) {
    const { source, given } = find(setting, flags[setting.flag], environment, file);
    const wrong = given.flatMap((one) => problemWith(setting, one));
    problems.push(...wrong);
    sources[key] = source;
    written[key] = given;
    values[key] = setting.read(wrong.length > 0 ? [] : given.map(({ text }) => text));
  }
  return { values, sources, given: written, problems } as unknown as Resolved<T>;
}

function find(
  setting: Setting<unknown>,
  flag: string | readonly string[] | undefined,
  environment: Readonly<Record<string, string | undefined>>,
  file: FileValues,
): { source: Source; given: readonly Given[] } {
  const texts = flag === undefined ? [] : typeof flag === "string" ? [flag] : flag;
  const flags = texts.map((text) => ({ text, place: `--${setting.flag}` }));
  const name = setting.env.find((candidate) => environment[candidate]);
  const variable = name ? [{ text: environment[name] ?? "", place: name }] : [];
  if (flags.length > 0 && name && setting.many)
    return { source: `flag and variable ${name}`, given: [...flags, ...variable] };
  if (flags.length > 0) return { source: "flag", given: flags };
  if (name) return { source: `variable ${name}`, given: variable };
  const stands = file.get(setting.flag);
  return stands ? { source: `file ${stands.at}`, given: stands.given } : { source: "default", given: [] };
}

function problemWith(setting: Setting<unknown>, { text, place, shown = text }: Given): Problem[] {
  try {
    setting.read([text]);
    return [];
  } catch (error) {
    const quoted = setting.secret ? "" : ` "${withoutPassword(shown)}"`;
    return [{ place: `${place}${quoted}`, text: messageOf(error), setting: setting.flag }];
  }
}

/** A URL may carry a user name and a password: neither is shown. */
export const withoutPassword = (text: string): string => text.replaceAll(/\/\/[^/@\s]*@/g, "//[secret]@");

/** All problems as one error: a line each. */
export function settingsError(problems: readonly Problem[]): OperatorError {
  const lines = problems.map(({ place, text }) => `  ${place}: ${text}`);
  const count = problems.length === 1 ? "1 setting is wrong" : `${problems.length} settings are wrong`;
  return new OperatorError(`${count}\n${lines.join("\n")}`, {
    code: "OUT-SETTINGS",
    exit: exitCode.usage,
    cure: "outpost start --help shows every setting",
  });
}
