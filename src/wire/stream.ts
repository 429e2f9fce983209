/** One shape for socket, yamux stream, worker stdio and test pair. One reader, one writer. */
export interface ByteStream extends AsyncIterable<Uint8Array>, AsyncDisposable {
  /** Resolves when there is room for more: this is the backpressure. Rejects once the stream has ended or failed. */
  write(chunk: Uint8Array): Promise<void>;
  /** No more from us; what was written still arrives. Idempotent. */
  end(): Promise<void>;
  /** Both ways, now: pending reads and writes reject with `reason`. Idempotent. */
  abort(reason: Error): void;
}
