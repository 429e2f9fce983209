/**
 * A scope owns tasks: it ends only when all that it started has settled, and the first failure aborts the rest.
 *
 *  - open: `signal` is live, tasks may start
 *  - closing: `signal` is aborted (by the parent, by `close` or by a failed task); nothing new starts
 *  - closed: every task has settled; `close()` has resolved
 */
export class Scope implements AsyncDisposable {
  readonly #controller = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  readonly #unlink: () => void;
  #failure: { error: unknown } | undefined;

  constructor(parent?: AbortSignal) {
    const onAbort = () => this.#controller.abort(parent?.reason);
    if (parent?.aborted) onAbort();
    parent?.addEventListener("abort", onAbort, { once: true });
    this.#unlink = () => parent?.removeEventListener("abort", onAbort);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Starts a task that this scope owns. A task that fails while the scope is open aborts the scope with its error. */
  start(task: (signal: AbortSignal) => Promise<void>): void {
    const running = task(this.signal)
      .catch((error: unknown) => {
        if (this.signal.aborted) return;
        this.#failure = { error };
        this.#controller.abort(error);
      })
      .finally(() => this.#tasks.delete(running));
    this.#tasks.add(running);
  }

  /** Resolves when all tasks have settled; throws the first failure. */
  async settled(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
    if (this.#failure) throw this.#failure.error;
  }

  /** Aborts what runs and waits for its end; a failure stays silent here, `settled` tells it. */
  async close(reason: unknown = new Error("scope closed")): Promise<void> {
    this.#controller.abort(reason);
    this.#unlink();
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
