import { TransientError } from "../kit/errors.ts";
import { Inbox } from "./inbox.ts";
import type { ByteStream } from "./stream.ts";

/** Bytes that lie between the two ends before a writer waits: as much as a pipe of the system holds. */
const roomBytes = 65_536;

interface MemoryOptions {
  /** Deliver one byte per read: for tests of readers. */
  oneByte?: boolean;
}

/** Two ends of a stream in this process: what is written to one is read from the other. A writer waits while 64 KiB are unread. */
export function memoryPair(options: MemoryOptions = {}): [ByteStream, ByteStream] {
  const left = new MemoryEnd(options.oneByte ?? false);
  const right = new MemoryEnd(options.oneByte ?? false);
  left.join(right);
  right.join(left);
  return [left, right];
}

class MemoryEnd implements ByteStream {
  readonly #inbox: Inbox;
  readonly #maxBytes: number | undefined;
  readonly #gone = new AbortController();
  /** Writers that wait for room. */
  readonly #writers: (() => void)[] = [];
  /** The other end; its members are ours to use, as both are one object in two halves. */
  #peer!: MemoryEnd;
  /** Why no more can be written; undefined while it can. */
  #closed: Error | undefined;
  /** Why a write that waits is given up. */
  #givenUp: Error | undefined;
  #lastWrite: Promise<void> = Promise.resolve();
  #ending: Promise<void> | undefined;

  constructor(oneByte: boolean) {
    this.#maxBytes = oneByte ? 1 : undefined;
    this.#inbox = new Inbox(() => this.#peer.#wake());
  }

  join(peer: MemoryEnd): void {
    this.#peer = peer;
  }

  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#ending) throw new Error("write to a stream: it was ended here before");
    const writing = this.#write(chunk);
    this.#lastWrite = writing;
    await writing;
  }

  end(): Promise<void> {
    this.#ending ??= this.#finish();
    return this.#ending;
  }

  abort(reason: Error): void {
    this.#fail(reason);
    this.#peer.#fail(new TransientError(`the other end has given the stream up: ${reason.message}`, { cause: reason }));
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    return this.#inbox.iterator(this.#maxBytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#giveUp(new Error("write to a stream: it was closed here before"));
    await this.end();
    this.#inbox.fail(new Error("read a stream: it was closed here before"), true);
    this.#peer.#refuse(new TransientError("the other end has closed the stream"));
  }

  async #write(chunk: Uint8Array): Promise<void> {
    if (this.#closed) throw this.#closed;
    for (let start = 0; start < chunk.length; start += roomBytes) {
      const piece = chunk.subarray(start, start + roomBytes);
      await this.#room(piece.length);
      this.#peer.#inbox.push(piece);
    }
  }

  async #finish(): Promise<void> {
    await this.#lastWrite.catch(() => undefined);
    if (this.#closed) return;
    this.#closed = new Error("write to a stream: it was ended here before");
    this.#peer.#inbox.finish();
    this.#peer.#gone.abort(new TransientError("the other end has closed the stream"));
  }

  async #room(bytes: number): Promise<void> {
    while (!this.#givenUp && this.#peer.#inbox.bytes + bytes > roomBytes) {
      await new Promise<void>((resolve) => this.#writers.push(resolve));
    }
    if (this.#givenUp) throw this.#givenUp;
  }

  #wake(): void {
    for (const resolve of this.#writers.splice(0)) resolve();
  }

  #refuse(error: Error): void {
    this.#closed ??= error;
    this.#giveUp(error);
  }

  #giveUp(error: Error): void {
    this.#givenUp ??= error;
    this.#wake();
  }

  #fail(error: Error): void {
    this.#refuse(error);
    this.#inbox.fail(error, true);
    this.#gone.abort(error);
  }
}
