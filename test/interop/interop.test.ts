import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocketServer } from "ws";
import { systemClock } from "../../src/kit/clock.ts";
import { RefusedError, TransientError } from "../../src/kit/errors.ts";
import type { CallEnd, Handler } from "../../src/wire/drpc/api.ts";
import { drpcClient } from "../../src/wire/drpc/client.ts";
import { serveDrpc } from "../../src/wire/drpc/server.ts";
import type { ByteStream } from "../../src/wire/stream.ts";
import { webSocketMux, webSocketServerOptions } from "../../src/wire/websocket.ts";
import type { YamuxSession } from "../../src/wire/yamux/session.ts";
import type { YamuxStream } from "../../src/wire/yamux/stream.ts";
import { buildInterop, go, goClient, goServer, type ScenarioResult } from "../support/interop.ts";
import { dial } from "../support/wire-sockets.ts";

const never = new AbortController().signal;

/** Bytes that differ from place to place. */
function patterned(bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at++) buffer[at] = (at * 31 + (at >> 8)) & 0xff;
  return buffer;
}

/** Takes a stream apart: first a line, then exactly so many bytes, or all. */
class Reader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest = Buffer.alloc(0);

  constructor(stream: ByteStream) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  async line(): Promise<string> {
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end >= 0) {
        const line = this.#rest.toString("utf8", 0, end);
        this.#rest = this.#rest.subarray(end + 1);
        return line;
      }
      if (!(await this.#more())) throw new Error("no line");
    }
  }

  /** The next bytes, at most `maxBytes`; undefined at the end. */
  async some(maxBytes: number): Promise<Buffer | undefined> {
    if (this.#rest.length === 0 && !(await this.#more())) return undefined;
    const some = this.#rest.subarray(0, maxBytes);
    this.#rest = this.#rest.subarray(some.length);
    return some;
  }

  async exactly(bytes: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for (let left = bytes; left > 0; ) {
      const piece = await this.some(left);
      if (!piece) throw new Error(`end of the stream: ${left} bytes are missing`);
      pieces.push(piece);
      left -= piece.length;
    }
    return Buffer.concat(pieces);
  }

  async #more(): Promise<boolean> {
    const next = await this.#chunks.next();
    if (next.done) return false;
    this.#rest = this.#rest.length === 0 ? Buffer.from(next.value) : Buffer.concat([this.#rest, next.value]);
    return true;
  }
}

async function openRaw(session: YamuxSession, line: string): Promise<{ stream: ByteStream; reader: Reader }> {
  const stream = await session.open(never);
  await stream.write(Buffer.from(`${line}\n`));
  return { stream, reader: new Reader(stream) };
}

/** Waits for a fact, a turn of the event loop at a time. */
async function until(fact: () => boolean): Promise<void> {
  while (!fact()) await new Promise((resolve) => setImmediate(resolve));
}

describe.skipIf(!go)("our client and the Go libraries as the server", () => {
  let server: Awaited<ReturnType<typeof goServer>>;
  beforeAll(async () => {
    buildInterop();
    server = await goServer();
  }, 300_000);
  afterAll(() => server?.[Symbol.asyncDispose]());

  const connect = (path: string) =>
    dial(server.url + path, (socket) => webSocketMux(socket, "client", { clock: systemClock }));

  async function echo(session: YamuxSession, bytes: number): Promise<void> {
    const { stream, reader } = await openRaw(session, `echo ${bytes}`);
    const data = patterned(bytes);
    const writing = stream.write(data);
    expect(Buffer.compare(await reader.exactly(bytes), data)).toBe(0);
    await writing;
    await stream.end();
    expect(await reader.some(1)).toBeUndefined();
  }

  test("echo, and 10,000 streams", async () => {
    await using session = await connect("/raw");
    await echo(session, 8_388_608);
    let next = 0;
    const worker = async () => {
      while (next < 10_000) await echo(session, next++ % 3000);
    };
    await Promise.all(Array.from({ length: 200 }, worker));
    await until(() => session.openStreams === 0);
  }, 120_000);

  test("half close: Go reads to the end and closes; we read to Go's end", async () => {
    await using session = await connect("/raw");
    const { stream, reader } = await openRaw(session, "sink");
    await stream.write(patterned(1_000_000));
    await stream.end();
    expect(await reader.some(1)).toBeUndefined();
    const source = await openRaw(session, "source 3000000");
    const data = await source.reader.exactly(3_000_000);
    expect([data.readUInt32BE(0), data.readUInt32BE(2_999_996)]).toEqual([0, 749_999]);
    expect(await source.reader.some(1)).toBeUndefined();
    await until(() => session.openStreams === 0);
  });

  test("window exhaustion, a slow reader, and another stream that goes on meanwhile", async () => {
    await using session = await connect("/raw");
    const stalled = await openRaw(session, "stall");
    let written = false;
    const writing = stalled.stream.write(patterned(1_000_000)).then(
      () => {
        written = true;
      },
      (error: unknown) => error,
    );
    const data = patterned(3_000_000);
    const slow = await openRaw(session, "hash 3000000");
    await slow.stream.write(data);
    expect((await slow.reader.exactly(32)).toString("hex")).toBe(createHash("sha256").update(data).digest("hex"));
    await slow.stream.end();
    await echo(session, 100_000);
    expect(written).toBe(false);
    // Go closes the stalled stream: the writer fails then.
    expect(await writing).toBeInstanceOf(TransientError);
  });

  test("reset: the stream is gone, the session goes on", async () => {
    await using session = await connect("/raw");
    const { stream } = await openRaw(session, "sink");
    stream.abort(new Error("not wanted"));
    await echo(session, 1000);
  });

  test("GoAway of Go: no new streams, the running one finishes, then the session ends in order", async () => {
    const session = await connect("/goaway");
    const { stream, reader } = await openRaw(session, "echo 5");
    await until(() => session.goingAway);
    await expect(session.open(never)).rejects.toBeInstanceOf(TransientError);
    await stream.write(Buffer.from("hello"));
    expect((await reader.exactly(5)).toString()).toBe("hello");
    await stream.end();
    expect(await session.ended).toBeUndefined();
  });

  test("abrupt end", async () => {
    const session = await connect("/abrupt");
    const { stream } = await openRaw(session, "x");
    await expect(stream[Symbol.asyncIterator]().next()).rejects.toBeInstanceOf(TransientError);
    expect(await session.ended).toBeInstanceOf(TransientError);
  });

  test("01#103 unary calls, large messages, 200 at once", async () => {
    await using session = await connect("/drpc");
    const rpc = drpcClient(session);
    for (const bytes of [0, 1, 4095, 4096, 65_535, 65_536, 65_537, 400_000, 4_194_304]) {
      const data = patterned(bytes);
      expect(Buffer.compare(await rpc.unary("/one", data, never), data)).toBe(0);
    }
    const many = Array.from({ length: 2000 }, (_, n) => patterned(n * 7));
    const worker = async (start: number) => {
      for (let n = start; n < many.length; n += 200) {
        expect(Buffer.compare(await rpc.unary("/one", many[n] as Buffer, never), many[n] as Buffer)).toBe(0);
      }
    };
    await Promise.all(Array.from({ length: 200 }, (_, n) => worker(n)));
    await until(() => session.openStreams === 0);
  }, 60_000);

  test("streams of messages both ways, and Close", async () => {
    await using session = await connect("/drpc");
    const rpc = drpcClient(session);
    {
      await using call = await rpc.call("/source", never);
      await call.send(Buffer.from("0000000000000010", "hex"));
      await call.closeSend();
      for (let n = 0; n < 16; n++) {
        const message = Buffer.from((await call.receive(never)) ?? []);
        expect([message.length, message.readBigUInt64BE()]).toEqual([1_048_576, BigInt(n)]);
      }
      expect(await call.receive(never)).toBeUndefined();
    }
    {
      await using call = await rpc.call("/sink", never);
      for (let n = 0; n < 16; n++) await call.send(patterned(1_048_576));
      await call.closeSend();
      expect(Buffer.from((await call.receive(never)) ?? []).readBigUInt64BE()).toBe(16_777_216n);
    }
    {
      await using call = await rpc.call("/close", never);
      const received = call.receive(never);
      await call.send(new Uint8Array(0));
      expect((await received)?.length).toBe(0);
      expect(await call.receive(never)).toBeUndefined();
    }
    await until(() => session.openStreams === 0);
  });

  test("01#91 01#92 errors and cancel", async () => {
    await using session = await connect("/drpc");
    const rpc = drpcClient(session);
    await expect(rpc.unary("/fail", Buffer.of(), never)).rejects.toMatchObject({ message: "boom", rpcCode: 0n });
    const unknown = rpc.unary("/nope", Buffer.of(), never);
    await expect(unknown).rejects.toThrow('protocol error: unknown rpc: "/nope"');
    await expect(unknown).rejects.toBeInstanceOf(RefusedError);
    const stop = new AbortController();
    const call = await rpc.call("/wait", stop.signal);
    await call.send(Buffer.of());
    expect((await call.receive(never))?.length).toBe(0);
    stop.abort(new Error("stop"));
    await expect(call.receive(never)).rejects.toThrow("stop");
    while (Buffer.from(await rpc.unary("/canceled", Buffer.of(), never)).readBigUInt64BE() === 0n);
    await until(() => session.openStreams === 0);
  });

  test("Go's yamux had nothing to complain about", async () => {
    // The ends of connections are what it may mention; anything else is a finding.
    const expected = /\[ERR\] yamux: Failed to (read|write) /i;
    const lines = (await server.log()).split("\n").filter((line) => line !== "" && !expected.test(line));
    expect(lines).toEqual([]);
  });
});

describe.skipIf(!go)("our server and the Go libraries as the client", () => {
  let results: ScenarioResult[] = [];
  const sessions: YamuxSession[] = [];
  const served: Promise<void>[] = [];

  beforeAll(async () => {
    buildInterop();
    const http = createServer();
    const webSockets = new WebSocketServer(webSocketServerOptions);
    http.on("upgrade", (request, tcp, head) => {
      webSockets.handleUpgrade(request, tcp, head, (socket) => {
        const session = webSocketMux(socket, "server", { clock: systemClock });
        sessions.push(session);
        if (request.url === "/drpc") served.push(serveMethods(session));
        if (request.url === "/opens") served.push(openBack(session));
        if (request.url === "/raw") served.push(serveRaw(session, tcp as Socket));
      });
    });
    http.listen(0, "127.0.0.1");
    await once(http, "listening");
    results = await goClient(`ws://127.0.0.1:${(http.address() as AddressInfo).port}`);
    await Promise.all(served);
    http.close();
    http.closeAllConnections();
  }, 300_000);

  test.each([
    "echo",
    "10000 streams, 200 at once",
    "half close",
    "the peer closes first",
    "window exhaustion",
    "slow reader",
    "reset",
    "a stream that we open against the roles",
    "ping",
    "unary, large messages",
    "200 calls at once",
    "streams of messages",
    "Close ends an answer",
    "errors",
    "cancel",
    "abrupt end",
  ])("%s", (name) => {
    expect(results).toContainEqual({ name, error: "" });
  });

  test("every session ended, and no stream was left in any", async () => {
    for (const session of sessions) {
      await session.ended;
      expect(session.openStreams).toBe(0);
    }
  });
});

async function serveRaw(session: YamuxSession, tcp: Socket): Promise<void> {
  const running: Promise<void>[] = [];
  for await (const stream of session.incoming) running.push(serveRawStream(stream, tcp).catch(() => undefined));
  await Promise.all(running);
}

async function serveRawStream(stream: ByteStream, tcp: Socket): Promise<void> {
  const reader = new Reader(stream);
  const [verb, count] = (await reader.line()).split(" ");
  let left = Number(count ?? 0);
  switch (verb) {
    case "echo":
      while (left > 0) {
        const piece = await reader.some(left);
        if (!piece) return;
        left -= piece.length;
        await stream.write(piece);
      }
      break;
    case "sink":
      while (await reader.some(1_000_000));
      break;
    case "hash": {
      const hash = createHash("sha256");
      while (left > 0) {
        const piece = await reader.exactly(Math.min(left, 50_000));
        left -= piece.length;
        hash.update(piece);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await stream.write(hash.digest());
      break;
    }
    case "source": {
      const data = Buffer.alloc(left);
      for (let at = 0; at < left; at += 4) data.writeUInt32BE((at / 4) >>> 0, at);
      await stream.write(data);
      break;
    }
    case "stall":
      await once(stream.gone as AbortSignal, "abort");
      return;
    case "reset":
      stream.abort(new Error("reset, as asked"));
      return;
    case "abrupt":
      tcp.destroy();
      return;
  }
  await stream.end();
  // Read to the peer's end, so that nothing is left.
  while (await reader.some(1_000_000));
}

async function openBack(session: YamuxSession): Promise<void> {
  const stream = await session.open(never);
  expect((stream as YamuxStream).id).toBe(2);
  const data = patterned(300_000);
  const writing = stream.write(data);
  expect(Buffer.compare(await new Reader(stream).exactly(300_000), data)).toBe(0);
  await writing;
  await stream.end();
}

async function serveMethods(session: YamuxSession): Promise<void> {
  let canceled = 0n;
  const number = (value: bigint) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(value);
    return bytes;
  };
  const first = async (requests: AsyncIterable<Uint8Array>) => {
    for await (const request of requests) return request;
    throw new Error("no request");
  };
  const methods: Record<string, Handler> = {
    "/echo": async (call) => {
      for await (const message of call.requests) await call.send(message);
      return "close-send";
    },
    "/one": async (call) => {
      await call.send(await first(call.requests));
      return "close-send";
    },
    "/sink": async (call) => {
      let total = 0n;
      for await (const message of call.requests) total += BigInt(message.length);
      await call.send(number(total));
      return "close-send";
    },
    "/source": async (call) => {
      const count = Buffer.from(await first(call.requests)).readBigUInt64BE();
      for (let n = 0n; n < count; n++) {
        const message = Buffer.alloc(1_048_576);
        message.writeBigUInt64BE(n);
        await call.send(message);
      }
      return "close-send";
    },
    "/close": async (call) => {
      await call.send(await first(call.requests));
      return "close";
    },
    "/fail": async () => {
      throw new Error("boom");
    },
    "/wait": async (call) => {
      await call.send(Buffer.of());
      return new Promise<CallEnd>((_resolve, reject) => {
        call.signal.addEventListener("abort", () => {
          canceled++;
          reject(call.signal.reason);
        });
      });
    },
    "/canceled": async (call) => {
      await call.send(number(canceled));
      return "close-send";
    },
  };
  await serveDrpc(session, (method) => methods[method], {}, never);
}
