/** A retry curve: first try at once, then `firstMs` × growth^n up to `capMs`, each spread by ±`jitter`. */
export interface Curve {
  firstMs: number;
  capMs: number;
  growth: number;
  /** Share of the delay by which it is spread both ways, 0 to 1. */
  jitter: number;
}

const golden = 1.618;

/** The control plane's own curves with jitter added (spec/01 §1.12, §4.11; spec/02 §0, W38). */
export const curves = {
  dial: { firstMs: 50, capMs: 10_000, growth: golden, jitter: 0.2 },
  /** Used where a person must act first: 60 s for ever (spec/01 §1.12). */
  slow: { firstMs: 60_000, capMs: 60_000, growth: 1, jitter: 0.2 },
  rpc: { firstMs: 25, capMs: 5_000, growth: golden, jitter: 0.2 },
  acquire: { firstMs: 10, capMs: 1_000, growth: golden, jitter: 0.2 },
} as const satisfies Record<string, Curve>;

/** Where one thing stands on its curve. `random` yields [0, 1). */
export class Backoff {
  #tries = 0;

  constructor(
    readonly curve: Curve,
    readonly random: () => number,
  ) {}

  /** Tries since the last reset. */
  get tries(): number {
    return this.#tries;
  }

  /** The delay before the next try in milliseconds: 0 for the first, then the curve. */
  next(): number {
    const n = this.#tries++;
    if (n === 0) return 0;
    const { firstMs, capMs, growth, jitter } = this.curve;
    const delay = Math.min(capMs, firstMs * growth ** n);
    return delay * (1 + jitter * (2 * this.random() - 1));
  }

  reset(): void {
    this.#tries = 0;
  }
}
