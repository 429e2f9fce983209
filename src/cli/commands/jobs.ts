import { Command, Option } from "commander";
import type { Snapshot } from "../../observe/snapshot.ts";
import { addAgentChoice, ask, chosenSocket } from "../agent/control-client.ts";
import { clipped, harmless, padded, type ShowOptions } from "../show/text.ts";
import { type Terminal, terminalOf } from "../terminal.ts";
import { age, clockTime } from "./status.ts";

type Jobs = Pick<Snapshot, "at" | "running" | "ended">;

/** `outpost jobs`: what runs, and the last jobs that ended. */
export function jobsCommand(): Command {
  const command = new Command("jobs")
    .description("List the jobs that run here and the last 50 that ended.")
    .addOption(new Option("--json", "as JSON"))
    .addHelpText("after", "\nExample:\n  outpost jobs && outpost logs a1b2");
  return addAgentChoice(command).action(async ({ json }: { json?: boolean }) => {
    const jobs = await ask<Jobs>(chosenSocket(command, process.env), "GET", "/jobs");
    if (json) return void process.stdout.write(`${JSON.stringify(jobs, null, 2)}\n`);
    const terminal = terminalOf(process.stdout, process.env);
    for (const line of jobsLines(jobs, terminal)) terminal.write(line);
  });
}

const widths = [7, 10, 9, 24, 13, 8];

/** Running jobs first, then ended ones, newest first. */
export function jobsLines({ at, running, ended }: Jobs, look: ShowOptions & Pick<Terminal, "dim" | "red">): string[] {
  if (running.length + ended.length === 0) return ["no jobs yet"];
  const row = (cells: readonly string[]) => {
    const texts = cells.map((cell, index) => {
      const width = widths[index];
      const text = harmless(cell, look);
      return width === undefined ? text : padded(clipped(text, width - 1, look), width);
    });
    return clipped(texts.join("").trimEnd(), look.columns, look);
  };
  const lines = [look.dim(row(["AT", "JOB", "KIND", "FOR WHOM", "RESULT", "TOOK", "REASON"]))];
  for (const job of running)
    lines.push(
      row(["now", job.id.slice(0, 8), job.kind, job.forWhom, "running", age(at - job.startedAt), job.template]),
    );
  for (const job of ended) {
    const reason = [job.blame, job.reason].filter(Boolean).join(": ");
    const took = age(job.endedAt - job.startedAt);
    const line = row([clockTime(job.endedAt), job.id.slice(0, 8), job.kind, job.forWhom, job.status, took, reason]);
    lines.push(job.status === "succeeded" ? line : look.red(line));
  }
  return lines;
}
