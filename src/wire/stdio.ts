import type { Readable, Writable } from "node:stream";
import { messageOf, TransientError } from "../kit/errors.ts";
import type { ByteStream } from "./stream.ts";

/**
 * A readable and a writable of Node as one stream: a worker's stdout and stdin, or our own stdin and stdout. Backpressure both
 * ways. What the system says about a reader that is gone (EPIPE, reset, premature close) becomes a TransientError with its cause.
 */
export function nodeStream(readable: Readable, writable: Writable): ByteStream {
  return new NodeStream(readable, writable);
}

class NodeStream implements ByteStream {
  readonly #readable: Readable;
  readonly #writable: Writable;
  readonly #iterator: AsyncIterator<Uint8Array, undefined>;
  #failure: Error | undefined;
  #ended: Promise<void> | undefined;

  constructor(readable: Readable, writable: Writable) {
    this.#readable = readable;
    this.#writable = writable;
    // A stream of Node that fails with nobody listening ends the process.
    readable.on("error", () => undefined);
    writable.on("error", (error) => this.#note(error));
    this.#iterator = readable.iterator({ destroyOnReturn: false }) as AsyncIterator<Uint8Array, undefined>;
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#failure) throw this.#failure;
    if (this.#ended) throw new Error("write to a stream: it was ended here before");
    if (chunk.length === 0 || this.#writable.write(chunk)) return;
    await this.#settled();
  }

  end(): Promise<void> {
    this.#ended ??= this.#finish();
    return this.#ended;
  }

  abort(reason: Error): void {
    this.#failure ??= reason;
    this.#readable.destroy(reason);
    this.#writable.destroy(reason);
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    return {
      next: async () => {
        try {
          return await this.#iterator.next();
        } catch (error) {
          throw this.#note(error);
        }
      },
      return: () => Promise.resolve({ done: true, value: undefined }),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    this.#readable.destroy();
  }

  async #finish(): Promise<void> {
    // The other end may be gone already: then there is nothing left to say, and its failure was told to the writer.
    if (this.#writable.destroyed || this.#writable.writableFinished) return;
    this.#writable.end();
    await this.#settled().catch(() => undefined);
  }

  /** Waits until the writable has taken everything, or has failed. Once it ends, Node says `finish` and no longer `drain`. */
  #settled(): Promise<void> {
    const writable = this.#writable;
    return new Promise((resolve, reject) => {
      const done = () => {
        writable.off("drain", onTaken).off("finish", onTaken).off("error", onError).off("close", onClose);
      };
      const onTaken = () => {
        done();
        resolve();
      };
      const onError = (error: unknown) => {
        done();
        reject(this.#note(error));
      };
      const onClose = () => onError(new Error("closed"));
      writable.on("drain", onTaken).on("finish", onTaken).on("error", onError).on("close", onClose);
    });
  }

  /** Sorts a foreign error; the first one, or our own reason, stays. */
  #note(error: unknown): Error {
    this.#failure ??= new TransientError(`the other end of the pipe is gone: ${messageOf(error)}`, { cause: error });
    return this.#failure;
  }
}
