import type { WorkerProcess } from "./worker-process.ts";

/**
 * Keeps one worker ready, so that a job does not wait for a process to start. Each worker is handed out once.
 *
 *  - idle: none is kept (before the first `take`, after one died or could not start)
 *  - filling: one is being started
 *  - ready: one waits
 *  - closed: none is kept, none is started
 *
 * A worker that dies while it waits is not replaced before the next `take`: one that always dies costs no loop.
 */
export class WarmPool implements AsyncDisposable {
  #kept: Kept | undefined;
  readonly #closing = new AbortController();

  constructor(
    /** Starts one worker. */
    private readonly start: (signal: AbortSignal) => Promise<WorkerProcess>,
    /** Off: every worker is started when it is asked for. */
    private readonly isOn: boolean,
  ) {}

  /** Starts the worker that will wait, if there is none. */
  warm(): void {
    if (!this.isOn || this.#closing.signal.aborted || this.#kept) return;
    const forget = () => {
      kept.isDead = true;
      if (this.#kept === kept) this.#kept = undefined;
    };
    const started = this.start(this.#closing.signal).then(
      (worker) => {
        worker.exited.then(forget);
        return worker;
      },
      // The next `take` starts one itself and tells why it can't.
      () => {
        forget();
        return undefined;
      },
    );
    const kept: Kept = { worker: started, isDead: false };
    this.#kept = kept;
  }

  /** A worker of the caller's own, to be ended by it: the one that waits, else a new one. The next is started meanwhile. */
  async take(signal: AbortSignal): Promise<WorkerProcess> {
    this.#closing.signal.throwIfAborted();
    signal.throwIfAborted();
    const kept = this.#kept;
    this.#kept = undefined;
    const waiting = await kept?.worker;
    const worker = waiting && !kept?.isDead ? waiting : await this.start(signal);
    this.warm();
    if (signal.aborted) {
      await worker.kill();
      throw signal.reason;
    }
    return worker;
  }

  /** Ends the worker that waits. Those that were taken are not touched. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new Error("the pool of workers is closed"));
    const kept = this.#kept;
    this.#kept = undefined;
    await (await kept?.worker)?.kill();
  }
}

interface Kept {
  /** Undefined where it could not start. */
  worker: Promise<WorkerProcess | undefined>;
  isDead: boolean;
}
