import { messageOf, PeerError, TooBigError, TransientError } from "../../kit/errors.ts";
import { raceSignal } from "../../kit/signals.ts";
import type { ByteStream } from "../stream.ts";
import type { Handler, ServerCall } from "./api.ts";
import { drpcLimits, type Packet, packetKind } from "./packet.ts";
import { decodeError, encodeError, errorCode } from "./packet-data.ts";
import { PacketSink } from "./packet-stream.ts";

/**
 * One call, server side (spec/01 §4.9).
 *
 *  - running: messages come in until the caller's CloseSend, one at a time: the connection reads no further than the handler;
 *    answers go out
 *  - answered: CloseSend is out; over with the caller's CloseSend
 *  - over: Close, Error or Cancel came or went, or both sides have sent CloseSend, or the caller is gone. `signal` has aborted
 *    when the handler may still run; whatever it sends now is refused
 */
export class ServedCall implements ServerCall {
  readonly id: bigint;
  readonly method: string;
  /** Settles with the handler; never rejects. */
  settled: Promise<void> = Promise.resolve();
  readonly #sink: PacketSink;
  readonly #controller = new AbortController();
  /** The one message that waits to be taken. */
  #message: Uint8Array | undefined;
  #messageTaken: () => void = () => undefined;
  #reader:
    | { resolve: (result: IteratorResult<Uint8Array, undefined>) => void; reject: (error: Error) => void }
    | undefined;
  #receiveClosed = false;
  #sendClosed = false;
  #handlerDone = false;
  /** Why it is over; undefined while it is not. "end" when it ended in order. */
  #over: "end" | Error | undefined;

  constructor(stream: ByteStream, id: bigint, method: string) {
    this.id = id;
    this.method = method;
    this.#sink = new PacketSink(stream, id);
  }

  get over(): boolean {
    return this.#over !== undefined;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  readonly requests: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({
      next: () => this.#nextRequest(),
      return: () => Promise.resolve({ done: true, value: undefined }),
    }),
  };

  async send(message: Uint8Array): Promise<void> {
    if (message.length > drpcLimits.packetBytes) {
      throw new TooBigError(message.length, drpcLimits.packetBytes, `an answer of "${this.method}"`);
    }
    if (this.#over instanceof Error) throw this.#over;
    if (this.#over || this.#sendClosed) throw new TransientError(`answer "${this.method}": the call is over`);
    this.#sink.add(packetKind.message, message);
    await this.#sink.flush();
  }

  // What follows is for the connection.

  start(handler: Handler): void {
    this.settled = this.#run(handler);
  }

  /** Answers with an Error instead of a handler. */
  refuse(code: bigint, text: string): void {
    this.settled = this.#sendError(code, text);
  }

  cancel(reason: unknown): void {
    this.#finish(
      reason instanceof Error ? reason : new TransientError(`call "${this.method}": canceled: ${messageOf(reason)}`),
    );
  }

  /** A packet for this call. Resolves when there is room for the next one; rejects with PeerError, or as `signal` does. */
  async handle(packet: Packet, signal: AbortSignal): Promise<void> {
    switch (packet.kind) {
      case packetKind.message:
        if (!this.#over && !this.#receiveClosed && !this.#handlerDone)
          await raceSignal(this.#offer(packet.data), signal);
        return;
      case packetKind.closeSend:
        if (this.#over) return;
        this.#receiveClosed = true;
        this.#deliver();
        if (this.#sendClosed) this.#finish("end");
        return;
      case packetKind.close:
        return this.#finish("end");
      case packetKind.error:
        return this.#finish(decodeError(packet.data));
      case packetKind.cancel:
        return this.#finish(new TransientError(`call "${this.method}": the caller has canceled it`));
      default:
        if (!packet.control) throw new PeerError(`read a packet: kind ${packet.kind}: unknown`);
    }
  }

  async #run(handler: Handler): Promise<void> {
    let error: unknown;
    let end: number | undefined;
    try {
      end = (await handler(this)) === "close" ? packetKind.close : packetKind.closeSend;
    } catch (thrown) {
      error = thrown;
    }
    this.#handlerDone = true;
    this.#messageTaken();
    if (end === undefined) return this.#sendError(errorCode.unspecified, messageOf(error));
    if (this.#over) return;
    this.#sendClosed = true;
    this.#sink.add(end);
    if (end === packetKind.close || this.#receiveClosed) this.#finish("end");
    await this.#flush();
  }

  async #sendError(code: bigint, text: string): Promise<void> {
    this.#handlerDone = true;
    if (this.#over) return;
    this.#sink.add(packetKind.error, encodeError(code, text));
    this.#finish("end");
    await this.#flush();
  }

  /** A stream that fails here is noticed by the connection, which reads it. */
  async #flush(): Promise<void> {
    await this.#sink.flush().catch(() => undefined);
  }

  #offer(message: Uint8Array): Promise<void> {
    this.#message = message;
    return new Promise((resolve) => {
      this.#messageTaken = resolve;
      this.#deliver();
    });
  }

  #nextRequest(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#reader)
      return Promise.reject(new Error(`read requests of "${this.method}": another read is pending: one reader only`));
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
      this.#deliver();
    });
  }

  /** Brings the reader and what there is for it together. */
  #deliver(): void {
    const reader = this.#reader;
    if (!reader) return;
    if (this.#over instanceof Error) {
      this.#reader = undefined;
      reader.reject(this.#over);
    } else if (this.#message !== undefined) {
      this.#reader = undefined;
      reader.resolve({ done: false, value: this.#message });
      this.#message = undefined;
      this.#messageTaken();
    } else if (this.#receiveClosed || this.#over) {
      this.#reader = undefined;
      reader.resolve({ done: true, value: undefined });
    }
  }

  #finish(how: "end" | Error): void {
    if (this.#over) return;
    this.#over = how;
    if (how instanceof Error) this.#message = undefined;
    this.#messageTaken();
    this.#deliver();
    if (!this.#handlerDone) {
      this.#controller.abort(
        how === "end" ? new TransientError(`call "${this.method}": the caller has closed it`) : how,
      );
    }
  }
}
