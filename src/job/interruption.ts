import type { Clock } from "../kit/clock.ts";
import type { InterruptReason } from "./events.ts";

/** A job was interrupted; the reason says by whom. */
export class Interrupted extends Error {
  constructor(
    readonly reason: InterruptReason,
    message: string,
  ) {
    super(message);
    this.name = "Interrupted";
  }
}

/** A step did not end in the time that it was given after an interrupt (spec/02 §2.8 B14). */
export class GaveUp extends Error {
  constructor(
    override readonly cause: Interrupted,
    message: string,
  ) {
    super(message);
    this.name = "GaveUp";
  }
}

interface InterruptionSettings {
  /** From the interrupt to giving the running step up, in milliseconds. */
  cancelTimeoutMs: number;
  /** Longest life of a job before it is interrupted; no limit where undefined. */
  jobTimeoutMs?: number | undefined;
  /** Longest time that a step may say nothing; no limit where undefined. */
  silenceTimeoutMs?: number | undefined;
}

/**
 * The end of a job before its time, in three states. The first reason stays.
 *
 *  - running: nobody has asked
 *  - interrupted: `signal` is aborted with an Interrupted; no further step starts, the running one ends by itself
 *  - given up: `givenUp` is aborted too, because the step took too long or the agent ends now
 */
export class Interruption implements Disposable {
  readonly #clock: Clock;
  readonly #settings: InterruptionSettings;
  readonly #onInterrupt: (reason: Interrupted) => void;
  readonly #interrupt = new AbortController();
  readonly #giveUp = new AbortController();
  readonly #cleanups: (() => void)[] = [];
  #silence: Disposable | undefined;
  #over = false;

  constructor(
    clock: Clock,
    settings: InterruptionSettings,
    signals: { stop: AbortSignal; kill: AbortSignal },
    onInterrupt: (reason: Interrupted) => void,
  ) {
    this.#clock = clock;
    this.#settings = settings;
    this.#onInterrupt = onInterrupt;
    this.#follow(signals.stop, () => this.interrupt("stopped", "the agent was told to stop"));
    this.#follow(signals.kill, () => {
      this.interrupt("killed", "the agent was told to end now");
      this.#giveUp.abort(this.signal.reason);
    });
    const { jobTimeoutMs } = settings;
    if (jobTimeoutMs !== undefined) {
      const text = `the job took longer than its limit of ${seconds(jobTimeoutMs)}`;
      this.#after(jobTimeoutMs, () => this.interrupt("job timeout", text));
    }
  }

  /** Aborts when the running step is to end; its reason is an Interrupted. */
  get signal(): AbortSignal {
    return this.#interrupt.signal;
  }

  /** Aborts when the running step is not waited for any longer. */
  get givenUp(): AbortSignal {
    return this.#giveUp.signal;
  }

  /** Why the job was interrupted, if it was. */
  get reason(): Interrupted | undefined {
    return this.signal.aborted ? (this.signal.reason as Interrupted) : undefined;
  }

  interrupt(reason: InterruptReason, text: string): void {
    if (this.signal.aborted || this.#over) return;
    const interrupted = new Interrupted(reason, text);
    this.#interrupt.abort(interrupted);
    this.#after(this.#settings.cancelTimeoutMs, () => this.#giveUp.abort(interrupted));
    this.#onInterrupt(interrupted);
  }

  /** Throws the Interrupted if there was one: nothing more may start. */
  check(): void {
    this.signal.throwIfAborted();
  }

  /** A step of the provisioner begins: from here on its silence is measured. */
  listen(): void {
    const { silenceTimeoutMs } = this.#settings;
    if (silenceTimeoutMs === undefined) return;
    this.quiet();
    const text = `no line came from the step for ${seconds(silenceTimeoutMs)}, which is its limit`;
    this.#silence = this.#clock.after(silenceTimeoutMs, () => this.interrupt("silence", text));
  }

  /** The step that runs, if one does, has said something. */
  heard(): void {
    if (this.#silence) this.listen();
  }

  /** No step runs: silence means nothing. */
  quiet(): void {
    this.#silence?.[Symbol.dispose]();
    this.#silence = undefined;
  }

  /** Nothing is interrupted any more. */
  [Symbol.dispose](): void {
    this.#over = true;
    this.quiet();
    for (const cleanup of this.#cleanups.splice(0)) cleanup();
  }

  #after(delayMs: number, then: () => void): void {
    const timer = this.#clock.after(delayMs, then);
    this.#cleanups.push(() => timer[Symbol.dispose]());
  }

  #follow(signal: AbortSignal, then: () => void): void {
    if (signal.aborted) then();
    signal.addEventListener("abort", then, { once: true });
    this.#cleanups.push(() => signal.removeEventListener("abort", then));
  }
}

const seconds = (ms: number) => `${Math.round(ms / 1000)} s`;
