import type { Clock } from "../kit/clock.ts";

const windowMs = 60_000;

/** A count per minute and key, as the real server keeps one per address and path (spec/01 §1.5). */
export class RateLimit {
  #counts = new Map<string, number>();
  #windowEnd = 0;

  /** `perMinute` 0 allows everything. */
  constructor(
    readonly clock: Clock,
    readonly perMinute: number,
  ) {}

  /** Counts one call; the seconds to wait when it is one too many, else undefined. */
  retryAfter(key: string): number | undefined {
    if (this.perMinute === 0) return undefined;
    const now = this.clock.monotonic();
    if (now >= this.#windowEnd) {
      // Forgetting all counts at once also bounds their number.
      this.#counts = new Map();
      this.#windowEnd = now + windowMs;
    }
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    return count > this.perMinute ? Math.ceil((this.#windowEnd - now) / 1000) : undefined;
  }
}
