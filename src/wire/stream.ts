/** One shape for socket, yamux stream, worker stdio and test pair. One reader, one writer. */
export interface ByteStream extends AsyncIterable<Uint8Array>, AsyncDisposable {
  /** Resolves when there is room for more: this is the backpressure. Rejects once the stream has ended or failed.
   *  The chunk is the stream's from now on: it must not change any more. */
  write(chunk: Uint8Array): Promise<void>;
  /** No more from us; what was written still arrives. Idempotent. */
  end(): Promise<void>;
  /** Both ways, now: pending reads and writes reject with `reason`. Idempotent. */
  abort(reason: Error): void;
  /**
   * Aborts as soon as the peer has ended its half or the stream has failed, ahead of what is still unread.
   * Only streams that can tell have it: a server needs it to notice that a caller is gone whose data it does not read.
   */
  readonly gone?: AbortSignal;
}
