import type { Terminal } from "../terminal.ts";
import type { Check, Finding } from "./finding.ts";

const words = { ok: "ok", warn: "warn", fail: "FAIL", skip: "skip" } as const;

/** One check: a line of what was found, and below it the cause and the cure where a person must act. */
export function checkLines(
  check: Check,
  terminal: Pick<Terminal, "red" | "green" | "yellow" | "dim" | "columns">,
): string[] {
  const paint = { ok: terminal.green, warn: terminal.yellow, fail: terminal.red, skip: terminal.dim }[check.status];
  const head = `${words[check.status].padEnd(5)} ${check.name.padEnd(14)} ${check.text}`;
  const painted = `  ${paint(words[check.status].padEnd(5))} ${check.name.padEnd(14)} ${check.text}`;
  if (check.status === "ok" || check.status === "skip") return [painted];
  const code = `[${check.code}]`;
  const gap = " ".repeat(Math.max(2, terminal.columns - head.length - 2 - code.length));
  const lines = [`${painted}${gap}${code}`];
  if (check.reason) lines.push(`        cause: ${check.reason}`);
  lines.push(`        cure: ${check.cure}`);
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
