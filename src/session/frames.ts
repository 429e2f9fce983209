import { limits } from "../contract/limits.ts";
import { PeerError } from "../kit/errors.ts";

/** Bytes of the length before each message: unsigned, big-endian. */
const headerBytes = 4;

/** Longest messages of a session. A length above them ends it before anything is kept. */
export const frameLimits = {
  /** Agent → worker: a module archive at its biggest beside what one AcquiredJob holds, twice over for the rest. */
  toWorkerBytes: limits.fileBytes + 2 * limits.rpcMessageBytes,
  /**
   * Worker → agent: states and plans are the biggest. The control plane takes 4 MiB of either; the room above that is
   * there so that a bigger state can still be kept, and named, by the agent.
   */
  fromWorkerBytes: 64 * 1024 * 1024,
} as const;

/** A message with its length before it. */
export function encodeFrame(message: Uint8Array): Uint8Array {
  const frame = new Uint8Array(headerBytes + message.length);
  new DataView(frame.buffer).setUint32(0, message.length);
  frame.set(message, headerBytes);
  return frame;
}

/**
 * Cuts a stream of bytes into messages, however the bytes arrive. Memory grows with what has come, never with what a
 * length announces.
 */
export class FrameReader {
  readonly #maxBytes: number;
  /** The beginning of a message that is not complete: `#used` bytes of `#buffer`. */
  #buffer = new Uint8Array(0);
  #used = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** True when the stream stands inside a message. */
  get partial(): boolean {
    return this.#used > 0;
  }

  /** The messages that this chunk completes. They may be views of the chunk. Throws PeerError for a length above the maximum. */
  *push(chunk: Uint8Array): Generator<Uint8Array, void, undefined> {
    // A Buffer's `slice` is a view, not a copy: from here on only plain arrays.
    const plain = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length);
    const bytes = this.#used > 0 ? this.#append(plain) : plain;
    let at = 0;
    for (;;) {
      const left = bytes.length - at;
      if (left < headerBytes) break;
      const length = new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0);
      if (length > this.#maxBytes) {
        throw new PeerError(`read message: length ${length}: at most ${this.#maxBytes} is allowed`);
      }
      if (left < headerBytes + length) break;
      // Consumers may stop between two messages; the rest is then of no interest.
      yield bytes.subarray(at + headerBytes, at + headerBytes + length);
      at += headerBytes + length;
    }
    this.#keep(bytes, at);
  }

  #append(chunk: Uint8Array): Uint8Array {
    const size = this.#used + chunk.length;
    if (size > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(size, 2 * this.#buffer.length));
      grown.set(this.#buffer.subarray(0, this.#used));
      this.#buffer = grown;
    }
    this.#buffer.set(chunk, this.#used);
    this.#used = size;
    return this.#buffer.subarray(0, size);
  }

  /** Keeps what follows `at`. Messages that were handed out stay as they are: their bytes are never written again. */
  #keep(bytes: Uint8Array, at: number): void {
    if (at === 0 && this.#used > 0) return;
    this.#used = bytes.length - at;
    this.#buffer = bytes.slice(at);
  }
}
