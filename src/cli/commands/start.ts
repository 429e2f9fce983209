import { Command } from "commander";
import { nextPhase } from "../../agent/lane.ts";
import { settingsError } from "../../config/resolve.ts";
import { type StartSettings, startProblems, startSettings } from "../../config/start-settings.ts";
import { systemClock } from "../../kit/clock.ts";
import { exitCode } from "../../kit/errors.ts";
import { Pulse, serveHealth } from "../../observe/health.ts";
import { humanLog, jsonLog, type Log } from "../../observe/log.ts";
import { type Agent, prepareAgent } from "../agent/agent.ts";
import { narrator } from "../agent/narrate.ts";
import { addSettings, readSettings } from "../command-settings.ts";
import { terminalOf } from "../terminal.ts";
import { version } from "../version.ts";

/** `outpost start`: connects to a control plane and runs its jobs until a signal. */
export function startCommand(): Command {
  const command = new Command("start").description("Connect to a control plane and run its jobs.").addHelpText(
    "after",
    `
Example:
  CODER_URL=https://coder.example.com CODER_PROVISIONER_DAEMON_KEY=… outpost start --slots 4 --job-env 'AWS_*'

Signals: SIGTERM and SIGHUP finish running jobs, then end with 0; SIGINT interrupts them, with their state;
each further signal goes a step further (finish, interrupt, kill).`,
  );
  return addSettings(command, startSettings).action(async () => {
    const resolved = readSettings(command, startSettings, process.env);
    const problems = [...resolved.problems, ...startProblems(resolved)];
    if (problems.length > 0) throw settingsError(problems);
    await start(resolved.values);
  });
}

async function start(settings: StartSettings): Promise<void> {
  const log = makeLog(settings);
  const preparing = new AbortController();
  let agent: Agent | undefined;
  // From the first instant: a signal that comes while the engine is downloaded must not be lost.
  const onSignal = (signal: NodeJS.Signals) => {
    if (!agent) return preparing.abort(new Error(`${signal} before the agent was ready`));
    const phase = nextPhase(agent.lane.phase, signal as "SIGTERM" | "SIGHUP" | "SIGINT");
    const words = {
      running: "",
      draining: "no new jobs",
      stopping: "interrupting jobs, their state is reported",
      killed: "ending jobs now",
    };
    log.write("info", "drain", `${signal}: ${words[phase]}`, { running: agent.lane.busy });
    agent.lane.descend(phase);
  };
  for (const signal of ["SIGTERM", "SIGHUP", "SIGINT"] as const) process.on(signal, onSignal);
  const tell = narrator(log);
  try {
    agent = await prepareAgent(
      settings,
      {
        environment: process.env,
        clock: systemClock,
        random: Math.random,
        version,
        main: process.argv[1] ?? "",
        onFact: tell,
        onDownload: downloadProgress(log),
      },
      preparing.signal,
    );
  } catch (error) {
    if (preparing.signal.aborted) return;
    throw error;
  }
  await using ready = agent;
  say(log, settings, ready);
  const pulse = new Pulse(systemClock);
  await using _health =
    settings.health === "off" ? undefined : await serveHealth(settings.health, pulse, () => ready.notReady);
  await ready.run();
  if (ready.lane.phase === "killed") {
    process.exitCode = exitCode.failed;
    log.write("error", "drain", "jobs were ended before they were reported; what they left is kept", {
      folder: ready.facts.folders.work,
    });
  } else log.write("info", "drain", "drained: every job was reported");
}

function makeLog({ logFormat, verbose }: StartSettings): Log {
  const write = (line: string) => void process.stderr.write(`${line}\n`);
  const least = verbose ? "debug" : "info";
  const human = logFormat === "human" || (logFormat === "auto" && process.stderr.isTTY === true);
  return human ? humanLog(write, least, Date.now) : jsonLog(write, least);
}

/** What an operator wants to see first: who we are, what we run, what jobs see, how to stop. */
function say(log: Log, settings: StartSettings, { facts }: Agent): void {
  const { name, engine, folders, credentials } = facts;
  const names = [...credentials.environment.passed, ...credentials.files];
  const sees = names.length > 0 ? names.join(", ") : "nothing";
  const lines: Array<[string, string]> = [
    ["control plane", settings.url],
    [
      "identity",
      `${name.name}  (${{ setting: "as set", kept: "kept in the state folder", host: "the host name, kept from now on" }[name.source]})`,
    ],
    ["slots", String(settings.slots)],
    [
      "engine",
      `${engine.flavor === "terraform" ? "Terraform" : "OpenTofu"} ${engine.version}  ${engine.path}  (${engine.source})`,
    ],
    [
      "isolation",
      facts.isolation === "none"
        ? "none: jobs run inside the agent"
        : "process: a worker of the same user for each job, no sandbox yet",
    ],
    ["jobs may see", `${settings.credentials}: ${sees}`],
    ["state folder", folders.state],
    ["health", settings.health],
  ];
  const terminal = terminalOf(process.stderr, process.env);
  if (terminal.interactive && settings.logFormat !== "json") {
    terminal.write(`Outpost ${version} (${process.platform}/${process.arch})`);
    for (const [what, text] of lines) terminal.write(`  ${what.padEnd(14)} ${text}`);
  } else {
    log.write(
      "info",
      "agent",
      `outpost ${version} starting`,
      Object.fromEntries(lines.map(([what, text]) => [what.replaceAll(" ", "_"), text])),
    );
  }
  if (name.warning) log.write("warn", "agent", name.warning);
  if (engine.warning) log.write("warn", "agent", engine.warning);
}

/** A line for each tenth: enough for a log, and for a terminal. */
function downloadProgress(log: Log): (received: number, total: number | undefined) => void {
  let said = -1;
  return (received, total) => {
    const tenth = total ? Math.floor((received / total) * 10) : Math.floor(received / 10_000_000);
    if (tenth <= said) return;
    said = tenth;
    log.write(
      "info",
      "engine",
      `downloading Terraform: ${(received / 1e6).toFixed(0)}${total ? ` of ${(total / 1e6).toFixed(0)}` : ""} MB`,
    );
  };
}
