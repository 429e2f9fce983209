import type { ClientOptions, RawData, ServerOptions, WebSocket } from "ws";
import type { Clock } from "../kit/clock.ts";
import { PeerError, TransientError } from "../kit/errors.ts";
import type { Pipe, PipeListener } from "./yamux/pipe.ts";
import { type YamuxSession, yamuxSession } from "./yamux/session.ts";

/** The biggest message that is taken: every release of the peer stays below (spec/01 §2.2). */
const maxPayload = 4_194_304;

/** Options of `new WebSocket` for the agent (spec/01 §1.3, §3.12.7): no extension offered, no redirect followed. */
export const webSocketClientOptions = {
  perMessageDeflate: false,
  followRedirects: false,
  handshakeTimeout: 30_000,
  maxPayload,
} as const satisfies ClientOptions;

/** Options of `new WebSocketServer` for the control plane: no extension, no subprotocol callback (spec/01 §3.12.7). */
export const webSocketServerOptions = {
  noServer: true,
  perMessageDeflate: false,
  clientTracking: false,
  maxPayload,
} as const satisfies ServerOptions;

/** How long the peer has to answer our close frame (spec/01 §2.4). */
const closeMs = 5_000;

/** Longest reason of a close frame in bytes (spec/01 §2.4). */
const maxReasonBytes = 123;

interface WebSocketMuxOptions {
  clock: Clock;
  log?: (text: string) => void;
}

/**
 * Runs yamux over an open WebSocket, which it owns from now on. Call it in the same turn as the `open` or `connection` event:
 * messages that nobody listens to are lost. Every end that was not ours, whatever its close code, settles `ended` with an error.
 */
export function webSocketMux(socket: WebSocket, role: "client" | "server", options: WebSocketMuxOptions): YamuxSession {
  return yamuxSession(new WebSocketPipe(socket, options.clock), role, options);
}

/**
 *  - open: messages go both ways
 *  - closing: our close frame is out; what still arrives is dropped; 5 s later the socket is cut
 *  - closed: the socket is gone, `#gone` has settled
 */
class WebSocketPipe implements Pipe {
  readonly #socket: WebSocket;
  readonly #clock: Clock;
  readonly #gone: Promise<void>;
  #settleGone: () => void = () => undefined;
  #listener: PipeListener | undefined;
  #failure: Error | undefined;
  #closing = false;

  constructor(socket: WebSocket, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
    this.#gone = new Promise((resolve) => {
      this.#settleGone = resolve;
    });
  }

  listen(listener: PipeListener): void {
    this.#listener = listener;
    const socket = this.#socket;
    socket.binaryType = "nodebuffer";
    socket.on("message", (data, isBinary) => this.#onMessage(data, isBinary));
    socket.on("error", (error) => {
      this.#failure ??= new TransientError(`connection lost: ${error.message}`, { cause: error });
    });
    socket.on("close", (code, reason) => this.#onClose(code, reason.toString()));
    if (socket.readyState === socket.CLOSED) setImmediate(() => this.#onClose(1006, ""));
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  send(message: Uint8Array): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    this.#socket.send(message, { binary: true }, () => this.#listener?.drained());
  }

  async close(code: number, reason: string): Promise<void> {
    const socket = this.#socket;
    if (!this.#closing && socket.readyState !== socket.CLOSED) {
      this.#closing = true;
      socket.close(code, Buffer.from(reason).subarray(0, maxReasonBytes));
      const timer = this.#clock.after(closeMs, () => socket.terminate());
      void this.#gone.then(() => timer[Symbol.dispose]());
    }
    if (socket.readyState !== socket.CLOSED) await this.#gone;
  }

  destroy(): void {
    this.#closing = true;
    this.#socket.terminate();
  }

  #onMessage(data: RawData, isBinary: boolean): void {
    if (this.#closing) return;
    if (isBinary) {
      this.#listener?.received(data as Buffer);
      return;
    }
    const error = new PeerError("read the WebSocket: a text message: only binary ones belong here");
    this.#failure ??= error;
    void this.close(1003, "only binary messages");
    this.#listener?.closed(error);
  }

  #onClose(code: number, reason: string): void {
    this.#settleGone();
    const ours = this.#closing && !this.#failure;
    const lost = () => new TransientError(`connection lost: closed with "${code}"${reason && `: ${reason}`}`);
    this.#listener?.closed(ours ? undefined : (this.#failure ?? lost()));
  }
}
