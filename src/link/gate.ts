import { anySignal, raceSignal } from "../kit/signals.ts";

/**
 * Whether jobs may be asked for.
 *
 *  - open: who asks, asks
 *  - shut: the open questions are cancelled, and who asks waits for the opening
 */
export class JobGate {
  #shut: { opening: Promise<void>; open: () => void } | undefined;
  #passing = new AbortController();

  shut(reason: Error): void {
    if (this.#shut) return;
    let open: () => void = () => undefined;
    const opening = new Promise<void>((resolve) => {
      open = resolve;
    });
    this.#shut = { opening, open };
    this.#passing.abort(reason);
  }

  open(): void {
    if (!this.#shut) return;
    this.#passing = new AbortController();
    this.#shut.open();
    this.#shut = undefined;
  }

  /** Asks while the gate is open, again and again until there is an answer or the signal aborts. An answer to a cancelled question counts. */
  async pass<T>(ask: (signal: AbortSignal) => Promise<T | undefined>, signal: AbortSignal): Promise<T | undefined> {
    while (!signal.aborted) {
      if (this.#shut) await raceSignal(this.#shut.opening, signal).catch(() => undefined);
      if (signal.aborted) return undefined;
      using either = anySignal(signal, this.#passing.signal);
      const answer = await ask(either.signal);
      if (answer !== undefined) return answer;
    }
    return undefined;
  }
}
