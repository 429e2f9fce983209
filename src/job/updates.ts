import { create } from "@bufbuild/protobuf";
import { limits } from "../contract/limits.ts";
import { serverTexts } from "../contract/methods.ts";
import { LogLevel } from "../gen/provisioner_pb.ts";
import { LogSchema, LogSource, UpdateJobRequestSchema, type UpdateJobResponse } from "../gen/provisionerd_pb.ts";
import type { Clock } from "../kit/clock.ts";
import { messageOf, RefusedError } from "../kit/errors.ts";
import { raceSignal } from "../kit/signals.ts";
import { cleanText } from "../kit/text.ts";
import type { Redactor } from "../redact/redactor.ts";
import type { JobEvent, JobLine } from "./events.ts";
import { LogQueue } from "./log-queue.ts";
import type { ControlPlane } from "./ports.ts";

export interface UpdatesNeeds {
  jobId: string;
  controlPlane: Pick<ControlPlane, "updateJob">;
  clock: Clock;
  redactor: Redactor;
  settings: { heartbeatMs: number; flushMs: number };
  onEvent: (event: JobEvent) => void;
  /** The control plane says that a user canceled the job. Called once. */
  onCanceled: () => void;
  /** The control plane says that the job isn't ours: nothing more is sent. Called once. */
  onNotOurs: (text: string) => void;
}

/**
 * The one pump of a job: logs, heartbeat and cancel go through the same call, one at a time, in order (spec/02 §3.2,
 * §4.1). It runs from the acquire until the terminal call is answered, also during a cancel and an upload.
 *
 *  - open: lines are taken
 *  - finishing: no more lines; heartbeats go on
 *  - closed: nothing is sent
 */
export class Updates implements AsyncDisposable {
  readonly #needs: UpdatesNeeds;
  readonly #queue: LogQueue;
  readonly #life = new AbortController();
  readonly #late = new AbortController();
  readonly #pumping: Promise<void>;
  #finishing = false;
  /** Someone waits for the queue to be empty: lines go at once. */
  #flushing: (() => void)[] = [];
  #wake: AbortController | undefined;
  #canceled = false;
  /** Monotonic milliseconds of the last answer, the acquire being the first. */
  #answeredAt: number;
  /** From here the next heartbeat is measured: the last answer or the last failed try. */
  #triedAt: number;
  #longestGapMs = 0;
  #lateTimer: Disposable;

  constructor(needs: UpdatesNeeds) {
    this.#needs = needs;
    this.#queue = new LogQueue(needs.clock, needs.settings.flushMs);
    this.#answeredAt = needs.clock.monotonic();
    this.#triedAt = this.#answeredAt;
    this.#lateTimer = this.#armLate();
    this.#pumping = this.#pump();
  }

  /**
   * Aborts, for good, when so much time passed between two answers that the control plane may have ended the job
   * without a word (spec/02 §5.13).
   */
  get late(): AbortSignal {
    return this.#late.signal;
  }

  /** Longest time between two answers in milliseconds, the one that runs included. */
  get longestGapMs(): number {
    return Math.max(this.#longestGapMs, this.#needs.clock.monotonic() - this.#answeredAt);
  }

  /** Queues a line; secrets are masked first. Never waits. */
  log(source: LogSource, level: LogLevel, stage: string, output: string): void {
    if (this.#finishing) return;
    const text = this.#needs.redactor.redact(cleanText(output));
    const line: JobLine = { source, level, stage, output: text, createdAt: this.#needs.clock.now() };
    const before = this.#queue.dueInMs;
    const dropped = this.#queue.dropped;
    this.#queue.push(line);
    this.#needs.onEvent({ kind: "log", line });
    if (this.#queue.dropped > dropped) {
      this.#needs.onEvent({ kind: "logs-dropped", lines: this.#queue.dropped - dropped });
    }
    if (this.#queue.dueInMs !== before) this.#wake?.abort();
  }

  /** A line of our own. */
  say(level: LogLevel, stage: string, output: string): void {
    this.log(LogSource.PROVISIONER_DAEMON, level, stage, output);
  }

  /** Opens a stage: our source, INFO, the stage's name, no output (spec/02 §2.1). */
  marker(stage: string): void {
    this.say(LogLevel.INFO, stage, "");
  }

  /** Notes the answer to an UpdateJob that someone else sent for this job. */
  answered(response: UpdateJobResponse): void {
    const now = this.#needs.clock.monotonic();
    this.#longestGapMs = Math.max(this.#longestGapMs, now - this.#answeredAt);
    this.#answeredAt = now;
    this.#triedAt = now;
    this.#lateTimer[Symbol.dispose]();
    if (!this.#late.signal.aborted) this.#lateTimer = this.#armLate();
    this.#needs.onEvent({ kind: "update-answered", waitingLines: this.#queue.length });
    if (response.canceled && !this.#canceled) {
      this.#canceled = true;
      this.#needs.onCanceled();
    }
  }

  /** The job's work is over: lines that were held back for its end are queued, before whatever is said about the end. */
  ending(): void {
    this.#queue.release();
  }

  /** Takes no more lines, and resolves when all are sent; rejects with the signal's reason. Heartbeats go on. */
  async finish(signal: AbortSignal): Promise<void> {
    this.#finishing = true;
    if (this.#life.signal.aborted) return;
    const empty = new Promise<void>((resolve) => this.#flushing.push(resolve));
    this.#wake?.abort();
    await raceSignal(empty, signal);
  }

  /** Ends the pump, and resolves when it has ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#close(new Error("the job is over"));
    await this.#pumping;
  }

  #close(reason: Error): void {
    this.#life.abort(reason);
    this.#lateTimer[Symbol.dispose]();
    this.#wake?.abort();
    this.#flushed();
  }

  #armLate(): Disposable {
    const text = `no update was answered for ${limits.safeGapMs / 1000} s: the control plane may have ended the job`;
    return this.#needs.clock.after(limits.safeGapMs, () => this.#late.abort(new Error(text)));
  }

  async #pump(): Promise<void> {
    while (!this.#life.signal.aborted) {
      const waitMs = this.#waitMs();
      if (waitMs > 0) await this.#sleep(waitMs);
      else await this.#send();
      if (this.#queue.empty) this.#flushed();
    }
  }

  #waitMs(): number {
    const { clock, settings } = this.#needs;
    const beatInMs = this.#triedAt + settings.heartbeatMs - clock.monotonic();
    const linesInMs = this.#queue.dueInMs;
    if (linesInMs === undefined) return beatInMs;
    return this.#flushing.length > 0 ? 0 : Math.min(beatInMs, linesInMs);
  }

  async #sleep(ms: number): Promise<void> {
    this.#wake = new AbortController();
    await this.#needs.clock.sleep(ms, this.#wake.signal).catch(() => undefined);
    this.#wake = undefined;
  }

  /** Sends what is queued, or nothing but the job's id: both are a sign of life. */
  async #send(): Promise<void> {
    const { jobId, controlPlane } = this.#needs;
    const lines = this.#queue.take();
    const logs = lines.map((line) => create(LogSchema, { ...line, createdAt: BigInt(line.createdAt) }));
    try {
      const request = create(UpdateJobRequestSchema, { jobId, logs });
      this.answered(await controlPlane.updateJob(request, this.#life.signal));
    } catch (error) {
      if (this.#life.signal.aborted) return;
      this.#failed(error, lines.length);
    }
  }

  /** One update that is refused doesn't end a job (02#44); its lines are lost, and counted. */
  #failed(error: unknown, lines: number): void {
    this.#triedAt = this.#needs.clock.monotonic();
    this.#queue.lose(lines);
    if (lines > 0) this.#needs.onEvent({ kind: "logs-dropped", lines });
    const text = messageOf(error);
    if (error instanceof RefusedError && text.includes(serverTexts.notYourJob)) {
      this.#close(error);
      this.#needs.onNotOurs(text);
    } else {
      this.#needs.onEvent({ kind: "warning", text: `update job: ${text}` });
    }
  }

  #flushed(): void {
    for (const resolve of this.#flushing.splice(0)) resolve();
  }
}
