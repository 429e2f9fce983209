/** Small pieces are gathered in blocks of up to this many bytes, so that one-byte frames cost no more than one byte each. */
const maxBlockBytes = 16_384;
const minBlockBytes = 256;

interface Block {
  bytes: Uint8Array;
  start: number;
  end: number;
  /** True when `bytes` was made here and has room behind `end`. */
  own: boolean;
}

interface Reader {
  maxBytes: number;
  resolve: (result: IteratorResult<Uint8Array, undefined>) => void;
  reject: (error: Error) => void;
}

/**
 * The receiving half of a stream: bytes are pushed in and taken out by one reader.
 *
 *  - open: bytes come in; a reader without bytes waits
 *  - ended: nothing more comes in; what is there is read, then `done`
 *  - failed: what is there is read (or was dropped), then every read rejects with the failure
 */
export class Inbox {
  readonly #blocks: Block[] = [];
  readonly #onTaken: (bytes: number) => void;
  #bytes = 0;
  #end: "ended" | { failure: Error } | undefined;
  #reader: Reader | undefined;

  /** `onTaken` hears how many bytes each read took: the place to give room back to the writer. */
  constructor(onTaken: (bytes: number) => void = () => undefined) {
    this.#onTaken = onTaken;
  }

  /** Bytes that wait for the reader. */
  get bytes(): number {
    return this.#bytes;
  }

  push(bytes: Uint8Array): void {
    if (this.#end || bytes.length === 0) return;
    this.#bytes += bytes.length;
    this.#store(bytes);
    if (this.#reader) this.#deliver();
  }

  /** Nothing more comes. */
  finish(): void {
    this.#end ??= "ended";
    this.#settle();
  }

  /** Reads reject from now on: at once when `drop` is set, else behind the bytes that are there. The first end wins, but
   *  dropping always drops. */
  fail(failure: Error, drop: boolean): void {
    if (drop) {
      this.#blocks.length = 0;
      this.#bytes = 0;
      this.#end = { failure };
    }
    this.#end ??= { failure };
    this.#settle();
  }

  /** The next bytes, as few or as many as lie together, at most `maxBytes`. */
  next(maxBytes = Number.POSITIVE_INFINITY): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#bytes > 0) return Promise.resolve({ done: false, value: this.#take(maxBytes) });
    if (this.#end === "ended") return Promise.resolve({ done: true, value: undefined });
    if (this.#end) return Promise.reject(this.#end.failure);
    if (this.#reader) return Promise.reject(new Error("read a stream: another read is pending: one reader only"));
    return new Promise((resolve, reject) => {
      this.#reader = { maxBytes, resolve, reject };
    });
  }

  /** An iterator whose `return` leaves the stream as it is: the next iterator goes on where this one stopped. */
  iterator(maxBytes?: number): AsyncIterator<Uint8Array, undefined> {
    return {
      next: () => this.next(maxBytes),
      return: () => Promise.resolve({ done: true, value: undefined }),
    };
  }

  #store(bytes: Uint8Array): void {
    // A view that is small against its buffer would keep the whole buffer alive.
    if (bytes.length >= maxBlockBytes && bytes.length * 2 >= bytes.buffer.byteLength) {
      this.#blocks.push({ bytes, start: 0, end: bytes.length, own: false });
      return;
    }
    let last = this.#blocks.at(-1);
    if (!last?.own || last.bytes.length - last.end < bytes.length) {
      const grown = last?.own ? Math.min(maxBlockBytes, last.bytes.length * 2) : minBlockBytes;
      last = { bytes: new Uint8Array(Math.max(grown, bytes.length)), start: 0, end: 0, own: true };
      this.#blocks.push(last);
    }
    last.bytes.set(bytes, last.end);
    last.end += bytes.length;
  }

  #take(maxBytes: number): Uint8Array {
    const block = this.#blocks[0] as Block;
    const end = Math.min(block.end, block.start + maxBytes);
    const bytes = block.bytes.subarray(block.start, end);
    block.start = end;
    if (end === block.end) this.#blocks.shift();
    this.#bytes -= bytes.length;
    this.#onTaken(bytes.length);
    return bytes;
  }

  #deliver(): void {
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.resolve({ done: false, value: this.#take(reader.maxBytes) });
  }

  #settle(): void {
    if (!this.#reader || !this.#end || this.#bytes > 0) return;
    const reader = this.#reader;
    this.#reader = undefined;
    if (this.#end === "ended") reader.resolve({ done: true, value: undefined });
    else reader.reject(this.#end.failure);
  }
}
