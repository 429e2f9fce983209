import { setMaxListeners } from "node:events";
import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { serveDrpc } from "../wire/drpc/server.ts";
import type { MuxSession } from "../wire/mux.ts";
import { webSocketMux, webSocketServerOptions } from "../wire/websocket.ts";
import { keepSeen } from "./daemons.ts";
import { checkHandshake } from "./handshake.ts";
import { type Reply, refusalReply } from "./http.ts";
import type { Waiter } from "./queue.ts";
import { HttpRefusal } from "./refusal.ts";
import type { ServePolicy } from "./serve-rules.ts";
import { serviceHandlers } from "./service.ts";
import type { World } from "./world.ts";

/** The daemons' connections: takes upgrades, serves calls, and ends them all. */
export class Gateway {
  /** Without a callback the library picks a subprotocol that the client offers; there is none here (spec/01 §1.3). */
  readonly #sockets = new WebSocketServer({ ...webSocketServerOptions, handleProtocols: () => false });
  readonly #sessions = new Map<MuxSession, Promise<void>>();

  constructor(
    readonly world: World,
    readonly policy: ServePolicy,
    /** Headers of every answer, the 101 included. */
    readonly responseHeaders: Readonly<Record<string, string>>,
  ) {
    this.#sockets.on("headers", (lines) => {
      for (const [name, value] of Object.entries(responseHeaders)) lines.push(`${name}: ${value}`);
    });
  }

  /** Connections that are up. */
  get connections(): number {
    return this.#sessions.size;
  }

  /** Takes the socket of an upgrade request: 101, or an answer that says why not. */
  upgrade(message: IncomingMessage, socket: Duplex, head: Buffer): void {
    let waiter: Waiter;
    try {
      waiter = checkHandshake(this.world, message, this.policy);
    } catch (error) {
      answerRaw(socket, refusalReply(error), this.responseHeaders);
      return;
    }
    this.#sockets.handleUpgrade(message, socket, head, (webSocket) => {
      const session = webSocketMux(webSocket, "server", { clock: this.world.clock });
      const serving = this.#serve(session, waiter).finally(() => this.#sessions.delete(session));
      this.#sessions.set(session, serving);
    });
  }

  /** What a request without an upgrade is refused with: all checks come before the missing upgrade (spec/01 §1.5). */
  refuse(message: IncomingMessage): Reply {
    checkHandshake(this.world, message, this.policy);
    throw new HttpRefusal(426, "WebSocket upgrade required.");
  }

  /** Cuts every connection as a broken network does; resolves when their calls have ended. */
  async cut(): Promise<void> {
    const serving = [...this.#sessions.values()];
    for (const session of this.#sessions.keys()) session.abort(new Error("connection cut"));
    await Promise.all(serving);
  }

  /** Closes every connection in order. */
  async close(): Promise<void> {
    const serving = [...this.#sessions.values()];
    await Promise.all([...this.#sessions.keys()].map((session) => session.close()));
    await Promise.all(serving);
  }

  async #serve(session: MuxSession, waiter: Waiter): Promise<void> {
    const handlers = serviceHandlers(this.world, waiter);
    const gone = new AbortController();
    // Every stream of the session listens, and takes its listener away again; yamux bounds their number.
    setMaxListeners(0, gone.signal);
    const seen = keepSeen(this.world, waiter.workerId, gone.signal);
    try {
      await serveDrpc(session, (method) => handlers.get(method), {}, gone.signal);
    } finally {
      gone.abort(new Error("the daemon is gone"));
      await seen;
    }
  }
}

/** An HTTP answer on a socket that node has handed over, and its end. */
export function answerRaw(
  socket: Duplex,
  { status, json }: { status: number; json: unknown },
  headers: Readonly<Record<string, string>>,
): void {
  socket.on("error", () => socket.destroy());
  const body = `${JSON.stringify(json)}\n`;
  const lines = Object.entries({
    "Content-Type": "application/json; charset=utf-8",
    "Content-Length": String(Buffer.byteLength(body)),
    Connection: "close",
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("")}\r\n${body}`);
}
