import type { OperatorError } from "../kit/errors.ts";

/** What the terminal at one stream can do (NO_COLOR, FORCE_COLOR, and words in place of marks where there is no UTF-8). */
export interface Terminal {
  write(line: string): void;
  interactive: boolean;
  unicode: boolean;
  columns: number;
  dim(text: string): string;
  bold(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
}

export function terminalOf(
  stream: NodeJS.WriteStream,
  environment: Readonly<Record<string, string | undefined>>,
): Terminal {
  const forced = environment["FORCE_COLOR"];
  const color = environment["NO_COLOR"] ? false : forced ? forced !== "0" : stream.isTTY === true;
  const locale = environment["LC_ALL"] || environment["LC_CTYPE"] || environment["LANG"] || "";
  const paint = (open: number, close: number) => (text: string) =>
    color ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  return {
    write: (line) => void stream.write(`${line}\n`),
    interactive: stream.isTTY === true,
    unicode: /utf-?8/i.test(locale) || process.platform === "darwin",
    columns: Math.min(stream.columns || 100, 100),
    dim: paint(2, 22),
    bold: paint(1, 22),
    red: paint(31, 39),
    green: paint(32, 39),
    yellow: paint(33, 39),
  };
}

/** An error as people see it: what failed with its code, the cause, the cure. Never a stack trace for what isn't a bug. */
export function errorLines(error: OperatorError, terminal: Pick<Terminal, "bold" | "red" | "columns">): string[] {
  const [head = "", ...more] = error.message.split("\n");
  const plain = `error: ${head}`;
  const code = `[${error.code}]`;
  const gap = Math.max(2, terminal.columns - plain.length - code.length);
  const lines = [`${terminal.red("error:")} ${terminal.bold(head)}${" ".repeat(gap)}${code}`, ...more];
  if (error.reason) lines.push(`  cause  ${error.reason}`);
  if (error.cure) lines.push(`  cure   ${error.cure}`);
  return lines;
}
