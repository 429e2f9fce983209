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
