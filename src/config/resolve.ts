import { exitCode, messageOf, OperatorError } from "../kit/errors.ts";
import type { Setting } from "./setting.ts";

type Table = Record<string, Setting<unknown>>;
export type Values<T extends Table> = { [K in keyof T]: T[K] extends Setting<infer V> ? V : never };
export type Source = "flag" | `variable ${string}` | "default";

/** One thing that is wrong with the settings: where it stands and what should be. */
export interface Problem {
  place: string;
  text: string;
}

export interface Resolved<T extends Table> {
  values: Values<T>;
  /** Where each value came from. */
  sources: { [K in keyof T]: Source };
  problems: Problem[];
}

/**
 * Flag beats variable beats default; lists add up (spec/02 §6.1). Every problem is found, not only the first;
 * a setting with a problem has its default.
 */
export function resolve<T extends Table>(
  table: T,
  flags: Readonly<Record<string, string | readonly string[] | undefined>>,
  environment: Readonly<Record<string, string | undefined>>,
): Resolved<T> {
  const values: Record<string, unknown> = {};
  const sources: Record<string, Source> = {};
  const problems: Problem[] = [];
  for (const [key, setting] of Object.entries(table)) {
    const flag = flags[setting.flag];
    const flagTexts = flag === undefined ? [] : typeof flag === "string" ? [flag] : flag;
    const variable = setting.env.find((name) => environment[name]);
    const variableText = variable === undefined ? undefined : environment[variable];
    const fromVariable = variableText !== undefined && (setting.many || flagTexts.length === 0);
    const texts =
      setting.many && fromVariable ? [...flagTexts, variableText] : fromVariable ? [variableText] : flagTexts;
    sources[key] = flagTexts.length > 0 ? "flag" : fromVariable ? `variable ${variable}` : "default";
    try {
      values[key] = setting.read(texts);
    } catch (error) {
      const place = fromVariable && flagTexts.length === 0 ? String(variable) : `--${setting.flag}`;
      const shown = setting.secret ? "" : ` "${texts.join(",")}"`;
      problems.push({ place: `${place}${shown}`, text: messageOf(error) });
      values[key] = setting.read([]);
    }
  }
  return { values: values as Values<T>, sources: sources as Resolved<T>["sources"], problems };
}

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
