import { setMaxListeners } from "node:events";
import { PeerError, TransientError } from "../../kit/errors.ts";
import { raceSignal } from "../../kit/signals.ts";
import type { MuxSession } from "../mux.ts";
import type { ByteStream } from "../stream.ts";
import type { Handler } from "./api.ts";
import { type Packet, packetKind } from "./packet.ts";
import { decodeMetadata, errorCode } from "./packet-data.ts";
import { PacketSource } from "./packet-stream.ts";
import { ServedCall } from "./served-call.ts";

export interface ServeOptions {
  /** Hears about violations of callers. */
  log?: (text: string) => void;
}

/** Finds the handler of a method path; undefined answers `unknown rpc` (spec/01 §4.13). */
export type FindHandler = (method: string) => Handler | undefined;

/**
 * Serves the calls on all streams that the peer opens. Resolves when the session has ended, or `signal` has aborted, and every
 * handler has settled. Aborting cancels the handlers and closes their streams; the session itself is the caller's.
 */
export async function serveDrpc(
  mux: MuxSession,
  find: FindHandler,
  options: ServeOptions,
  signal: AbortSignal,
): Promise<void> {
  // One listener per stream, taken away with it: Node would warn from the eleventh on.
  setMaxListeners(0, signal);
  const running = new Set<Promise<void>>();
  const streams = mux.incoming[Symbol.asyncIterator]();
  for (;;) {
    const next = await raceSignal(streams.next(), signal).catch(() => undefined);
    if (!next || next.done) break;
    const served = serveStream(next.value, find, options, signal).finally(() => running.delete(served));
    running.add(served);
  }
  await Promise.all(running);
}

/** Serves one stream: calls one after the other, until the peer closes it. Never rejects. */
export async function serveStream(
  stream: ByteStream,
  find: FindHandler,
  options: ServeOptions,
  signal: AbortSignal,
): Promise<void> {
  const connection = new Connection(stream, find);
  const stop = () => connection.cancel(signal.reason);
  const leave = () => connection.cancel(stream.gone?.reason);
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  stream.gone?.addEventListener("abort", leave, { once: true });
  try {
    await connection.run();
  } catch (error) {
    if (error instanceof PeerError) options.log?.(`drpc: ${error.message}`);
  } finally {
    signal.removeEventListener("abort", stop);
    stream.gone?.removeEventListener("abort", leave);
    // No Error packet after a violation, only FIN (spec/01 §4.9).
    connection.cancel(new TransientError("the connection is closed"));
    await stream[Symbol.asyncDispose]();
    await connection.settled;
  }
}

/**
 * The calls of one stream, one after the other.
 *
 *  - idle: waits for Invoke or metadata; packets of calls that are over are ignored
 *  - serving: `#call` runs; its packets go to it
 *  - canceled: the peer or this side has left; nothing is read any more
 */
class Connection {
  readonly #stream: ByteStream;
  readonly #find: FindHandler;
  readonly #source: PacketSource;
  readonly #canceled = new AbortController();
  #call: ServedCall | undefined;

  constructor(stream: ByteStream, find: FindHandler) {
    this.#stream = stream;
    this.#find = find;
    this.#source = new PacketSource(stream);
  }

  get settled(): Promise<void> {
    return this.#call?.settled ?? Promise.resolve();
  }

  cancel(reason: unknown): void {
    this.#canceled.abort(reason);
    this.#call?.cancel(reason);
  }

  /** Resolves at the end of the stream; rejects with PeerError on a violation, and with whatever ended it early. */
  async run(): Promise<void> {
    for (;;) {
      const packet = await raceSignal(this.#source.next(), this.#canceled.signal);
      if (!packet) return;
      await this.#handle(packet);
    }
  }

  async #handle(packet: Packet): Promise<void> {
    const known = this.#call?.id ?? 0n;
    if (packet.stream > known) {
      // A packet for a newer call ends the running one (spec/01 §4.9).
      this.#call?.cancel(new TransientError("the caller has gone on to another call"));
    }
    switch (packet.kind) {
      case packetKind.invokeMetadata:
        if (packet.stream === known) throw new PeerError("read a packet: InvokeMetadata after Invoke");
        decodeMetadata(packet.data);
        return;
      case packetKind.invoke:
        if (packet.stream === known) {
          if (this.#call?.over) return;
          throw new PeerError("read a packet: Invoke for a call that runs");
        }
        return this.#start(packet);
      default:
        if (packet.stream === known) return this.#call?.handle(packet, this.#canceled.signal);
        if (!isKnown(packet.kind) && packet.control) return;
        throw new PeerError(`read a packet: kind ${packet.kind} before Invoke`);
    }
  }

  async #start(packet: Packet): Promise<void> {
    // One handler at a time, as with the peer's library: whoever cancels and calls again cannot pile them up.
    if (this.#call) await raceSignal(this.#call.settled, this.#canceled.signal);
    const method = Buffer.from(packet.data).toString();
    this.#call = new ServedCall(this.#stream, packet.stream, method);
    const handler = this.#find(method);
    if (handler) this.#call.start(handler);
    else this.#call.refuse(errorCode.unspecified, `protocol error: unknown rpc: ${JSON.stringify(method)}`);
  }
}

function isKnown(kind: number): boolean {
  return kind >= packetKind.invoke && kind <= packetKind.invokeMetadata;
}
