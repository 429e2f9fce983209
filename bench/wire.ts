import { fork } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { WebSocket, WebSocketServer } from "ws";
import { systemClock } from "../src/kit/clock.ts";
import type { Handler } from "../src/wire/drpc/api.ts";
import { drpcClient } from "../src/wire/drpc/client.ts";
import { serveDrpc } from "../src/wire/drpc/server.ts";
import { webSocketClientOptions, webSocketMux, webSocketServerOptions } from "../src/wire/websocket.ts";
import { type Figure, median } from "./figure.ts";

const pieceBytes = 1_048_576;
const pieces = 128;
const smallCalls = 2_000;
const rounds = 3;
const never = new AbortController().signal;

/**
 * Throughput between two processes on loopback, client to server: all layers (WebSocket, yamux, dRPC), bare `ws` in messages of
 * the size that yamux uses, and their ratio, which is to be 0.4 or more. And small calls, one after the other and 200 at once.
 */
export async function benchWire(): Promise<Figure[]> {
  const server = fork(fileURLToPath(import.meta.url), ["serve"], { execArgv: ["--import", "tsx"] });
  const [port] = (await once(server, "message")) as [number];
  try {
    const bare: number[] = [];
    const full: number[] = [];
    for (let round = 0; round < rounds; round++) {
      bare.push(await bareUpload(port));
      full.push(await fullUpload(port));
    }
    const [one, many] = await calls(port);
    const ratio = median(full) / median(bare);
    return [
      { name: "bare ws, messages of 64 KiB", value: median(bare), unit: "MB/s" },
      { name: "WebSocket + yamux + dRPC, messages of 1 MiB", value: median(full), unit: "MB/s" },
      { name: "ratio", value: ratio, unit: "", note: `aim ≥ 0.4${ratio < 0.4 ? ": missed" : ""}` },
      { name: "unary calls, one after the other", value: one, unit: "call/s" },
      { name: "unary calls, 200 at once", value: many, unit: "call/s" },
    ];
  } finally {
    server.kill("SIGKILL");
  }
}

async function open<T>(port: number, path: string, onOpen: (socket: WebSocket) => T): Promise<T> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/${path}`, webSocketClientOptions);
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("open", () => resolve(onOpen(socket)));
  });
}

const megabytesPerSecond = (sinceMs: number) => (pieces * pieceBytes) / 1e6 / ((performance.now() - sinceMs) / 1000);

async function bareUpload(port: number): Promise<number> {
  const socket = await open(port, "bare", (opened) => opened);
  const message = Buffer.alloc(65_536, 1);
  const done = once(socket, "message");
  const since = performance.now();
  for (let left = pieces * pieceBytes; left > 0; left -= message.length) {
    // As our own writers: wait while 1 MiB lies in the socket.
    if (socket.bufferedAmount < 1_048_576) socket.send(message);
    else await new Promise((resolve) => socket.send(message, resolve));
  }
  await done;
  const speed = megabytesPerSecond(since);
  socket.terminate();
  return speed;
}

async function fullUpload(port: number): Promise<number> {
  const session = await open(port, "full", (opened) => webSocketMux(opened, "client", { clock: systemClock }));
  const message = Buffer.alloc(pieceBytes, 1);
  const call = await drpcClient(session).call("/sink", never);
  const since = performance.now();
  for (let n = 0; n < pieces; n++) await call.send(message);
  await call.closeSend();
  await call.receive(never);
  const speed = megabytesPerSecond(since);
  await call[Symbol.asyncDispose]();
  await session.close();
  return speed;
}

async function calls(port: number): Promise<[one: number, many: number]> {
  const session = await open(port, "full", (opened) => webSocketMux(opened, "client", { clock: systemClock }));
  const rpc = drpcClient(session);
  const request = Buffer.alloc(100);
  const perSecond = async (work: () => Promise<void>) => {
    const since = performance.now();
    await work();
    return smallCalls / ((performance.now() - since) / 1000);
  };
  const one = await perSecond(async () => {
    for (let n = 0; n < smallCalls; n++) await rpc.unary("/echo", request, never);
  });
  const many = await perSecond(async () => {
    const caller = async () => {
      for (let n = 0; n < smallCalls / 200; n++) await rpc.unary("/echo", request, never);
    };
    await Promise.all(Array.from({ length: 200 }, caller));
  });
  await session.close();
  return [one, many];
}

/** The other process: takes everything in, and answers when it has all. */
async function serve(): Promise<void> {
  const sink: Handler = async (call) => {
    for await (const _message of call.requests);
    await call.send(new Uint8Array(0));
    return "close-send";
  };
  const echo: Handler = async (call) => {
    for await (const message of call.requests) await call.send(message);
    return "close-send";
  };
  const http = createServer();
  const webSockets = new WebSocketServer(webSocketServerOptions);
  http.on("upgrade", (request, tcp, head) => {
    webSockets.handleUpgrade(request, tcp, head, (socket) => {
      if (request.url === "/bare") return takeBare(socket);
      const session = webSocketMux(socket, "server", { clock: systemClock });
      void serveDrpc(session, (method) => (method === "/sink" ? sink : echo), {}, never);
    });
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  process.send?.((http.address() as AddressInfo).port);
}

function takeBare(socket: WebSocket): void {
  let left = pieces * pieceBytes;
  socket.on("message", (data: Buffer) => {
    left -= data.length;
    if (left === 0) socket.send("done");
  });
}

if (process.argv[2] === "serve" && process.send) await serve();
