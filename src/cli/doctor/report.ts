import type { Terminal } from "../terminal.ts";
import type { Check, Finding } from "./finding.ts";

const words = { ok: "ok", warn: "warn", fail: "FAIL", skip: "skip" } as const;

type Look = Pick<Terminal, "red" | "green" | "yellow" | "dim" | "columns">;

/** What stands before a check's text: mark, name and the blanks around them. */
const indent = 23;

/** One check: what was found, within the terminal's width, and below it the cause and the cure where a person must act. */
export function checkLines(check: Check, terminal: Look): string[] {
  const paint = { ok: terminal.green, warn: terminal.yellow, fail: terminal.red, skip: terminal.dim }[check.status];
  const code = "code" in check ? `[${check.code}]` : "";
  const [first = "", ...more] = wrap(check.text, terminal.columns - indent, code.length + 2);
  const gap = " ".repeat(code ? Math.max(2, terminal.columns - indent - first.length - code.length) : 0);
  const lines = [
    `  ${paint(words[check.status].padEnd(5))} ${check.name.padEnd(14)} ${first}${gap}${code}`,
    ...more.map((line) => `${" ".repeat(indent)}${line}`),
  ];
  if (check.status === "ok" || check.status === "skip") return lines;
  // Not broken: a cure is often a command to copy.
  if (check.reason) lines.push(`        cause: ${check.reason}`);
  lines.push(`        cure: ${check.cure}`);
  return lines;
}

/** Breaks at blanks; a word that is longer than a line stays whole. The first line leaves room for so many characters. */
function wrap(text: string, width: number, room: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    const fits = lines.length === 1 ? width - room : width;
    if (last !== undefined && last.length + 1 + word.length <= fits) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** `7 ok, 3 warnings, 1 failure, 1 skipped.` */
export function summary(checks: readonly Check[]): string {
  const counted = countOf(checks);
  const parts = [
    `${counted.ok} ok`,
    plural(counted.warn, "warning"),
    plural(counted.fail, "failure"),
    ...(counted.skip > 0 ? [`${counted.skip} skipped`] : []),
  ];
  return `${parts.join(", ")}.`;
}

export function countOf(checks: readonly Check[]): Record<Finding["status"], number> {
  const counted = { ok: 0, warn: 0, fail: 0, skip: 0 };
  for (const { status } of checks) counted[status]++;
  return counted;
}

/** The whole report as one object for programs. `passed`: nothing failed. */
export function reportJson(version: string, url: string, checks: readonly Check[]): string {
  const counted = countOf(checks);
  return JSON.stringify({ version, url, passed: counted.fail === 0, counts: counted, checks });
}

const plural = (count: number, word: string) => `${count} ${word}${count === 1 ? "" : "s"}`;
