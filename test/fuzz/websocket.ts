import { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import { webSocketMux, webSocketServerOptions } from "../../src/wire/websocket.ts";
import { flag } from "../../src/wire/yamux/frame.ts";
import type { YamuxSession } from "../../src/wire/yamux/session.ts";
import { dataFrame, frame } from "../support/wire-pipes.ts";
import { bytesOf, mutate, pick, recut, upTo } from "./random.ts";
import { settles, turn } from "./settle.ts";

/**
 * Yamux bytes in WebSocket messages, cut, fragmented and damaged, against our server's end of a socket in memory.
 * Undamaged ones must come out whole whatever the messages' borders; damaged ones must end in order.
 */
export const webSocketFuzz = {
  name: "websocket",
  async run(random: () => number, count: number): Promise<void> {
    const server = new WebSocketServer(webSocketServerOptions);
    for (let n = 0; n < count; n++) await one(random, server);
  },
};

async function one(random: () => number, server: WebSocketServer): Promise<void> {
  const wire = new WireEnd();
  const clock = new FakeClock();
  const session = await accept(server, wire, clock);
  const sent = bytesOf(random, upTo(random, 400));
  const received: Uint8Array[] = [];
  const reading = readFirst(session, received);
  const yamux = [frame("windowUpdate", flag.syn, 1, 0), dataFrame(1, sent), frame("windowUpdate", flag.fin, 1, 0)];
  const damaged = upTo(random, 4) > 0;
  const frames = asMessages(random, yamux);
  const pieces = damaged ? mutate(random, frames) : frames;
  for (const piece of recut(random, pieces)) {
    wire.push(piece);
    if (upTo(random, 10) === 0) await turn();
  }
  if (!damaged) {
    await settles("the reading of a whole stream", reading);
    if (Buffer.compare(Buffer.concat(received), sent) !== 0) throw new Error("other bytes arrived");
  }
  await turn();
  wire.destroy();
  await settles("the session's end", Promise.all([session.ended, reading]));
  if (session.openStreams > 0) throw new Error(`${session.openStreams} streams are left`);
  if (clock.pending > 0) await clock.advance(5_000);
  if (clock.pending > 0) throw new Error(`${clock.pending} timers are left`);
}

async function readFirst(session: YamuxSession, received: Uint8Array[]): Promise<void> {
  try {
    const { value: stream } = await session.incoming[Symbol.asyncIterator]().next();
    if (stream) for await (const chunk of stream) received.push(Uint8Array.from(chunk));
  } catch {
    // An end as good as any.
  }
}

/** The bytes in WebSocket frames of chance: any borders, empty messages, fragments, pings between. */
function asMessages(random: () => number, pieces: Uint8Array[]): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (const piece of recut(random, pieces)) {
    if (upTo(random, 6) === 0) frames.push(maskedFrame(random, 0x82, new Uint8Array(0)));
    if (upTo(random, 4) > 0) {
      frames.push(maskedFrame(random, 0x82, piece));
      continue;
    }
    const middle = upTo(random, piece.length + 1);
    frames.push(maskedFrame(random, 0x02, piece.subarray(0, middle)));
    if (upTo(random, 3) === 0) frames.push(maskedFrame(random, 0x89, bytesOf(random, upTo(random, 20))));
    frames.push(maskedFrame(random, 0x80, piece.subarray(middle)));
  }
  return frames;
}

function maskedFrame(random: () => number, first: number, payload: Uint8Array): Uint8Array {
  const mask = bytesOf(random, 4);
  const length = payload.length;
  const head = length > 125 ? [first, 0x80 | 126, length >> 8, length & 0xff] : [first, 0x80 | length];
  return Uint8Array.from([...head, ...mask, ...payload.map((byte, at) => byte ^ (mask[at & 3] as number))]);
}

/** The peer's TCP connection, in memory. */
class WireEnd extends Duplex {
  override _read(): void {}

  override _write(_chunk: unknown, _encoding: unknown, done: () => void): void {
    done();
  }

  setTimeout(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }
}

function accept(server: WebSocketServer, wire: WireEnd, clock: FakeClock): Promise<YamuxSession> {
  const request = new IncomingMessage(wire as unknown as Socket);
  request.method = "GET";
  request.headers = {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": pick(() => 0, ["AAAAAAAAAAAAAAAAAAAAAA=="]),
  };
  return new Promise((resolve) => {
    server.handleUpgrade(request, wire, Buffer.alloc(0), (socket: WebSocket) => {
      resolve(webSocketMux(socket, "server", { clock }));
    });
  });
}
