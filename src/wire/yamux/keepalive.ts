import type { Clock } from "../../kit/clock.ts";
import { yamuxLimits } from "./limits.ts";

/**
 * Pings of ours (spec/01 §3.8): the first 30 s after the start, each next one 30 s after the answer.
 *
 *  - resting: the timer of the next ping runs
 *  - waiting: a ping is out; its answer leads to resting, 10 s without it to `dead`
 *  - disposed: nothing runs
 */
export class Keepalive implements Disposable {
  readonly #clock: Pick<Clock, "after">;
  readonly #ping: (value: number) => void;
  readonly #dead: () => void;
  #next = 0;
  #awaited: number | undefined;
  #timer: Disposable;

  constructor(clock: Pick<Clock, "after">, ping: (value: number) => void, dead: () => void) {
    this.#clock = clock;
    this.#ping = ping;
    this.#dead = dead;
    this.#timer = this.#rest();
  }

  /** An answer came; unknown values are ignored. */
  answered(value: number): void {
    if (value !== this.#awaited) return;
    this.#awaited = undefined;
    this.#timer[Symbol.dispose]();
    this.#timer = this.#rest();
  }

  [Symbol.dispose](): void {
    this.#awaited = undefined;
    this.#timer[Symbol.dispose]();
  }

  /** If this process stood still, the answer may lie in the socket unread: timers run before sockets are read. */
  #giveOneTurn(): void {
    const awaited = this.#awaited;
    setImmediate(() => {
      if (awaited !== undefined && this.#awaited === awaited) this.#dead();
    });
  }

  #rest(): Disposable {
    return this.#clock.after(yamuxLimits.keepaliveMs, () => {
      this.#awaited = this.#next;
      this.#next = (this.#next + 1) % 2 ** 32;
      this.#timer = this.#clock.after(yamuxLimits.pingAnswerMs, () => this.#giveOneTurn());
      this.#ping(this.#awaited);
    });
  }
}
