import { type FSWatcher, watch } from "node:fs";
import { basename, dirname } from "node:path";
import type { Clock } from "../kit/clock.ts";
import { readState, type State } from "./state-file.ts";

/** Least gap between two looks at the file: the engine rewrites a busy state a hundred times a second. */
const lookEveryMs = 200;
/** A look without a change event: events are lost on some file systems, and a late state is worth a stat. */
const lookAnywayMs = 1000;
/** Tries within one look to find the file whole; a write takes milliseconds. */
const triesPerLook = 3;
/** So long may the file be no state before that counts as a full disk (a busy one is whole at least twice a second). */
const brokenAfterMs = 2000;

export interface StateWatchOptions {
  path: string;
  maxBytes: number;
  /** Least gap between two states handed over. */
  intervalMs: number;
  clock: Clock;
  /** What the apply began with: no news. */
  initial: Uint8Array;
  /** Gets each newer state; awaited before the next. What it throws is its own business: the apply goes on. */
  onState: (state: Uint8Array) => Promise<void>;
  /** The state can't be written any more: called once, after two seconds without a whole one. */
  onBroken: () => void;
}

/**
 * Follows the state file while an apply rewrites it in place. A state counts when two reads in a row gave the same
 * bytes, they are a whole state, and its serial is higher than the last one's: a single read can catch a mixture of two
 * states that parses.
 *
 *  - watching: looks on each change, at most every 200 ms; hands over at most once per interval
 *  - stopped: nothing is read; `finish` has handed over what it was given
 */
export class StateWatch {
  readonly #options: StateWatchOptions;
  readonly #stop = new AbortController();
  readonly #watching: Promise<void>;
  #wake: (() => void) | undefined;
  #changed = true;
  #best: State | undefined;
  #handedOver: Uint8Array | undefined;
  #lastHandoverMs = Number.NEGATIVE_INFINITY;
  #handover: Promise<void> | undefined;
  #brokenSinceMs: number | undefined;
  #brokenTold = false;

  constructor(options: StateWatchOptions) {
    this.#options = options;
    this.#watching = this.#run();
  }

  /** The newest whole state seen. */
  get best(): State | undefined {
    return this.#best;
  }

  /** Ends the watching; after it no state is handed over but by `finish`. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#watching;
    await this.#handover;
  }

  /** Hands over the last state, unless it was the last one already. */
  async finish(last: Uint8Array): Promise<void> {
    await this.stop();
    if (last.length > 0 && !(this.#handedOver && Buffer.compare(last, this.#handedOver) === 0)) await this.#give(last);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const { path, clock } = this.#options;
    const watcher = watchFile(path, () => {
      this.#changed = true;
      this.#wake?.();
    });
    try {
      while (!signal.aborted) {
        this.#changed = false;
        await this.#look();
        this.#handOver();
        await clock.sleep(lookEveryMs, signal);
        if (!this.#changed) await this.#nextChange(signal);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      watcher?.close();
    }
  }

  /** Resolves at the next change, or when it is time to look anyway. */
  async #nextChange(signal: AbortSignal): Promise<void> {
    const waiting = new AbortController();
    const onStop = () => waiting.abort();
    this.#wake = onStop;
    signal.addEventListener("abort", onStop, { once: true });
    await this.#options.clock.sleep(lookAnywayMs, waiting.signal).catch(() => undefined);
    signal.removeEventListener("abort", onStop);
    this.#wake = undefined;
  }

  async #look(): Promise<void> {
    const { path, maxBytes, clock, onBroken } = this.#options;
    for (let tries = 0; tries < triesPerLook; tries++) {
      const [first, second] = [await readState(path, maxBytes), await readState(path, maxBytes)];
      if (first.kind === "state" && second.kind === "state") {
        this.#brokenSinceMs = undefined;
        if (Buffer.compare(first.state.bytes, second.state.bytes) !== 0) continue;
        this.#accept(second.state);
        return;
      }
      // Until the first resource is there the file is missing or empty: that is no damage.
      const damaged = second.kind === "unusable" && (second.bytes > 0 || this.#best !== undefined);
      if (!damaged) return;
    }
    if (this.#brokenSinceMs === undefined) this.#brokenSinceMs = clock.monotonic();
    else if (clock.monotonic() - this.#brokenSinceMs >= brokenAfterMs && !this.#brokenTold) {
      this.#brokenTold = true;
      onBroken();
    }
  }

  #accept(state: State): void {
    const [last, next] = [this.#best?.head.serial, state.head.serial];
    if (last !== undefined && next !== undefined && next <= last) return;
    if (this.#best && Buffer.compare(this.#best.bytes, state.bytes) === 0) return;
    this.#best = state;
  }

  /** Starts handing over the best state if it is new, the last handover is done, and its interval is over. */
  #handOver(): void {
    const { clock, intervalMs, initial } = this.#options;
    const bytes = this.#best?.bytes;
    if (!bytes || bytes === this.#handedOver || this.#handover || Buffer.compare(bytes, initial) === 0) return;
    if (clock.monotonic() - this.#lastHandoverMs < intervalMs) return;
    this.#lastHandoverMs = clock.monotonic();
    this.#handover = this.#give(bytes).finally(() => {
      this.#handover = undefined;
    });
  }

  async #give(bytes: Uint8Array): Promise<void> {
    this.#handedOver = bytes;
    await this.#options.onState(bytes).catch(() => undefined);
  }
}

/** Change events of one file; undefined where the system has none to give, and then looking anyway must do. */
function watchFile(path: string, onChange: () => void): FSWatcher | undefined {
  try {
    const name = basename(path);
    const watcher = watch(dirname(path), { persistent: false }, (_, changed) => {
      if (changed === null || changed === name) onChange();
    });
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch {
    return undefined;
  }
}
