/** What one value of the file may be, as JSON Schema says it. */
export type Schema = Readonly<Record<string, unknown>>;

/**
 * One setting, described once: the flag, the variables, the key in the file, the check, the help, the file's schema and the
 * docs' table all come from here. The key in the file is the flag's name.
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
  /** Of one value in the file; undefined for a setting that can't stand there. */
  schema: Schema | undefined;
  /** Accepted because Coder has it, and without effect. */
  ignored: boolean;
  /** Texts into a value; throws an Error whose message says what should be. */
  read(texts: readonly string[]): T;
}

/** Settings by the names that the code uses. */
export type Table = Readonly<Record<string, Setting<unknown>>>;

type Described = {
  env: readonly string[];
  flag: string;
  short?: string;
  help: string;
  argument?: string;
  schema?: Schema | undefined;
};

function single<T>(about: Described, fallback: T, defaultText: string, parse: (text: string) => T): Setting<T> {
  return {
    argument: "VALUE",
    secret: false,
    many: false,
    schema: { type: "string" },
    ignored: false,
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
  single(
    { schema: { type: "boolean" }, ...about, argument: "" },
    about.fallback ?? false,
    String(about.fallback ?? false),
    (value) => {
      if (/^(true|1|t|)$/i.test(value)) return true;
      if (/^(false|0|f)$/i.test(value)) return false;
      throw new Error("must be true or false");
    },
  );

/** A whole number within bounds. */
export const whole = (about: Described & { fallback: number; min: number; max: number }): Setting<number> =>
  single(wholeForm(about), about.fallback, String(about.fallback), (value) => {
    const number = Number(value);
    if (!/^\d+$/.test(value) || number < about.min || number > about.max)
      throw new Error(`must be a whole number from ${about.min} to ${about.max}`);
    return number;
  });

const wholeForm = <A extends { min: number; max: number }>(about: A) => ({
  argument: "N",
  schema: { type: "integer", minimum: about.min, maximum: about.max },
  ...about,
});

/** One of a few words. */
export const choice = <const W extends string>(about: Described & { words: readonly W[]; fallback: W }): Setting<W> =>
  single(choiceForm(about), about.fallback, about.fallback, (value) => {
    const word = about.words.find((candidate) => candidate === value);
    if (word === undefined) throw new Error(`must be one of ${about.words.join(", ")}`);
    return word;
  });

const choiceForm = <A extends { words: readonly string[] }>(about: A) => ({
  argument: about.words.join("|"),
  schema: { enum: about.words },
  ...about,
});

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

const durationPattern = /^(\d+(\.\d+)?(ms|s|m|h))+$/;
const durationForm = <A>(about: A) => ({
  argument: "DURATION",
  schema: { anyOf: [{ type: "string", pattern: `${durationPattern.source}|^0$` }, { const: 0 }] },
  ...about,
});

/** A duration in Go's form (`1h30m`, `90s`, `250ms`), in milliseconds; `0` and, where that is the default, "" mean off. */
export const duration = (about: Described & { fallbackMs: number; fallbackText: string }): Setting<number> =>
  single(durationForm(about), about.fallbackMs, about.fallbackText, (value) => {
    if (value === "0") return 0;
    if (!durationPattern.test(value)) throw new Error("must be a duration such as 90s, 10m or 1h30m");
    let total = 0;
    for (const [, number, unit] of value.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g))
      total += Number(number) * unitMs[unit as keyof typeof unitMs];
    return total;
  });

/** Many texts; each flag and the variable is one CSV record. `check` looks at each. */
export const list = (
  about: Described & { secret?: boolean; check?: (value: string) => string | undefined },
): Setting<string[]> => ({
  argument: "VALUE",
  secret: false,
  schema: { type: "array", items: { type: "string" } },
  ignored: false,
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

/** A setting of Coder's that has no effect there or here: any value is accepted, without a word (spec/02 §6.1). */
export const ignored = (about: Omit<Described, "help"> & { fallback?: string }): Setting<string> => ({
  ...single({ ...about, help: "accepted and ignored" }, about.fallback ?? "", about.fallback ?? "", (value) => value),
  schema: undefined,
  ignored: true,
});

/** The same setting with another default. */
export const withDefault = <T>(setting: Setting<T>, fallback: string): Setting<T> => ({
  ...setting,
  defaultText: fallback,
  read: (texts) => setting.read(texts.length > 0 ? texts : [fallback]),
});

/** One text as a CSV record of its own. */
export const csvField = (text: string): string => `"${text.replaceAll('"', '""')}"`;

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
