import { join } from "node:path";
import { versionText } from "../../contract/versions.ts";
import { flavorNames } from "../../engine/version.ts";
import type { JobEvent, JobResult } from "../../job/events.ts";
import type { Clock } from "../../kit/clock.ts";
import { messageOf } from "../../kit/errors.ts";
import type { LinkEvent, LinkState } from "../../link/events.ts";
import {
  bounds,
  type EndedJob,
  type Figure,
  type JobPart,
  type Problem,
  type RunningJob,
  type Snapshot,
  short,
  type Today,
} from "../../observe/snapshot.ts";
import { RecentLines } from "../../observe/snapshot-lines.ts";
import { MachineReader } from "../../observe/snapshot-machine.ts";
import { cacheLayout } from "../../terraform/provider-cache/layout.ts";
import { listPackages, packagePath } from "../../terraform/provider-cache/package-tree.ts";
import { readRecord } from "../../terraform/provider-cache/record.ts";
import { defaultStoreLimits } from "../../terraform/provider-cache/trim.ts";
import type { AgentFact, AgentFacts } from "./facts.ts";
import type { JobHeader } from "./job-header.ts";

/** One job's log as it is kept for `outpost logs`; with 64 slots and the ended ones below, 20 MB in all. */
const logBounds = { lines: 1_000, chars: 262_144 };
/** Logs of ended jobs that are kept. */
const keptLogs = 10;
/** Durations that today's percentile is made of: the last ones. */
const maxDurations = 1_000;
/** The cache is counted at most this often: one small file per package. */
const cacheEveryMs = 60_000;

interface Running extends RunningJob {
  log: RecentLines;
  /** Why it was interrupted, in one word. */
  blame: string;
}

/** Listens to an agent's facts from the first one on, and tells at any time how it stands. Everything it keeps is bounded. */
export class AgentBoard {
  readonly #clock: Clock;
  readonly #startedAt: number;
  readonly #machine: MachineReader;
  readonly #running = new Map<string, Running>();
  readonly #ended: EndedJob[] = [];
  readonly #logs = new Map<string, RecentLines>();
  readonly #problems: Problem[] = [];
  /** Jobs that left a state which only a person can save. */
  readonly #rescues: Problem[] = [];
  #refused: Problem | undefined;
  #lastLost: { at: number; ms: number; tries: number } | undefined;
  #lostAt: number | undefined;
  #day = "";
  #today: Today = { jobs: 0, failed: 0, byBlame: {} };
  #durations: number[] = [];
  #cache: { at: number; figure?: Figure; counting: boolean } = { at: -Infinity, counting: false };

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedAt = clock.now();
    this.#machine = new MachineReader(clock);
  }

  /** Takes in one fact. */
  readonly onFact = (fact: AgentFact): void => {
    switch (fact.kind) {
      case "link":
        return void this.#link(fact.event);
      case "cache-problem":
        return void this.#problem({ what: fact.text });
      case "job-began":
        return void this.#began(fact.job);
      case "job":
        return void this.#job(fact.job, fact.event);
    }
  };

  /** The log of one job, by id or the unique start of one; words where there is none. */
  log(id: string): RecentLines | string {
    const known = [...this.#running.keys(), ...this.#logs.keys()];
    const found = known.includes(id) ? [id] : known.filter((one) => one.startsWith(id));
    const [first] = found;
    if (first === undefined) return `job "${id}": neither runs nor is one of the last ${keptLogs} that ended`;
    if (found.length > 1) return `job "${id}": ${found.length} jobs begin like this`;
    return this.#running.get(first)?.log ?? this.#logs.get(first) ?? `job "${id}": its log is gone`;
  }

  /** How the agent stands now. */
  snapshot(agent: SeenAgent, settings: SnapshotSettings): Snapshot {
    this.#turnDay();
    const at = this.#clock.now();
    const { facts, link, lane, notReady } = agent;
    const { state } = link;
    const key = state.keyDetails;
    const cache = this.#cacheFigure(facts.folders.cache);
    return {
      at,
      agent: {
        name: facts.name.name,
        organization: settings.organization || key?.organizationId || "",
        version: settings.version,
        startedAt: this.#startedAt,
        isolation: facts.isolation,
        engine: `${flavorNames[facts.engine.flavor]} ${facts.engine.version}`,
        takes: takesWords(key?.tags, settings.tags),
        jobsSee: seesWords(agent, settings.credentials),
        stateFolder: facts.folders.state,
      },
      ready: notReady.length === 0,
      notReady: notReady.map(short),
      phase: lane.phase,
      link: {
        url: settings.url,
        kind: state.kind,
        since: state.since,
        ...(state.serverVersion === undefined ? {} : { server: state.serverVersion }),
        ...(state.apiVersion === undefined ? {} : { protocol: versionText(state.apiVersion) }),
        ...(state.lastError === undefined ? {} : { lastError: short(state.lastError) }),
        ...(this.#lastLost ? { lastLost: this.#lastLost } : {}),
      },
      ...(key
        ? {
            key: { name: key.name, ...(Number.isNaN(key.createdAt) ? {} : { ageMs: Math.max(0, at - key.createdAt) }) },
          }
        : {}),
      slots: settings.slots,
      machine: { ...this.#machine.read(), ...(cache ? { cache } : {}) },
      running: [...this.#running.values()]
        .sort((one, other) => one.slot - other.slot)
        .map(({ log, blame: _, ...job }) => ({
          ...job,
          steps: [...job.steps],
          lines: log.last(bounds.lines).map(short),
        })),
      ended: [...this.#ended],
      today: { ...this.#today, ...percentile(this.#durations) },
      problems: [...this.#problems],
      person: [...(this.#refused ? [this.#refused] : []), ...this.#rescues],
    };
  }

  #link(event: LinkEvent): void {
    const at = this.#clock.now();
    switch (event.kind) {
      case "connected":
        if (this.#lostAt !== undefined)
          this.#lastLost = { at: this.#lostAt, ms: at - this.#lostAt, tries: event.tries };
        this.#lostAt = undefined;
        this.#refused = undefined;
        return;
      case "lost":
        this.#lostAt = at;
        return void this.#problem({ what: `connection lost: ${event.why ?? "closed by the control plane"}` });
      case "dial-failed":
        return void this.#problem({ what: `connect: ${event.why}` });
      case "refused": {
        const { message, code, reason, cure } = event.error;
        const problem = { what: message, code, ...(reason ? { cause: reason } : {}), ...(cure ? { cure } : {}) };
        this.#refused = { at, ...bounded(problem) };
        return void this.#problem(problem);
      }
      case "warning":
        return void this.#problem({ what: event.message });
      case "going-away":
      case "acquire-failed":
      case "key":
        return;
    }
  }

  #began(job: JobHeader): void {
    const now = this.#clock.now();
    const part: JobPart = {
      id: job.id,
      kind: job.kind,
      forWhom: short(job.forWhom),
      template: short(job.template),
      startedAt: now,
      steps: [],
    };
    const log = new RecentLines(logBounds.lines, logBounds.chars);
    this.#running.set(job.id, { ...part, slot: job.slot, heardAt: now, lines: [], log, blame: "" });
  }

  #job(header: JobHeader, event: JobEvent): void {
    const job = this.#running.get(header.id);
    if (!job) return;
    const now = this.#clock.now();
    switch (event.kind) {
      case "step-began":
        if (job.steps.length < bounds.steps) job.steps.push({ name: event.step });
        job.heardAt = now;
        return;
      case "step-ended": {
        const at = job.steps.findLastIndex(({ name, ms }) => name === event.step && ms === undefined);
        if (at >= 0) job.steps[at] = { name: event.step, ms: Math.round(event.ms), ok: event.ok };
        return;
      }
      case "progress":
        job.done = event.done;
        job.total = event.total;
        return;
      case "log":
        if (event.line.output === "") return;
        job.heardAt = now;
        job.log.add(event.line.output);
        return;
      case "interrupted":
        job.interrupted = short(event.text);
        job.blame = event.reason;
        return;
      case "warning":
        return void this.#problem({ what: event.text }, header);
      case "logs-dropped":
        return void this.#problem(
          { what: `${event.lines} log lines dropped: the control plane does not take them` },
          header,
        );
      case "result":
        return void this.#finished(job, header, event.result);
    }
  }

  #finished(job: Running, header: JobHeader, result: JobResult): void {
    const { id, kind, forWhom, template, startedAt, steps, log } = job;
    const endedAt = this.#clock.now();
    const good = result.status === "succeeded";
    const blame = good ? "" : blameOf(result, job.blame);
    const reason = short(result.error ?? result.unconfirmed ?? "");
    const { status } = result;
    this.#running.delete(id);
    this.#ended.unshift({ id, kind, forWhom, template, startedAt, steps, endedAt, status, blame, reason });
    this.#ended.length = Math.min(this.#ended.length, bounds.ended);
    log.end(good ? "succeeded" : `${status}${reason ? `: ${reason}` : ""}`);
    this.#logs.delete(id);
    this.#logs.set(id, log);
    for (const old of this.#logs.keys()) if (this.#logs.size > keptLogs) this.#logs.delete(old);
    this.#turnDay();
    this.#today.jobs++;
    if (!good) {
      this.#today.failed++;
      this.#today.byBlame[blame] = (this.#today.byBlame[blame] ?? 0) + 1;
    } else if (kind === "start") {
      this.#durations.push(endedAt - startedAt);
      if (this.#durations.length > maxDurations) this.#durations.shift();
    }
    if (result.unconfirmed) this.#problem({ what: `job unconfirmed: ${result.unconfirmed}` }, header);
    if (!result.rescue) return;
    const what = "its state was not taken by the control plane: a person must save it";
    const cause = "what the job left is kept in the work folder";
    this.#problem({ what, cause }, header);
    this.#rescues.unshift({ at: endedAt, ...bounded({ what, cause }), job: id, forWhom });
    this.#rescues.length = Math.min(this.#rescues.length, bounds.problems);
  }

  /** The same problem again is one, at its newest time. */
  #problem(problem: Omit<Problem, "at">, job?: JobHeader): void {
    const about = job ? { job: job.id, forWhom: short(job.forWhom) } : {};
    const fresh: Problem = { at: this.#clock.now(), ...bounded(problem), ...about };
    const same = this.#problems.findIndex((one) => one.what === fresh.what && one.job === fresh.job);
    if (same >= 0) this.#problems.splice(same, 1);
    this.#problems.unshift(fresh);
    this.#problems.length = Math.min(this.#problems.length, bounds.problems);
  }

  #turnDay(): void {
    const day = new Date(this.#clock.now()).toDateString();
    if (day === this.#day) return;
    this.#day = day;
    this.#today = { jobs: 0, failed: 0, byBlame: {} };
    this.#durations = [];
  }

  /** The last count; a new one is made beside, when it is due. */
  #cacheFigure(folder: string): Figure | undefined {
    const now = this.#clock.monotonic();
    if (!this.#cache.counting && now - this.#cache.at >= cacheEveryMs) {
      this.#cache = { ...this.#cache, at: now, counting: true };
      void countCache(folder)
        .then((used) => {
          this.#cache.figure = { used, of: defaultStoreLimits.maxBytes };
        })
        // A cache that can't be read is told by who uses it.
        .catch((error: unknown) => this.#problem({ what: `count provider cache: ${messageOf(error)}` }))
        .finally(() => {
          this.#cache.counting = false;
        });
    }
    return this.#cache.figure;
  }
}

/** What a snapshot needs of an agent. */
export interface SeenAgent {
  facts: AgentFacts;
  link: { state: LinkState };
  lane: { phase: string };
  notReady: string[];
}

/** What a snapshot shows of the settings. */
export interface SnapshotSettings {
  version: string;
  url: string;
  organization: string;
  tags: readonly string[];
  slots: number;
  credentials: string;
}

async function countCache(folder: string): Promise<number> {
  const { packages } = cacheLayout(folder);
  let bytes = 0;
  for (const id of await listPackages(packages)) {
    const record = await readRecord(join(packages, packagePath(id)));
    for (const { size } of record?.files ?? []) bytes += Number(size);
  }
  return bytes;
}

function bounded(problem: Omit<Problem, "at">): Omit<Problem, "at"> {
  const { what, cause, cure } = problem;
  return {
    ...problem,
    what: short(what),
    ...(cause === undefined ? {} : { cause: short(cause) }),
    ...(cure === undefined ? {} : { cure: short(cure) }),
  };
}

function blameOf({ status, code }: JobResult, interrupted: string): string {
  if (status === "unconfirmed") return "unconfirmed";
  if (interrupted) return interrupted;
  return code === "INSUFFICIENT_QUOTA" ? "quota" : "template";
}

function percentile(durations: readonly number[]): { p95BuildMs?: number } {
  if (durations.length === 0) return {};
  const sorted = [...durations].sort((one, other) => one - other);
  return { p95BuildMs: sorted[Math.ceil(sorted.length * 0.95) - 1] ?? 0 };
}

function takesWords(ofKey: Readonly<Record<string, string>> | undefined, ofSettings: readonly string[]): string {
  const tags = ofKey ? Object.entries(ofKey).map(([name, value]) => `${name}=${value}`) : ofSettings;
  if (tags.length > 0) return `jobs whose tags are all in {${tags.join(", ")}}; no untagged jobs`;
  return ofKey ? "untagged jobs only: the key has no tags" : "";
}

function seesWords({ facts: { credentials } }: SeenAgent, word: string): string {
  const names = [
    ...credentials.environment.passed,
    ...credentials.files.map((file) => file.slice(0, file.indexOf("="))),
    ...(credentials.command ? ["what --job-command prints"] : []),
  ];
  return `${word}: ${names.length > 0 ? names.join(", ") : "nothing of the agent's environment"}`;
}
