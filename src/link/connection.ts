import type { ApiVersion, Features } from "../contract/versions.ts";
import { RefusedError, TransientError } from "../kit/errors.ts";
import type { RpcClient } from "../wire/drpc/api.ts";
import type { MuxSession } from "../wire/mux.ts";

/** What a connection is made of. */
export interface ConnectionParts {
  mux: MuxSession;
  rpc: RpcClient;
  apiVersion: ApiVersion;
  features: Features;
  /** As the server tells it; undefined when it doesn't. */
  serverVersion: string | undefined;
}

/** One session with the control plane. It counts the calls that were answered on it. */
export class Connection {
  #answered = 0;
  #over = false;
  readonly #retired = new AbortController();
  #calls = 0;
  #onIdle: (() => void) | undefined;
  /** Resolves when the connection has been retired and the last call on it has ended. */
  readonly idle = new Promise<void>((resolve) => {
    this.#onIdle = resolve;
  });

  constructor(readonly parts: ConnectionParts) {
    void parts.mux.ended.then(() => {
      this.#over = true;
    });
  }

  /** Calls that were answered, with yes or no: proof that the other end lives. */
  get answered(): number {
    return this.#answered;
  }

  /** New calls can be made here. */
  get usable(): boolean {
    return !this.#over && !this.parts.mux.goingAway;
  }

  /** Aborts when another connection has taken over: who only waits here should wait there. */
  get retired(): AbortSignal {
    return this.#retired.signal;
  }

  retire(): void {
    this.#retired.abort(new TransientError("another connection has taken over"));
    this.#look();
  }

  /** Runs one call on this connection. */
  async use<T>(call: () => Promise<T>): Promise<T> {
    this.#calls++;
    try {
      const result = await call();
      this.#answered++;
      return result;
    } catch (error) {
      if (error instanceof RefusedError) this.#answered++;
      throw error;
    } finally {
      this.#calls--;
      this.#look();
    }
  }

  #look(): void {
    if (this.#calls === 0 && this.retired.aborted) this.#onIdle?.();
  }
}
