/** A bell for many listeners: everyone who took `next` before a ring is woken by it. Nothing queues up. */
export class Pulse {
  #wake: () => void = () => undefined;
  #next = this.#fresh();

  /** Resolves at the next ring. Take it first, then look at the state: no change is missed. */
  get next(): Promise<void> {
    return this.#next;
  }

  ring(): void {
    const wake = this.#wake;
    this.#next = this.#fresh();
    wake();
  }

  #fresh(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
