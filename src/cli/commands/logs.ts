import { Command, Option } from "commander";
import { addAgentChoice, chosenSocket, linesOf, refusal, send } from "../agent/control-client.ts";
import { harmless } from "../show/text.ts";
import { terminalOf } from "../terminal.ts";

type Entry = { line: string } | { skipped: number } | { ended: string };

/** `outpost logs`: the last lines of a job, as they are sent to the control plane. */
export function logsCommand(): Command {
  const command = new Command("logs")
    .description("Print the last 1,000 lines of a job that runs, or of one of the last 10 that ended.")
    .argument("<job>", "id of the job, or its first characters (outpost jobs)")
    .addOption(new Option("-f, --follow", "go on until the job has ended"))
    .addHelpText("after", "\nExample:\n  outpost logs a1b2 --follow");
  return addAgentChoice(command).action(async (job: string, { follow }: { follow?: boolean }) => {
    const socket = chosenSocket(command, process.env);
    const path = `/jobs/${encodeURIComponent(job)}/log${follow ? "?follow=1" : ""}`;
    const response = await send(socket, "GET", path, { patient: follow === true });
    const terminal = terminalOf(process.stdout, process.env);
    // `outpost logs JOB | head` ends when head does.
    process.stdout.once("error", () => response.destroy());
    for await (const text of linesOf(socket, response)) {
      if (response.statusCode !== 200) throw refusal(text);
      const entry = JSON.parse(text) as Entry;
      if ("line" in entry) terminal.write(/^ */.exec(entry.line) + harmless(entry.line, terminal));
      else if ("skipped" in entry) terminal.write(terminal.dim(`(${entry.skipped} lines are gone already)`));
      else process.stderr.write(`${terminal.dim(`job ended: ${harmless(entry.ended, terminal)}`)}\n`);
    }
  });
}
