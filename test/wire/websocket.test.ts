import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { systemClock } from "../../src/kit/clock.ts";
import { PeerError, TransientError } from "../../src/kit/errors.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import type { Handler } from "../../src/wire/drpc/api.ts";
import { drpcClient } from "../../src/wire/drpc/client.ts";
import { serveDrpc } from "../../src/wire/drpc/server.ts";
import type { ByteStream } from "../../src/wire/stream.ts";
import { webSocketClientOptions, webSocketMux } from "../../src/wire/websocket.ts";
import { encodeFrame, flag, frameType } from "../../src/wire/yamux/frame.ts";
import type { YamuxSession } from "../../src/wire/yamux/session.ts";
import { dataFrame, FrameCollector, frame } from "../support/wire-pipes.ts";
import { dial, socketServer } from "../support/wire-sockets.ts";

const never = new AbortController().signal;
const clock = systemClock;

/** A session of ours on one end of a real socket, and the bare socket on the other. */
async function withBareClient(role: "client" | "server" = "server") {
  let accepted: (value: [WebSocket, Socket]) => void = () => undefined;
  const accepting = new Promise<[WebSocket, Socket]>((resolve) => {
    accepted = resolve;
  });
  const make = (socket: WebSocket) => webSocketMux(socket, role, { clock });
  let session: YamuxSession | undefined;
  const server = await socketServer((socket, tcp) => {
    if (role === "server") session = make(socket);
    accepted([socket, tcp]);
  });
  const [dialled] = await Promise.all([
    dial(server.url, (socket) => {
      if (role === "client") session = make(socket);
      return socket;
    }),
    accepting,
  ]);
  const [acceptedSocket, tcp] = await accepting;
  const bare = role === "server" ? dialled : acceptedSocket;
  const messages: Buffer[] = [];
  const collector = new FrameCollector();
  bare.on("message", (data) => {
    messages.push(data as Buffer);
    collector.push(data as Buffer);
  });
  bare.on("error", () => undefined);
  return { server, session: session as YamuxSession, bare, tcp, messages, frames: collector.frames };
}

/** Two sessions of ours over a real socket. */
async function withBoth(handler: (method: string) => Handler | undefined) {
  let serving: Promise<void> = Promise.resolve();
  let serverSession: YamuxSession | undefined;
  const stop = new AbortController();
  const server = await socketServer((socket) => {
    serverSession = webSocketMux(socket, "server", { clock });
    serving = serveDrpc(serverSession, handler, {}, stop.signal);
  });
  let socket: WebSocket | undefined;
  const session = await dial(server.url, (opened) => {
    socket = opened;
    return webSocketMux(opened, "client", { clock });
  });
  return {
    session,
    socket: socket as WebSocket,
    serverSession: serverSession as YamuxSession,
    rpc: drpcClient(session),
    [Symbol.asyncDispose]: async () => {
      await session.close();
      await serving;
      await server[Symbol.asyncDispose]();
    },
  };
}

const accept = async (session: YamuxSession) =>
  (await session.incoming[Symbol.asyncIterator]().next()).value as ByteStream;
const nextOf = async (stream: ByteStream) => Buffer.from((await stream[Symbol.asyncIterator]().next()).value ?? []);

/** Waits until a fact holds, a turn of the event loop at a time. */
async function until(fact: () => boolean): Promise<void> {
  while (!fact()) await new Promise((resolve) => setImmediate(resolve));
}

describe("messages", () => {
  test.each(["server", "client"] as const)("01#37 a text message ends the connection with 1003 (%s)", async (role) => {
    const { server, session, bare } = await withBareClient(role);
    const closed = once(bare, "close");
    bare.send("hello");
    expect((await closed)[0]).toBe(1003);
    expect(await session.ended).toBeInstanceOf(PeerError);
    await server[Symbol.asyncDispose]();
  });

  test("01#38 no sent message is above 262144 bytes, header and all; ours stay at 65548", async () => {
    const { server, session, bare, messages } = await withBareClient();
    bare.send(frame("windowUpdate", flag.syn, 1, 10_000_000));
    const stream = await accept(session);
    await stream.write(new Uint8Array(4_194_304));
    await until(() => messages.reduce((sum, { length }) => sum + length, 0) >= 4_194_304 + 64 * 12);
    expect(Math.max(...messages.map(({ length }) => length))).toBe(65_548);
    await server[Symbol.asyncDispose]();
  });

  test("01#39 a message of 262144 bytes is accepted, and one of 4 MiB", async () => {
    const { server, session, bare } = await withBareClient();
    bare.send(
      Buffer.concat([
        encodeFrame({ type: frameType.data, flags: flag.syn, streamId: 1, length: 262_132 }),
        Buffer.alloc(262_132),
      ]),
    );
    const stream = await accept(session);
    const read = stream[Symbol.asyncIterator]();
    for (let bytes = 0; bytes < 262_132; ) bytes += (await read.next()).value?.length ?? Number.NaN;
    const pings = Buffer.concat(Array.from({ length: 4_194_304 / 12 }, () => frame("windowUpdate", 0, 99, 0)));
    bare.send(pings);
    bare.send(dataFrame(1, Buffer.from("after")));
    expect((await nextOf(stream)).toString()).toBe("after");
    await server[Symbol.asyncDispose]();
  });

  test("01#40 01#41 01#42 frames one byte per message, ten in one, empty and fragmented messages", async () => {
    const { server, session, bare } = await withBareClient();
    for (const byte of dataFrame(1, Buffer.from("a"), flag.syn)) bare.send(Uint8Array.of(byte));
    const stream = await accept(session);
    expect((await nextOf(stream)).toString()).toBe("a");
    bare.send(Buffer.concat(Array.from({ length: 10 }, (_, n) => dataFrame(1, Buffer.from(String(n))))));
    let text = "";
    while (text.length < 10) text += (await nextOf(stream)).toString();
    expect(text).toBe("0123456789");
    bare.send(new Uint8Array(0));
    const fragmented = dataFrame(1, Buffer.from("in parts"));
    for (let at = 0; at < fragmented.length; at += 3)
      bare.send(fragmented.subarray(at, at + 3), { fin: at + 3 >= fragmented.length });
    text = "";
    while (text.length < 8) text += (await nextOf(stream)).toString();
    expect(text).toBe("in parts");
    await server[Symbol.asyncDispose]();
  });

  test("01#43 01#57 WebSocket pings and yamux pings are answered within 1 s while large transfers run", async () => {
    const { server, session, bare, frames } = await withBareClient();
    bare.send(frame("windowUpdate", flag.syn, 1, 100_000_000));
    const stream = await accept(session);
    let sending = true;
    const transfer = (async () => {
      while (sending) await stream.write(new Uint8Array(4_194_304));
    })().catch(() => undefined);
    await until(() => frames.length > 20);
    const since = performance.now();
    const pong = once(bare, "pong");
    bare.ping("x");
    await pong;
    bare.send(frame("ping", flag.syn, 0, 7));
    await until(() =>
      frames.some(({ type, flags, length }) => type === frameType.ping && flags === flag.ack && length === 7),
    );
    expect(performance.now() - since).toBeLessThan(1000);
    sending = false;
    await transfer;
    await server[Symbol.asyncDispose]();
  });
});

describe("ends", () => {
  test.each([1000, 1001, 1009, 1011])("01#44 close code %i ends the session as lost", async (code) => {
    const { server, session, bare } = await withBareClient("client");
    bare.close(code, "because");
    expect(await session.ended).toMatchObject({
      name: "TransientError",
      message: `connection lost: closed with "${code}": because`,
    });
    await server[Symbol.asyncDispose]();
  });

  test("01#44 01#70 a connection that breaks off (1006) fails all that is pending within 1 s", async () => {
    const { server, session, tcp } = await withBareClient("client");
    const stream = await session.open(never);
    for (let n = 0; n < 255; n++) await session.open(never);
    const pending = [session.open(never), nextOf(stream), stream.write(new Uint8Array(300_000))];
    const settled = Promise.allSettled(pending);
    const since = performance.now();
    tcp.destroy();
    expect(
      (await settled).map((result) => result.status === "rejected" && result.reason instanceof TransientError),
    ).toEqual([true, true, true]);
    expect(performance.now() - since).toBeLessThan(1000);
    expect(await session.ended).toMatchObject({ message: 'connection lost: closed with "1006"' });
    await server[Symbol.asyncDispose]();
  });

  test("a message above 4 MiB ends the session with 1009", async () => {
    const { server, session, bare } = await withBareClient();
    const closed = once(bare, "close");
    bare.send(Buffer.alloc(4_194_305));
    expect((await closed)[0]).toBe(1009);
    expect(await session.ended).toBeInstanceOf(TransientError);
    await server[Symbol.asyncDispose]();
  });

  test("01#64 a yamux violation is answered with GoAway 1 and close code 1002", async () => {
    const { server, session, bare, frames } = await withBareClient();
    const closed = once(bare, "close");
    bare.send(Buffer.concat([frame("windowUpdate", flag.syn, 1, 0), frame("windowUpdate", flag.syn, 1, 0)]));
    expect((await closed)[0]).toBe(1002);
    expect(frames.at(-1)).toMatchObject({ type: frameType.goAway, length: 1 });
    expect(await session.ended).toBeInstanceOf(PeerError);
    await server[Symbol.asyncDispose]();
  });

  test("close() sends 1000 and resolves when the peer has answered", async () => {
    const { server, session, bare } = await withBareClient("client");
    const closed = once(bare, "close");
    await session.close();
    expect((await closed)[0]).toBe(1000);
    expect(await session.ended).toBeUndefined();
    await session.close();
    await server[Symbol.asyncDispose]();
  });

  test("close() waits 5 s for a peer that does not answer, then cuts the connection", async () => {
    // A server that upgrades and then reads nothing it would answer.
    const server = createServer((tcp) => {
      tcp.once("data", (head) => {
        const key = /sec-websocket-key: (.*)\r\n/i.exec(head.toString())?.[1] ?? "";
        const acceptKey = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
        tcp.write(
          `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptKey}\r\n\r\n`,
        );
        tcp.on("data", () => undefined);
      });
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const fake = new FakeClock();
    const session = await dial(`ws://127.0.0.1:${port}/`, (socket) => webSocketMux(socket, "client", { clock: fake }));
    let over = false;
    const closing = session.close().then(() => {
      over = true;
    });
    await fake.advance(4_999);
    expect(over).toBe(false);
    await fake.advance(1);
    await closing;
    expect(fake.pending).toBe(0);
    server.close();
  });

  test("a client that does not mask its frames is cut off", async () => {
    const server = await socketServer((socket) => {
      const session = webSocketMux(socket, "server", { clock });
      void session.ended.then((error) => ended(error));
    });
    let ended: (error: Error | undefined) => void = () => undefined;
    const lost = new Promise<Error | undefined>((resolve) => {
      ended = resolve;
    });
    const tcp = connect(Number(new URL(server.url).port), "127.0.0.1");
    tcp.on("error", () => undefined);
    tcp.write(
      "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    );
    await once(tcp, "data");
    tcp.write(Uint8Array.of(0x82, 0x01, 0x00));
    expect(await lost).toBeInstanceOf(TransientError);
    tcp.destroy();
    await server[Symbol.asyncDispose]();
  });
});

describe("calls over a real socket", () => {
  const echo: Handler = async (call) => {
    for await (const message of call.requests) await call.send(message);
    return "close-send";
  };

  test("01#103 200 calls at once, and thousands one after the other, do not disturb each other and leave nothing open", async () => {
    await using both = await withBoth(() => echo);
    const request = (n: number) => Buffer.alloc(1 + ((n * 977) % 30_000), n);
    const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => both.rpc.unary("/m", request(n), never)));
    for (const [n, answer] of answers.entries()) expect(Buffer.compare(answer, request(n))).toBe(0);
    for (let n = 0; n < 2000; n++) await both.rpc.unary("/m", Buffer.from("x"), never);
    await until(() => both.session.openStreams === 0 && both.serverSession.openStreams === 0);
  });

  test("01#82 exactly 4194304 bytes pass both ways", async () => {
    await using both = await withBoth(() => echo);
    const message = Buffer.alloc(4_194_304, 5);
    expect(Buffer.compare(await both.rpc.unary("/m", message, never), message)).toBe(0);
  });

  test("01#43 pings of WebSocket and calls pass while a 64 MiB stream runs", async () => {
    const piece = Buffer.alloc(1_048_576);
    const source: Handler = async (call) => {
      for (let n = 0; n < 64; n++) await call.send(piece);
      return "close-send";
    };
    await using both = await withBoth((method) => (method === "/source" ? source : echo));
    await using big = await both.rpc.call("/source", never);
    await big.receive(never);
    const pong = once(both.socket, "pong");
    both.socket.ping();
    await pong;
    expect(Buffer.from(await both.rpc.unary("/m", Buffer.from("small"), never)).toString()).toBe("small");
    let messages = 1;
    while (await big.receive(never)) messages++;
    expect(messages).toBe(64);
  });
});

test("the client offers no extension and no subprotocol, and follows no redirect", async () => {
  let head = "";
  const server = createServer((tcp) => {
    tcp.once("data", (data) => {
      head = data.toString();
      tcp.end("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, webSocketClientOptions);
  const [error] = (await once(socket, "error")) as [Error];
  expect(error.message).toContain("307");
  expect(head).toMatch(/^GET \/ HTTP\/1\.1/);
  expect(head).not.toMatch(/sec-websocket-(extensions|protocol)|origin/i);
  server.close();
});
