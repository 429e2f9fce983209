import { setMaxListeners } from "node:events";
import { PeerError, TooBigError, TransientError } from "../../kit/errors.ts";
import { raceSignal } from "../../kit/signals.ts";
import type { MuxSession } from "../mux.ts";
import type { ByteStream } from "../stream.ts";
import type { ClientCall, RpcClient } from "./api.ts";
import { drpcLimits, type Packet, packetKind } from "./packet.ts";
import { decodeError } from "./packet-data.ts";
import { PacketSink, PacketSource } from "./packet-stream.ts";

/** dRPC calls over a mux session (spec/01 §4.1): each opens a stream, runs with stream id 1, and closes it. */
export function drpcClient(mux: MuxSession): RpcClient {
  const open = async (method: string, signal: AbortSignal) => {
    // Hundreds of calls may share a signal; each takes its listener away again. Node warns from the eleventh on.
    setMaxListeners(0, signal);
    return new Call(await mux.open(signal), method, signal);
  };
  return {
    call: open,
    unary: async (method, request, signal) => {
      checkSize(method, request);
      const call = await open(method, signal);
      try {
        return await call.unary(request, signal);
      } finally {
        await call[Symbol.asyncDispose]();
      }
    },
  };
}

/** Runs one call on a stream that is already there: for tests, and for streams that are not yamux. */
export function callOn(stream: ByteStream, method: string, signal: AbortSignal): ClientCall {
  return new Call(stream, method, signal);
}

function checkSize(method: string, message: Uint8Array): void {
  if (message.length > drpcLimits.packetBytes) {
    throw new TooBigError(message.length, drpcLimits.packetBytes, `a message of "${method}"`);
  }
}

/**
 * One call, client side (spec/01 §4.9).
 *
 *  - running: messages go out until our CloseSend, and come in until the server's
 *  - over: Error, Close or Cancel came, or both sides have sent CloseSend, or the stream failed. Nothing more is sent
 *  - disposed: FIN is out, the signal's listener is gone
 */
class Call implements ClientCall {
  readonly #stream: ByteStream;
  readonly #method: string;
  readonly #source: PacketSource;
  readonly #sink: PacketSink;
  readonly #signal: AbortSignal;
  readonly #onAbort: () => void;
  #started = false;
  #sendClosed = false;
  #receiveClosed = false;
  /** How it ended: "closed" reads as undefined, an error is thrown by every further read. */
  #over: "closed" | Error | undefined;
  #disposed = false;
  /** A read that a caller gave up on: its packet is the next caller's. */
  #reading: Promise<Packet | undefined> | undefined;

  constructor(stream: ByteStream, method: string, signal: AbortSignal) {
    this.#stream = stream;
    this.#method = method;
    this.#signal = signal;
    this.#source = new PacketSource(stream);
    this.#sink = new PacketSink(stream, 1n);
    // Not sent yet: it travels with the first message, or alone with the first receive (spec/01 §4.6).
    this.#sink.add(packetKind.invoke, Buffer.from(method));
    this.#onAbort = () => {
      this.#over ??= signal.reason;
      // Plain FIN is how a call is canceled (spec/01 §4.10).
      void this.#leave();
    };
    if (signal.aborted) this.#onAbort();
    else signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** The whole of a unary call but its disposal. */
  async unary(request: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    this.#sink.add(packetKind.message, request);
    this.#sink.add(packetKind.closeSend);
    this.#sendClosed = true;
    const answer = await this.receive(signal);
    if (answer) return answer;
    throw new TransientError(`call "${this.#method}": the answer ended without a message`);
  }

  async send(message: Uint8Array): Promise<void> {
    checkSize(this.#method, message);
    this.#checkSend();
    this.#sink.add(packetKind.message, message);
    await this.#flush();
  }

  async closeSend(): Promise<void> {
    this.#checkSend();
    this.#sendClosed = true;
    this.#sink.add(packetKind.closeSend);
    if (this.#receiveClosed) this.#over ??= "closed";
    await this.#flush();
  }

  async receive(signal: AbortSignal): Promise<Uint8Array | undefined> {
    // Not awaited: an early Error must not wait until the request is written. When the write fails, the read says why.
    if (!this.#over) void this.#flush().catch(() => undefined);
    while (!this.#over) {
      this.#reading ??= this.#source.next();
      try {
        const packet = await raceSignal(this.#reading, signal);
        this.#reading = undefined;
        const found = this.#take(packet);
        if (found === "end") return undefined;
        if (found) return found;
      } catch (error) {
        if (!this.#over && signal.aborted) throw signal.reason;
        this.#fail(error);
      }
    }
    if (this.#over === "closed") return undefined;
    throw this.#over;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#takeReady();
    if (this.#started && !this.#over) {
      this.#sink.add(packetKind.close);
      void this.#flush().catch(() => undefined);
    }
    await this.#leave();
  }

  #flush(): Promise<void> {
    this.#started = true;
    return this.#sink.flush();
  }

  /** Looks at what has come already: after the server's own end, Close is not needed (spec/01 §4.8). */
  #takeReady(): void {
    try {
      for (let packet = this.#source.ready(); packet && !this.#over; packet = this.#source.ready()) this.#take(packet);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Handles a packet: the message in it, "end" for the end of the answer, or undefined. Undefined in is the stream's end. */
  #take(packet: Packet | undefined): Uint8Array | "end" | undefined {
    if (!packet) {
      // A server that closes the stream after its last packet is tolerated (spec/01 §4.9).
      if (this.#receiveClosed) this.#over ??= "closed";
      else this.#fail(new TransientError(`call "${this.#method}": the server has closed the stream without an end`));
      return undefined;
    }
    if (packet.stream !== 1n) throw this.#violation(`stream id "${packet.stream}": should be 1`);
    switch (packet.kind) {
      case packetKind.message:
        return this.#receiveClosed ? undefined : packet.data;
      case packetKind.error:
        this.#fail(decodeError(packet.data));
        return undefined;
      case packetKind.cancel:
        this.#fail(new TransientError(`call "${this.#method}": the server has canceled it`));
        return undefined;
      case packetKind.close:
        this.#over ??= "closed";
        return undefined;
      case packetKind.closeSend:
        this.#receiveClosed = true;
        if (this.#sendClosed) this.#over ??= "closed";
        return "end";
      case packetKind.invoke:
      case packetKind.invokeMetadata:
        throw this.#violation(`kind ${packet.kind}: only a client sends it`);
      default:
        if (!packet.control) throw this.#violation(`kind ${packet.kind}: unknown`);
        return undefined;
    }
  }

  #violation(what: string): PeerError {
    return new PeerError(`call "${this.#method}": read a packet: ${what}`);
  }

  #checkSend(): void {
    if (this.#over === "closed") throw new TransientError(`call "${this.#method}": the server has closed it`);
    if (this.#over) throw this.#over;
    if (this.#sendClosed) throw new Error(`call "${this.#method}": send after CloseSend`);
  }

  /** The first reason wins. A violation gets FIN at once (spec/01 §4.9). */
  #fail(error: unknown): void {
    this.#over ??= error instanceof Error ? error : new Error(String(error));
    if (error instanceof PeerError) void this.#leave();
  }

  /** FIN, whatever still waits to be written; what still arrives is dropped. */
  async #leave(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#signal.removeEventListener("abort", this.#onAbort);
    this.#over ??= new Error(`call "${this.#method}": it was disposed`);
    this.#reading?.catch(() => undefined);
    await this.#stream[Symbol.asyncDispose]();
  }
}
