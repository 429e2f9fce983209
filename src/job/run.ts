import { stages } from "../contract/stages.ts";
import { LogLevel } from "../gen/provisioner_pb.ts";
import type { AcquiredJob } from "../gen/provisionerd_pb.ts";
import type { Clock } from "../kit/clock.ts";
import { messageOf } from "../kit/errors.ts";
import type { Redactor } from "../redact/redactor.ts";
import type { Provisioner } from "../session/types.ts";
import { runBuild } from "./build.ts";
import type { Completion } from "./completion.ts";
import { runDryRun } from "./dry-run.ts";
import type { JobEvent, JobResult } from "./events.ts";
import { type Failure, summaryOf } from "./failures.ts";
import { identityOf, jobFromWire } from "./from-wire.ts";
import { runImport } from "./import.ts";
import { Interruption } from "./interruption.ts";
import type { Job, JobIdentity } from "./job.ts";
import { Ledger } from "./ledger.ts";
import { type Outcome, outcomeOf, type Settled } from "./outcome.ts";
import { notePhase, type Pipeline } from "./pipeline.ts";
import type { ControlPlane, JobJournal } from "./ports.ts";
import { foresee, type Reported, type ReportNeeds, report } from "./report.ts";
import { secretsOf } from "./secrets.ts";
import { Steps } from "./steps.ts";
import { Updates } from "./updates.ts";

export interface JobSettings {
  /** Longest silence between two answered updates while all is well; 4 s. */
  heartbeatMs: number;
  /** Longest wait of a log line before it is sent; 250 ms. */
  flushMs: number;
  jobTimeoutMs?: number | undefined;
  silenceTimeoutMs?: number | undefined;
  /** From an interrupt to giving the running step up. */
  cancelTimeoutMs: number;
  /** What a success after a gap becomes that the control plane may have ended the job in (spec/02 §5.13). */
  lateComplete: "safe" | "complete";
}

export interface JobNeeds {
  controlPlane: ControlPlane;
  provisioner: Provisioner;
  journal: JobJournal;
  clock: Clock;
  /** Yields [0, 1). */
  random: () => number;
  settings: JobSettings;
  /** Masks all that is logged or reported; whoever learns of a further secret adds it before the job can print it. */
  redactor: Redactor;
  /** First line of the log: agent, version, engine, isolation, names of credentials. */
  intro: string;
  onEvent: (event: JobEvent) => void;
}

/** From its end, a session has this long to leave nothing behind; its worker was told to end, or ended, long before. */
const closeMs = 60_000;

/**
 * Runs one job from its message to the answer to its terminal message. Never rejects: what happens to a job, or to us
 * while we run it, is in the result. `stop` interrupts the job, which is then reported with its state; `kill` ends all,
 * and leaves the report to the journal.
 */
export async function runJob(
  acquired: AcquiredJob,
  needs: JobNeeds,
  signals: { stop: AbortSignal; kill: AbortSignal },
): Promise<JobResult> {
  const onEvent = quietly(needs.onEvent);
  const run = new JobRun(acquired, { ...needs, onEvent }, signals);
  let reported: Reported;
  try {
    reported = await run.run();
  } catch (error) {
    // A bug of ours: nothing is known about what the control plane got.
    const unconfirmed = `fault of the agent: ${messageOf(error)}`;
    reported = { status: "unconfirmed", error: unconfirmed, code: "", unconfirmed, rescue: run.ledger.applying };
  }
  const result = { ...reported, longestGapMs: run.updates.longestGapMs };
  await run.close();
  onEvent({ kind: "result", result });
  return result;
}

/** One run of one job: its parts, and the order in which they work. */
class JobRun {
  readonly ledger = new Ledger();
  readonly updates: Updates;
  readonly #identity: JobIdentity;
  readonly #redactor: Redactor;
  readonly #interruption: Interruption;
  readonly #steps: Steps;
  /** The control plane's words, when it says that the job isn't ours. */
  #notOurs: string | undefined;

  constructor(
    private readonly acquired: AcquiredJob,
    private readonly needs: JobNeeds,
    private readonly signals: { stop: AbortSignal; kill: AbortSignal },
  ) {
    const { controlPlane, clock, settings, onEvent } = needs;
    this.#identity = identityOf(acquired);
    this.#redactor = needs.redactor;
    this.#redactor.add(secretsOf(acquired));
    this.updates = new Updates({
      jobId: acquired.jobId,
      controlPlane,
      clock,
      redactor: this.#redactor,
      settings,
      onEvent,
      onCanceled: () => this.#interruption.interrupt("canceled", "canceled by a user"),
      onNotOurs: (text) => this.#lost(text),
    });
    this.#interruption = new Interruption(clock, settings, signals, ({ reason, message: text }) => {
      onEvent({ kind: "interrupted", reason, text });
      const step = this.ledger.at ? `"${this.ledger.at.step}" is interrupted` : "no step begins";
      this.updates.say(LogLevel.WARN, this.ledger.at?.stage ?? stages.settingUp, `${text}: ${step}`);
    });
    const { updates, ledger } = this;
    this.#steps = new Steps({ updates, interruption: this.#interruption, ledger, clock, onEvent });
  }

  async run(): Promise<Reported> {
    const { needs, updates, ledger } = this;
    updates.marker(stages.settingUp);
    updates.say(LogLevel.INFO, stages.settingUp, this.needs.intro);
    await notePhase(needs, "accepted");
    const settled = await this.#settle();
    this.#interruption[Symbol.dispose]();

    const reportNeeds: ReportNeeds = {
      ...needs,
      job: this.#identity,
      ledger,
      lateComplete: needs.settings.lateComplete,
      late: updates.late,
    };
    const outcome = this.#masked(
      foresee(outcomeOf(settled, this.#identity, ledger, this.#interruption.reason), reportNeeds),
    );
    updates.ending();
    updates.marker(stages.cleaningUp);
    if (outcome.kind === "failed") {
      updates.say(LogLevel.ERROR, stages.cleaningUp, summaryOf(outcome.failure, ledger, this.#identity.kind));
    }
    // The session ends while the last lines travel: the journal holds all that must survive it.
    void this.#steps.close();
    await notePhase(needs, "reporting");
    // All lines go first: the terminal message cuts off whoever reads them (spec/02 §2.1).
    await updates.finish(this.signals.kill).catch(() => undefined);
    if (this.#notOurs !== undefined) return notOurs(this.#notOurs, outcome, ledger);
    return await report(outcome, reportNeeds, this.signals.kill);
  }

  /** Waits until nothing of the job is left. */
  async close(): Promise<void> {
    this.#interruption[Symbol.dispose]();
    await this.updates[Symbol.asyncDispose]();
    const patience = new AbortController();
    const waited = this.needs.clock.sleep(closeMs, patience.signal).catch(() => undefined);
    await Promise.race([this.#steps.close(), waited]);
    patience.abort();
  }

  async #settle(): Promise<Settled> {
    try {
      const job = jobFromWire(this.acquired, this.needs.random);
      return { ok: true, completion: await this.#pipeline(job) };
    } catch (error) {
      return { ok: false, error };
    }
  }

  #pipeline(job: Job): Promise<Completion> {
    const { updates, ledger } = this;
    const [redactor, interruption, steps] = [this.#redactor, this.#interruption, this.#steps];
    const pipeline: Pipeline = { ...this.needs, redactor, updates, interruption, ledger, steps };
    switch (job.kind) {
      case "import":
        return runImport(job, pipeline);
      case "dry-run":
        return runDryRun(job, pipeline);
      case "build":
        return runBuild(job, pipeline);
    }
  }

  /** The job isn't ours any more. Nothing new begins; an apply goes on to its end, for half a build helps nobody. */
  #lost(text: string): void {
    this.#notOurs = text;
    this.needs.onEvent({ kind: "warning", text: `update job: ${text}: nothing more is sent for it` });
    if (!this.ledger.applying) this.#interruption.interrupt("not ours", text);
  }

  /** An error is shown to people, as a line is. */
  #masked(outcome: Outcome): Outcome {
    if (outcome.kind === "completed") return outcome;
    const failure: Failure = { ...outcome.failure, text: this.#redactor.redact(outcome.failure.text) };
    return { kind: "failed", failure };
  }
}

function notOurs(text: string, outcome: Outcome, ledger: Ledger): Reported {
  const failure = outcome.kind === "failed" ? outcome.failure : undefined;
  const { applying: rescue } = ledger;
  return { status: "unconfirmed", error: failure?.text, code: failure?.code ?? "", unconfirmed: text, rescue };
}

/** A listener that fails does so alone. */
function quietly(onEvent: (event: JobEvent) => void): (event: JobEvent) => void {
  return (event) => {
    try {
      onEvent(event);
    } catch {
      // Whoever listens has its own log; the job must not depend on it.
    }
  };
}
