export type Level = "debug" | "info" | "warn" | "error";
export type FieldValue = string | number | boolean | undefined | Readonly<Record<string, string>> | readonly string[];
export type Fields = Readonly<Record<string, FieldValue>>;

/** The agent's own log. `logger` says which part speaks: link, job, runner; empty for the agent as a whole. */
export interface Log {
  write(level: Level, logger: string, message: string, fields?: Fields): void;
}

/** One line before it has a form. `at` in Unix milliseconds. */
export interface Entry {
  at: number;
  level: Level;
  logger: string;
  message: string;
  fields: Fields;
}

const rank: Record<Level, number> = { debug: 0, info: 1, warn: 2, error: 3 };

/** For people: time, level, who, what, fields. */
export function humanLog(write: (line: string) => void, least: Level, now: () => number): Log {
  return {
    write: (level, logger, message, fields = {}) => {
      if (rank[level] < rank[least]) return;
      const time = new Date(now()).toTimeString().slice(0, 8);
      const details = Object.entries(fields).flatMap(([key, value]) =>
        value === undefined || value === "" ? [] : [`${key}=${quote(value)}`],
      );
      write([time, level.padEnd(5), logger.padEnd(5), message, ...details].join(" "));
    },
  };
}

function quote(value: FieldValue): string {
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return /^[\w.:/@+-]*$/.test(text) ? text : JSON.stringify(text);
}
