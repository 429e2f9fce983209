import type { Clock } from "./clock.ts";

interface Timer {
  at: number;
  fire: () => void;
}

/** A clock that a test turns by hand. Timers fire in order of time, each in a turn of its own. */
export class FakeClock implements Clock {
  #now: number;
  readonly #epoch: number;
  readonly #timers = new Set<Timer>();

  constructor(epochMs = 1_764_000_000_000) {
    this.#now = epochMs;
    this.#epoch = epochMs;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now - this.#epoch;
  }

  /** How many timers are waiting: a test that ends with some has a leak. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Milliseconds until the next timer, or undefined when nothing waits. */
  get next(): number | undefined {
    const first = this.#first();
    return first && Math.max(0, first.at - this.#now);
  }

  sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const timer = this.#add(delayMs, () => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      });
      const onAbort = () => {
        this.#timers.delete(timer);
        reject(signal.reason);
      };
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  after(delayMs: number, callback: () => void): Disposable {
    const timer = this.#add(delayMs, callback);
    return { [Symbol.dispose]: () => void this.#timers.delete(timer) };
  }

  /** Turns the clock forward, firing what falls due on the way and letting each timer's consequences settle. */
  async advance(deltaMs: number): Promise<void> {
    const end = this.#now + deltaMs;
    await settle();
    for (let timer = this.#first(); timer && timer.at <= end; timer = this.#first()) {
      this.#timers.delete(timer);
      this.#now = Math.max(this.#now, timer.at);
      timer.fire();
      await settle();
    }
    this.#now = end;
  }

  #add(delayMs: number, fire: () => void): Timer {
    const timer = { at: this.#now + Math.max(0, delayMs), fire };
    this.#timers.add(timer);
    return timer;
  }

  #first(): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) if (!first || timer.at < first.at) first = timer;
    return first;
  }
}

/** Lets all work that is ready run: a turn of the event loop, a few times over. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}
