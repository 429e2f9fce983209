/**
 * One setting, described once: the flag, the variables, the check, the help and the docs' table all come from here.
 * `parse` turns one text into a value or throws an Error whose message says what is and what should be.
 */
export interface Setting<T> {
  /** Environment variables, the first that is set wins: ours before Coder's. */
  env: readonly string[];
  /** Long flag without dashes; "" where a setting must not stand on a command line. */
  flag: string;
  short?: string;
  /** What stands behind the flag in help, such as PATH; "" for a switch. */
  argument: string;
  help: string;
  /** What help shows as the default; "" for none. */
  defaultText: string;
  /** Never shown. */
  secret: boolean;
  /** Many values: flags and variable add up, each one CSV record (spec/02 §6.1). */
  many: boolean;
  read(texts: readonly string[]): T;
}

type Described = { env: readonly string[]; flag: string; short?: string; help: string; argument?: string };

function single<T>(about: Described, fallback: T, defaultText: string, parse: (text: string) => T): Setting<T> {
  return {
    argument: "VALUE",
    secret: false,
    many: false,
    ...about,
    defaultText,
    read: (texts) => (texts[0] === undefined ? fallback : parse(texts[0])),
  };
}

/** A text; empty counts as not set. `check` returns what is wrong, or undefined. */
export const text = (
  about: Described & { fallback?: string; check?: (value: string) => string | undefined },
): Setting<string> =>
  single(about, about.fallback ?? "", about.fallback ?? "", (value) => {
    const problem = value === "" ? undefined : about.check?.(value);
    if (problem) throw new Error(problem);
    return value === "" ? (about.fallback ?? "") : value;
  });

/** A text that is never shown. */
export const secretText = (about: Described): Setting<string> => ({
  ...single(about, "", "", (value) => value),
  secret: true,
});

/** A switch: present, or true/false/1/0. */
export const toggle = (about: Described & { fallback?: boolean }): Setting<boolean> =>
  single({ ...about, argument: "" }, about.fallback ?? false, about.fallback ? "true" : "", (value) => {
    if (/^(true|1|t|)$/i.test(value)) return true;
    if (/^(false|0|f)$/i.test(value)) return false;
    throw new Error("must be true or false");
  });

/** A whole number within bounds. */
export const whole = (about: Described & { fallback: number; min: number; max: number }): Setting<number> =>
  single({ argument: "N", ...about }, about.fallback, String(about.fallback), (value) => {
    const number = Number(value);
    if (!Number.isInteger(number) || number < about.min || number > about.max)
      throw new Error(`must be a whole number from ${about.min} to ${about.max}`);
    return number;
  });

/** One of a few words. */
export const choice = <const W extends string>(about: Described & { words: readonly W[]; fallback: W }): Setting<W> =>
  single({ argument: about.words.join("|"), ...about }, about.fallback, about.fallback, (value) => {
    const word = about.words.find((candidate) => candidate === value);
    if (word === undefined) throw new Error(`must be one of ${about.words.join(", ")}`);
    return word;
  });

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** A duration in Go's form (`1h30m`, `90s`, `250ms`), in milliseconds; `0` and, where that is the default, "" mean off. */
export const duration = (about: Described & { fallbackMs: number; fallbackText: string }): Setting<number> =>
  single({ argument: "DURATION", ...about }, about.fallbackMs, about.fallbackText, (value) => {
    if (value === "0") return 0;
    if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(value)) throw new Error("must be a duration such as 90s, 10m or 1h30m");
    let total = 0;
    for (const [, number, unit] of value.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g))
      total += Number(number) * unitMs[unit as keyof typeof unitMs];
    return total;
  });

/** Many texts; each flag and the variable is one CSV record. `check` looks at each. */
export const list = (about: Described & { check?: (value: string) => string | undefined }): Setting<string[]> => ({
  argument: "VALUE",
  secret: false,
  ...about,
  many: true,
  defaultText: "",
  read: (texts) => {
    const values = texts.flatMap(csvRecord);
    for (const value of values) {
      const problem = about.check?.(value);
      if (problem) throw new Error(problem);
    }
    return values;
  },
});

/** Splits one CSV record: commas part, double quotes hold, two of them mean one. */
export function csvRecord(record: string): string[] {
  if (record === "") return [];
  const fields: string[] = [];
  const field = /\s*(?:"((?:[^"]|"")*)"|([^",]*))\s*(,|$)/y;
  while (field.lastIndex <= record.length) {
    const match = field.exec(record);
    if (!match) throw new Error(`must be a list parted by commas, quotes in pairs`);
    fields.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? "");
    if (match[3] !== ",") break;
  }
  return fields;
}
