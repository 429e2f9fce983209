import type { Features } from "../contract/versions.ts";
import { featuresOf } from "../contract/versions.ts";
import type { Connection } from "./connection.ts";

/**
 * The place of the current connection. Calls take whatever connection is in it and wait while there is none (spec/02 §1.1).
 *
 *  - empty: takers wait
 *  - filled: takers get the connection at once; one that has ended or goes away counts as empty
 *  - closed: takers get the reason; nothing changes any more
 */
export class ConnectionSlot {
  #connection: Connection | undefined;
  #closed: { reason: unknown } | undefined;
  #features: Features = featuresOf({ major: 1, minor: 0 });
  // Bounded by its callers: one call or acquire each of slots × running jobs.
  readonly #waiting = new Set<{ resolve: (connection: Connection) => void; reject: (reason: unknown) => void }>();

  /** What the newest connection can do; before the first one, what every server can. */
  get features(): Features {
    return this.#features;
  }

  /** The connection that a taker would get. */
  get current(): Connection | undefined {
    return this.#connection?.usable ? this.#connection : undefined;
  }

  /** Set when there will be no connection any more. */
  get closed(): { readonly reason: unknown } | undefined {
    return this.#closed;
  }

  put(connection: Connection): void {
    if (this.#closed) return;
    this.#connection = connection;
    this.#features = connection.parts.features;
    for (const waiter of this.#waiting) waiter.resolve(connection);
    this.#waiting.clear();
  }

  /** A usable connection; rejects with the signal's reason, or with the slot's when it is closed. */
  take(signal: AbortSignal): Promise<Connection> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (this.#closed) return reject(this.#closed.reason);
      if (this.current) return resolve(this.current);
      const onAbort = () => {
        this.#waiting.delete(waiter);
        reject(signal.reason);
      };
      const unlisten = () => signal.removeEventListener("abort", onAbort);
      const waiter = {
        resolve: (connection: Connection) => {
          unlisten();
          resolve(connection);
        },
        reject: (reason: unknown) => {
          unlisten();
          reject(reason);
        },
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiting.add(waiter);
    });
  }

  /** There will be no other connection: whoever waits gets `reason`. */
  close(reason: unknown): void {
    this.#closed ??= { reason };
    for (const waiter of this.#waiting) waiter.reject(reason);
    this.#waiting.clear();
  }
}
