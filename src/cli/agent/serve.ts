import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { nextPhase } from "../../agent/lane.ts";
import { logPattern } from "../../config/checks.ts";
import type { StartSettings } from "../../config/start-settings.ts";
import { systemClock } from "../../kit/clock.ts";
import { exitCode } from "../../kit/errors.ts";
import { ReleaseStack } from "../../kit/release-stack.ts";
import { Pulse, serveHealth } from "../../observe/health.ts";
import type { Log } from "../../observe/log.ts";
import { type OpenLog, openLog, type SinkOptions } from "../../observe/log-open.ts";
import { Registry } from "../../observe/metrics.ts";
import { processMetrics } from "../../observe/metrics-process.ts";
import { serveMetrics } from "../../observe/metrics-server.ts";
import { RecentLines } from "../../observe/snapshot-lines.ts";
import { TraceExporter } from "../../observe/trace.ts";
import { traceSettings } from "../../observe/trace-settings.ts";
import { Redactor } from "../../redact/redactor.ts";
import { reportJson } from "../doctor/report.ts";
import { version } from "../version.ts";
import type { Agent } from "./agent.ts";
import { sayStart } from "./banner.ts";
import { AgentView } from "./control.ts";
import type { AgentFact } from "./facts.ts";
import { measure } from "./measure.ts";
import { narrator } from "./narrate.ts";
import type { LifeFact } from "./narrate-voice.ts";
import { prepareAgent } from "./prepare.ts";
import { AgentBoard } from "./snapshot.ts";
import { tracer } from "./trace.ts";

/** Lines of the agent's own log that a support bundle can hold, and their characters. */
const keptLines = { lines: 1_000, chars: 1_000_000 };

/**
 * Runs an agent until its end, with all that listens to it: log, metrics, traces, health, status page, control socket.
 * `style` is `coder` for the drop-in spellings. Signals go down the ladder. Throws OperatorError where a person must act.
 */
export async function serveAgent(settings: StartSettings, style: "outpost" | "coder"): Promise<void> {
  const clock = systemClock;
  const recent = new RecentLines(keptLines.lines, keptLines.chars);
  const opened = openAgentLog(settings, style, recent);
  const { log } = opened;
  const listeners: Array<(fact: AgentFact) => void> = [];
  const tell = narrator(log, style, { jobLogs: settings.jobLogs, clock });
  const board = new AgentBoard(clock);
  listeners.push(tell, board.onFact);

  await using stack = new ReleaseStack();
  stack.add(() => opened.close());
  const metrics = new Registry();
  processMetrics(metrics);
  listeners.push(
    measure(metrics, {
      clock,
      slots: settings.slots,
      personalLabels: settings.metricsPersonalLabels,
      logLinesDropped: () => opened.dropped,
    }),
  );
  if (settings.prometheusEnable) {
    const server = await serveMetrics(settings.prometheusAddress, metrics);
    stack.use(server);
    tell({ kind: "serving", what: "metrics", address: server.address });
  }
  const traces = traceSettings(process.env);
  if (traces) {
    const exporter = new TraceExporter(traces, clock, (text) => log.write("warn", "trace", text));
    stack.use(exporter);
    const add = exporter.add.bind(exporter);
    listeners.push(tracer({ add, clock, randomHex: (bytes) => randomBytes(bytes).toString("hex") }));
  }

  const ladder = new SignalLadder(tell);
  stack.use(ladder);
  const surroundings = {
    environment: process.env,
    clock,
    random: Math.random,
    version,
    main: process.argv[1] ?? "",
    onFact: (fact: AgentFact) => {
      for (const listener of listeners) listener(fact);
    },
    onDownload: downloadProgress(log),
  };
  const agent = await prepareAgent(settings, surroundings, ladder.signal).catch((error: unknown) => {
    if (ladder.signal.aborted) return undefined;
    throw error;
  });
  if (!agent) return;
  stack.use(agent);
  ladder.agent = agent;
  const credential = settings.psk ? "psk" : settings.token ? "token" : "key";
  tell({ kind: "starting", name: agent.facts.name.name, credential, tags: settings.tags });
  if (style === "outpost") sayStart(log, settings, agent.facts);

  const view = new AgentView({
    agent,
    board,
    settings,
    version,
    log: recent,
    clock,
    metrics: () => metrics.text(),
    doctor: () => doctorReport(settings),
  });
  stack.use(await view.serve());
  if (settings.health !== "off") {
    const more = { checks: () => view.checks(), page: view.page };
    const health = await serveHealth(settings.health, new Pulse(clock), () => agent.notReady, more);
    stack.use(health);
    view.healthAddress = health.address;
  }
  await agent.run();
  const clean = agent.lane.phase !== "killed";
  if (!clean) process.exitCode = exitCode.failed;
  tell({ kind: "ended", clean, workFolder: agent.facts.folders.work });
}

/** What `outpost doctor` would say with this agent's settings. */
async function doctorReport(start: StartSettings): Promise<string> {
  const { examine } = await import("../doctor/doctor.ts");
  const surroundings = {
    environment: process.env,
    clock: systemClock,
    random: Math.random,
    version,
    hostName: hostname(),
  };
  const checks = await examine({ start, pre: false, connect: false }, surroundings, () => undefined);
  return reportJson(version, start.url, checks);
}

/** From the first instant: a signal that comes while the engine is downloaded must not be lost. */
class SignalLadder implements Disposable {
  agent: Agent | undefined;
  readonly #preparing = new AbortController();
  readonly #signals = ["SIGTERM", "SIGHUP", "SIGINT"] as const;

  constructor(private readonly tell: (fact: LifeFact) => void) {
    for (const signal of this.#signals) process.on(signal, this.#onSignal);
  }

  /** Aborts when a signal comes before there is an agent. */
  get signal(): AbortSignal {
    return this.#preparing.signal;
  }

  readonly #onSignal = (signal: NodeJS.Signals) => {
    if (!this.agent) return this.#preparing.abort(new Error(`${signal} before the agent was ready`));
    const { lane } = this.agent;
    const phase = nextPhase(lane.phase, signal as "SIGTERM" | "SIGHUP" | "SIGINT");
    if (phase === "draining" || phase === "stopping" || phase === "killed")
      this.tell({ kind: "descending", signal, phase, running: lane.busy });
    lane.descend(phase);
  };

  [Symbol.dispose](): void {
    for (const signal of this.#signals) process.off(signal, this.#onSignal);
  }
}

/** What was set; where nothing was, standard error: for people on a terminal, JSON elsewhere. */
function openAgentLog(settings: StartSettings, style: "outpost" | "coder", recent: RecentLines): OpenLog {
  const { logHuman, logJson, logStackdriver, logFormat } = settings;
  const sinks: SinkOptions[] = [
    { form: style, path: logHuman },
    { form: "json", path: logJson },
    { form: "stackdriver", path: logStackdriver },
  ];
  const set = sinks.filter(({ path }) => path !== "");
  const form = ({ auto: "auto", human: style, json: "json" } as const)[logFormat];
  const redactor = new Redactor();
  redactor.add([settings.key, settings.psk, settings.token].filter(Boolean));
  return openLog({
    sinks: set.length > 0 ? set : [{ form, path: "/dev/stderr" }],
    verbose: settings.verbose,
    filters: settings.logFilter.flatMap((text) => logPattern(text) ?? []),
    now: Date.now,
    streams: { stdout: process.stdout, stderr: process.stderr },
    environment: process.env,
    mask: (line) => redactor.redact(line),
    remember: (line) => recent.add(line),
  });
}

/** A line for each tenth: enough for a log, and for a terminal. */
function downloadProgress(log: Log): (received: number, total: number | undefined) => void {
  let said = -1;
  return (received, total) => {
    const tenth = total ? Math.floor((received / total) * 10) : Math.floor(received / 10_000_000);
    if (tenth <= said) return;
    said = tenth;
    const of = total ? ` of ${(total / 1e6).toFixed(0)}` : "";
    log.write("info", "engine", `downloading Terraform: ${(received / 1e6).toFixed(0)}${of} MB`);
  };
}
