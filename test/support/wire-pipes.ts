import { encodeFrame, type FrameHeader, FrameParser, frameType } from "../../src/wire/yamux/frame.ts";
import type { Pipe, PipeListener } from "../../src/wire/yamux/pipe.ts";

/** Bytes from hex; white space is for the reader. */
export function hex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ""), "hex"));
}

/** A frame as it came over a pipe. */
export interface SeenFrame extends FrameHeader {
  body: Buffer;
}

/** Cuts whole frames out of bytes. */
export class FrameCollector {
  readonly frames: SeenFrame[] = [];
  readonly #parser = new FrameParser();

  push(bytes: Uint8Array): void {
    this.#parser.push(bytes, {
      frame: (header) => this.frames.push({ ...header, body: Buffer.alloc(0) }),
      body: (piece) => {
        const last = this.frames.at(-1) as SeenFrame;
        last.body = Buffer.concat([last.body, piece]);
      },
    });
  }
}

/** The connection under a session, with the test as the peer: it pushes bytes in, sees what is sent, and says how full the socket is. */
export class TestPipe implements Pipe {
  readonly sent: Uint8Array[] = [];
  bufferedBytes = 0;
  /** How it was ended by the session. */
  ending: { code: number } | "destroyed" | undefined;
  #listener: PipeListener | undefined;
  readonly #collector = new FrameCollector();

  listen(listener: PipeListener): void {
    this.#listener = listener;
  }

  send(message: Uint8Array): void {
    if (this.ending) return;
    this.sent.push(message);
    this.#collector.push(message);
  }

  close(code: number): Promise<void> {
    this.ending ??= { code };
    return Promise.resolve();
  }

  destroy(): void {
    this.ending ??= "destroyed";
  }

  /** All frames that the session has sent. */
  get frames(): SeenFrame[] {
    return this.#collector.frames;
  }

  /** The frames since the last call. */
  take(): SeenFrame[] {
    return this.#collector.frames.splice(0);
  }

  /** The peer sends bytes. */
  push(...pieces: Uint8Array[]): void {
    this.#listener?.received(Buffer.concat(pieces));
  }

  /** The peer sends a frame. */
  frame(type: keyof typeof frameType, flags: number, streamId: number, length: number, body?: Uint8Array): void {
    this.push(frame(type, flags, streamId, length, body));
  }

  drain(): void {
    this.bufferedBytes = 0;
    this.#listener?.drained();
  }

  /** The connection is gone. */
  lose(error: Error): void {
    this.#listener?.closed(error);
  }
}

/** A frame's bytes. The length of Data is its body's, unless another one is given. */
export function frame(
  type: keyof typeof frameType,
  flags: number,
  streamId: number,
  length: number,
  body?: Uint8Array,
): Uint8Array {
  return encodeFrame({ type: frameType[type], flags, streamId, length }, body ? [body] : []);
}

/** A Data frame's bytes. */
export function dataFrame(streamId: number, body: Uint8Array, flags = 0): Uint8Array {
  return frame("data", flags, streamId, body.length, body);
}

/** Two pipes joined in memory: messages arrive in order, a turn later, cut as `cut` says. */
export function pipePair(
  cut: (message: Uint8Array) => Uint8Array[] = (message) => [message],
): [MemoryPipe, MemoryPipe] {
  const left = new MemoryPipe(cut);
  const right = new MemoryPipe(cut);
  left.peer = right;
  right.peer = left;
  return [left, right];
}

export class MemoryPipe implements Pipe {
  peer: MemoryPipe | undefined;
  bufferedBytes = 0;
  readonly #cut: (message: Uint8Array) => Uint8Array[];
  #listener: PipeListener | undefined;
  #queue: Uint8Array[] = [];
  #turning = false;
  #over = false;

  constructor(cut: (message: Uint8Array) => Uint8Array[]) {
    this.#cut = cut;
  }

  listen(listener: PipeListener): void {
    this.#listener = listener;
  }

  send(message: Uint8Array): void {
    if (this.#over) return;
    this.#queue.push(message);
    this.bufferedBytes += message.length;
    this.#turn();
  }

  async close(): Promise<void> {
    if (this.#over) return;
    await new Promise<void>((resolve) => {
      this.#closers.push(resolve);
      this.#turn();
    });
  }

  destroy(): void {
    this.#end(undefined);
    this.peer?.lost(new Error("the other end is gone"));
  }

  receive(message: Uint8Array): void {
    for (const piece of this.#cut(message)) this.#listener?.received(piece);
  }

  lost(error: Error | undefined): void {
    if (this.#over) return;
    this.#end(error);
  }

  readonly #closers: (() => void)[] = [];

  #turn(): void {
    if (this.#turning) return;
    this.#turning = true;
    setImmediate(() => {
      this.#turning = false;
      const messages = this.#queue;
      this.#queue = [];
      this.bufferedBytes = 0;
      for (const message of messages) this.peer?.receive(message);
      this.#listener?.drained();
      if (this.#closers.length > 0 && this.#queue.length === 0) {
        this.#end(undefined);
        this.peer?.lost(new Error("closed by the other end"));
      }
    });
  }

  #end(error: Error | undefined): void {
    if (this.#over) return;
    this.#over = true;
    for (const resolve of this.#closers.splice(0)) resolve();
    this.#listener?.closed(error);
  }
}
