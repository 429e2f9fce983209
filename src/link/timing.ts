import type { Clock } from "../kit/clock.ts";

/** Time and chance, handed in. */
export interface Timing {
  clock: Clock;
  /** Yields [0, 1). */
  random: () => number;
}

/** Sleeps unless there is nothing to wait for: a first try goes out in the same turn. */
export async function pause({ clock }: Timing, delayMs: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (delayMs > 0) await clock.sleep(delayMs, signal);
}
