import { Command, Option } from "commander";
import type { Problem, RunningJob, Snapshot } from "../../observe/snapshot.ts";
import { addAgentChoice, ask, chosenSocket } from "../agent/control-client.ts";
import { clipped, harmless, padded, type ShowOptions } from "../show/text.ts";
import { type Terminal, terminalOf } from "../terminal.ts";

/** A job without a word for so long is shown as quiet. */
const quietMs = 300_000;

/** `outpost status`: how the agent on this machine stands. */
export function statusCommand(): Command {
  const command = new Command("status")
    .description("Show how the agent on this machine stands.")
    .addOption(new Option("--json", "the whole snapshot as JSON"))
    .addOption(
      new Option("--web", "print the address of the status page, with the token that shows names").conflicts("json"),
    )
    .addHelpText("after", "\nExample:\n  outpost status --json | jq .today");
  return addAgentChoice(command).action(async ({ json, web }: { json?: boolean; web?: boolean }) => {
    const socket = chosenSocket(command, process.env);
    if (web) return void process.stdout.write(`${(await ask<{ url: string }>(socket, "GET", "/web")).url}\n`);
    const snapshot = await ask<Snapshot>(socket, "GET", "/status");
    if (json) return void process.stdout.write(`${JSON.stringify(snapshot, null, 2)}\n`);
    const terminal = terminalOf(process.stdout, process.env);
    for (const line of statusLines(snapshot, terminal)) terminal.write(line);
  });
}

type Look = ShowOptions & Pick<Terminal, "bold" | "dim" | "red" | "green" | "yellow">;

/** A whole line, harmless and cut to the width. */
const shown = (look: ShowOptions, text: string): string => clipped(harmless(text, look), look.columns, look);

/** The snapshot as people read it, at most `columns` wide. */
export function statusLines(snapshot: Snapshot, look: Look): string[] {
  const { agent, link, today, slots, running } = snapshot;
  const lines = [...headLines(snapshot, look), ""];
  lines.push(look.dim(shown(look, slotRow(["SLOT", "JOB", "KIND", "FOR WHOM", "STAGE", "AGE", "LAST LINE"], look))));
  const bySlot = new Map(running.map((job) => [job.slot, job]));
  for (let slot = 1; slot <= slots; slot++) {
    const job = bySlot.get(slot);
    const row = shown(look, job ? slotRow(jobCells(job, snapshot.at), look) : `${slot}    free`);
    lines.push(job && isQuiet(job, snapshot.at) ? look.yellow(row) : row);
  }
  const blames = Object.entries(today.byBlame).map(([blame, count]) => `${count} ${blame}`);
  const failed = `${today.failed} failed${blames.length > 0 ? ` (${blames.join(", ")})` : ""}`;
  const p95 = today.p95BuildMs === undefined ? "" : `   p95 build ${age(today.p95BuildMs)}`;
  lines.push("", shown(look, `today  ${today.jobs} ${today.jobs === 1 ? "job" : "jobs"}, ${failed}${p95}`));
  const { lastLost } = link;
  if (lastLost) {
    const tries = lastLost.tries === 1 ? "1 try" : `${lastLost.tries} tries`;
    lines.push(shown(look, `link   last lost ${clockTime(lastLost.at)} for ${age(lastLost.ms)} (${tries})`));
  }
  if (agent.takes) lines.push(shown(look, `takes  ${agent.takes}`));
  for (const problem of snapshot.person) lines.push(...personLines(problem, look));
  return lines;
}

function headLines({ at, agent, link, key, machine, notReady, ready, phase, ...rest }: Snapshot, look: Look): string[] {
  const dot = look.unicode ? " · " : " - ";
  const state = ready ? "READY" : phase === "running" ? "NOT READY" : phase.toUpperCase();
  const connection = link.kind === "connected" ? `connected ${longAge(at - link.since)}` : link.kind;
  const who = [agent.name, agent.organization, state, connection, `v${agent.version}`];
  if (link.protocol) who.push(`protocol ${link.protocol}`);
  who.push(agent.isolation);
  const paint = ready ? look.green : look.red;
  // Painted after it was cut: escape sequences have no width.
  const head = shown(look, who.filter(Boolean).join(dot)).replace(state, paint(state));
  const gib = (bytes: number) => (bytes / 1024 ** 3).toFixed(1);
  const figures = [`slots ${rest.running.length}/${rest.slots}`];
  if (machine.cpu) figures.push(`cpu ${machine.cpu.used.toFixed(1)}/${machine.cpu.of}`);
  if (machine.memory) figures.push(`memory ${gib(machine.memory.used)}/${gib(machine.memory.of)} GiB`);
  if (machine.cache) figures.push(`cache ${gib(machine.cache.used)}/${gib(machine.cache.of)} GiB`);
  if (key) figures.push(`key "${key.name}"${key.ageMs === undefined ? "" : ` ${longAge(key.ageMs)}`}`);
  return [head, shown(look, figures.join("   ")), ...notReady.map((why) => look.red(shown(look, `! ${why}`)))];
}

const widths = [5, 9, 8, 22, 12, 8];

function slotRow(cells: readonly string[], look: ShowOptions): string {
  return cells
    .map((cell, index) => {
      const width = widths[index];
      const text = harmless(cell, look);
      return width === undefined ? text : padded(clipped(text, width - 1, look), width);
    })
    .join("");
}

function jobCells(job: RunningJob, at: number): string[] {
  const whom = [job.forWhom, job.kind === "import" || job.kind === "dry-run" ? job.template : ""];
  const quiet = isQuiet(job, at) ? `! quiet for ${age(at - job.heardAt)}` : undefined;
  const interrupted = job.interrupted ? `! interrupted: ${job.interrupted}` : undefined;
  const last = interrupted ?? quiet ?? job.lines.at(-1) ?? "";
  return [
    String(job.slot),
    job.id.slice(0, 8),
    job.kind,
    whom.filter(Boolean).join(" "),
    stage(job),
    age(at - job.startedAt),
    last,
  ];
}

const isQuiet = (job: RunningJob, at: number) => at - job.heardAt >= quietMs;

/** The step that runs, with the resources that are done. */
function stage({ steps, done, total }: RunningJob): string {
  const now = steps.findLast(({ ms }) => ms === undefined) ?? steps.at(-1);
  if (!now) return "";
  return now.name === "apply" && total ? `apply ${done ?? 0}/${total}` : now.name;
}

function personLines({ what, cause, cure, code, forWhom }: Problem, look: Look): string[] {
  const about = forWhom ? `${forWhom}: ` : "";
  const lines = [look.red(shown(look, `! ${about}${what}${code ? `  [${code}]` : ""}`))];
  const indented = (name: string, text: string) =>
    `  ${clipped(harmless(`${name}  ${text}`, look), look.columns - 2, look)}`;
  if (cause) lines.push(indented("cause", cause));
  // A command must stay whole: it is there to be pasted.
  if (cure) lines.push(`  cure   ${harmless(cure, look)}`);
  return lines;
}

/** `4s`, `1m12s`, `3h05m`. */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  const two = (value: number) => String(value).padStart(2, "0");
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  return `${Math.floor(seconds / 3_600)}h${two(Math.floor(seconds / 60) % 60)}m`;
}

/** `3 d 4 h` from a day on, else as `age`. */
function longAge(ms: number): string {
  const hours = Math.floor(ms / 3_600_000);
  return hours < 24 ? age(ms) : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Local time of day, `14:09`. */
export const clockTime = (ms: number): string => new Date(ms).toTimeString().slice(0, 5);
