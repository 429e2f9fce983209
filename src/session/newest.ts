/** Hands values over one at a time; while one is being taken, only the newest of those that come is kept. */
export class Newest<T> {
  readonly #take: (value: T) => Promise<void>;
  #waiting: { value: T } | undefined;
  #taking: Promise<void> | undefined;

  /** A `take` that rejects loses its value and nothing else: whoever takes states handles its own failures. */
  constructor(take: (value: T) => Promise<void>) {
    this.#take = take;
  }

  put(value: T): void {
    this.#waiting = { value };
    this.#taking ??= this.#drain();
  }

  /** Resolves when all that was put has been taken or replaced. */
  async settled(): Promise<void> {
    await this.#taking;
  }

  async #drain(): Promise<void> {
    for (let next = this.#waiting; next; next = this.#waiting) {
      this.#waiting = undefined;
      await this.#take(next.value).catch(() => undefined);
    }
    this.#taking = undefined;
  }
}
