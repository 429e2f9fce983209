import { type Changes, type LifeEvent, type StepTime, stageWord } from "./events.ts";

/** What the screen needs of a terminal. */
export interface ScreenTerminal {
  write(line: string): void;
  unicode: boolean;
  dim(text: string): string;
  bold(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
}

/** `0.6 s`, `38 s`, `2 m 05 s`. */
export function timeText(ms: number): string {
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} m ${String(seconds % 60).padStart(2, "0")} s`;
}

/** `812 B`, `1.2 kB`, `3.4 MB`. */
export function sizeText(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1_000_000 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

const plural = (count: number, noun: string) => `${count} ${noun}${count === 1 ? "" : "s"}`;

const stepText = (steps: readonly StepTime[]) =>
  steps.map(({ step, ms }) => `${step} ${(ms / 1000).toFixed(2)}`).join("  ");

function changesText(changes: Changes, left: number): string {
  const parts = [
    changes.made > 0 ? `${changes.made} made` : "",
    changes.changed > 0 ? `${changes.changed} changed` : "",
    changes.destroyed > 0 ? `${changes.destroyed} destroyed` : "",
  ].filter(Boolean);
  if (left === 0 && changes.made === 0) parts.push("nothing left");
  else if (parts.length === 0) parts.push("nothing to do");
  return parts.join(", ");
}

/** Control characters of a template's output must not move the cursor or colour the screen. */
const control =
  /\u001b\[[0-9;?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/** Shows a life on a terminal, line by line; nothing is ever redrawn. `verbose` also shows what init and debug say. */
export function screen(terminal: ScreenTerminal, verbose: boolean): (event: LifeEvent) => void {
  const ok = terminal.unicode ? "✓" : "ok";
  const bad = terminal.unicode ? "✗" : "FAILED";
  return (event) => {
    switch (event.kind) {
      case "ready":
        for (const { what, text } of event.lines) terminal.write(`  ${what.padEnd(10)} ${text}`);
        terminal.write("");
        return;
      case "job-started":
        return;
      case "log": {
        const quiet = stageWord(event.stage) === "init" && event.level === "info";
        if (!verbose && (quiet || event.level === "debug" || event.level === "trace")) return;
        const paint =
          event.level === "error" ? terminal.red : event.level === "warn" ? terminal.yellow : (text: string) => text;
        for (const line of event.text.replace(control, "").split("\n")) {
          if (line.trim() === "") continue;
          terminal.write(`    ${terminal.dim(`${event.job} | ${stageWord(event.stage).padEnd(5)} |`)} ${paint(line)}`);
        }
        return;
      }
      case "job-ended": {
        const mark = event.succeeded ? terminal.green(ok) : terminal.red(bad);
        const what = event.changes ? changesText(event.changes, event.left ?? 0) : "";
        const facts = [
          event.succeeded ? what : "",
          stepText(event.steps),
          event.stateBytes ? `state ${sizeText(event.stateBytes)}` : "",
          event.dailyCost ? `daily cost ${event.dailyCost}` : "",
        ].filter(Boolean);
        terminal.write(
          `${mark} ${terminal.bold(event.job.padEnd(7))} ${timeText(event.ms).padEnd(7)} ${facts.join("   ")}`.trimEnd(),
        );
        if (event.error)
          for (const line of event.error.replace(control, "").split("\n")) terminal.write(terminal.red(`    ${line}`));
        for (const line of event.details) terminal.write(`    ${line}`);
        return;
      }
      case "warning":
        terminal.write(terminal.yellow(`warning: ${event.text}`));
        return;
      case "finished": {
        const own = Math.max(0, event.ms - event.engineMs);
        const times = `Terraform ${timeText(event.engineMs)}, Outpost ${timeText(own)}`;
        if (event.succeeded)
          terminal.write(`${plural(event.jobs, "job")} succeeded in ${timeText(event.ms)}: ${times}`);
        else terminal.write(terminal.red(`failed after ${timeText(event.ms)}`));
        if (event.stateFile) terminal.write(`resources are left; their state: ${event.stateFile}`);
      }
    }
  };
}
