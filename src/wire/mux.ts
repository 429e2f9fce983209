import type { ByteStream } from "./stream.ts";

/** Many byte streams over one connection (yamux, spec/01 §3). Disposing closes it in order. */
export interface MuxSession extends AsyncDisposable {
  /** Opens a stream; waits while 256 opens are un-acked. Rejects with TransientError when the session has ended or goes away. */
  open(signal: AbortSignal): Promise<ByteStream>;
  /** Streams that the peer opened; ends when the session ends. */
  readonly incoming: AsyncIterable<ByteStream>;
  /** True after GoAway 0: running streams finish, nothing new opens (spec/01 §3.10). */
  readonly goingAway: boolean;
  /** Settles when the session is over: undefined for an orderly end, else why. Never rejects. */
  readonly ended: Promise<Error | undefined>;
  /** Closes the connection in order, waiting at most 5 s for the peer (spec/01 §2.4). */
  close(): Promise<void>;
  /** Ends it now; every pending open, read and write rejects with `reason`. */
  abort(reason: Error): void;
}
