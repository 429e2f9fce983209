import { spawn } from "node:child_process";
import { PassThrough } from "node:stream";
import { describe, expect, test } from "vitest";
import { TransientError } from "../../src/kit/errors.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import { Inbox } from "../../src/wire/inbox.ts";
import { memoryPair } from "../../src/wire/memory.ts";
import { nodeStream } from "../../src/wire/stdio.ts";
import type { ByteStream } from "../../src/wire/stream.ts";
import { yamuxSession } from "../../src/wire/yamux/session.ts";
import { pipePair } from "../support/wire-pipes.ts";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

async function readAll(stream: ByteStream): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(Uint8Array.from(chunk));
  return Buffer.concat(chunks);
}

/** Pairs of joined ends, one for each implementation, with the bytes that may lie between them unread. */
const pairs: [string, () => Promise<[ByteStream, ByteStream]>][] = [
  ["memory", async () => memoryPair()],
  ["memory, one byte at a time", async () => memoryPair({ oneByte: true })],
  [
    "node streams",
    async () => {
      const [there, back] = [new PassThrough(), new PassThrough()];
      return [nodeStream(back, there), nodeStream(there, back)];
    },
  ],
  [
    "yamux",
    async () => {
      const [left, right] = pipePair();
      const client = yamuxSession(left, "client", { clock: new FakeClock() });
      const server = yamuxSession(right, "server", { clock: new FakeClock() });
      const [ours, theirs] = await Promise.all([
        client.open(new AbortController().signal),
        server.incoming[Symbol.asyncIterator]().next(),
      ]);
      return [ours, theirs.value as ByteStream];
    },
  ],
];

describe.each(pairs)("a byte stream: %s", (_name, make) => {
  test("bytes arrive in order and whole, then the end", async () => {
    const [left, right] = await make();
    const bytes = Buffer.from(Array.from({ length: 200_000 }, (_, n) => (n * 7) % 251));
    const reading = readAll(right);
    for (const size of [1, 0, 999, 65_536, 65_537]) await left.write(bytes.subarray(0, size));
    await left.write(bytes);
    await left.end();
    await left.end();
    const expected = Buffer.concat([
      bytes.subarray(0, 1),
      bytes.subarray(0, 999),
      bytes.subarray(0, 65_536),
      bytes.subarray(0, 65_537),
      bytes,
    ]);
    expect(Buffer.compare(await reading, expected)).toBe(0);
    await expect(left.write(bytes)).rejects.toThrow();
  });

  test("a writer waits for a reader that stops, and goes on with it", async () => {
    const [left, right] = await make();
    let written = 0;
    const writing = (async () => {
      for (let n = 0; n < 16; n++) {
        await left.write(new Uint8Array(65_536));
        written++;
      }
      await left.end();
    })();
    for (let n = 0; n < 50; n++) await turn();
    expect(written).toBeLessThan(8);
    expect((await readAll(right)).length).toBe(16 * 65_536);
    await writing;
  });

  test("end() waits for what was written before it, which still arrives", async () => {
    const [left, right] = await make();
    const writing = left.write(new Uint8Array(300_000));
    const ending = left.end();
    expect((await readAll(right)).length).toBe(300_000);
    await Promise.all([writing, ending]);
  });

  test("leaving a loop leaves the stream as it is", async () => {
    const [left, right] = await make();
    await left.write(Buffer.from("a"));
    for await (const chunk of right) {
      expect(Buffer.from(chunk).toString()).toBe("a");
      break;
    }
    await left.write(Buffer.from("b"));
    await left.end();
    expect((await readAll(right)).toString()).toBe("b");
  });

  test("abort fails pending reads and writes with its reason", async () => {
    const [left] = await make();
    const reason = new Error("no more");
    const reading = left[Symbol.asyncIterator]().next();
    const writing = (async () => {
      for (;;) await left.write(new Uint8Array(65_536));
    })();
    const failed = Promise.allSettled([reading, writing]);
    await turn();
    left.abort(reason);
    left.abort(new Error("again"));
    expect(await failed).toMatchObject([{ reason }, { reason }]);
    await expect(left.write(Buffer.from("x"))).rejects.toBe(reason);
  });

  test("disposing ends our half and refuses further use", async () => {
    const [left, right] = await make();
    await left.write(Buffer.from("last"));
    await left[Symbol.asyncDispose]();
    await left[Symbol.asyncDispose]();
    expect((await readAll(right)).toString()).toBe("last");
    await expect(left.write(Buffer.from("x"))).rejects.toThrow();
  });
});

describe("memory", () => {
  test("one byte at a time is one byte at a time, for a waiting reader too", async () => {
    const [left, right] = memoryPair({ oneByte: true });
    const iterator = right[Symbol.asyncIterator]();
    const first = iterator.next();
    await left.write(Buffer.from("abc"));
    expect((await first).value).toHaveLength(1);
    expect((await iterator.next()).value).toHaveLength(1);
  });

  test("disposing gives up a write that waits", async () => {
    const [left, right] = memoryPair();
    const writing = left.write(new Uint8Array(200_000));
    writing.catch(() => undefined);
    await left[Symbol.asyncDispose]();
    await expect(writing).rejects.toThrow("closed here before");
    expect((await readAll(right)).length).toBe(65_536);
  });

  test("the peer's end is seen ahead of what is unread", async () => {
    const [left, right] = memoryPair();
    await left.write(Buffer.from("unread"));
    expect(right.gone?.aborted).toBe(false);
    await left.end();
    expect(right.gone?.aborted).toBe(true);
    expect((await readAll(right)).toString()).toBe("unread");
  });

  test("aborting one end fails the other one with a TransientError", async () => {
    const [left, right] = memoryPair();
    const reading = right[Symbol.asyncIterator]().next();
    reading.catch(() => undefined);
    left.abort(new Error("no more"));
    await expect(reading).rejects.toBeInstanceOf(TransientError);
    await expect(right.write(Buffer.from("x"))).rejects.toBeInstanceOf(TransientError);
  });
});

describe("a child's stdio", () => {
  const child = (script: string) => {
    const process_ = spawn(process.execPath, ["-e", script], { stdio: ["pipe", "pipe", "inherit"] });
    const exit = new Promise((resolve) => process_.once("close", resolve));
    return { stream: nodeStream(process_.stdout, process_.stdin), exit, child: process_ };
  };

  test("both ways, more than a pipe holds", async () => {
    const { stream, exit } = child("process.stdin.pipe(process.stdout)");
    const bytes = Buffer.alloc(1_000_000, 9);
    const reading = readAll(stream);
    await stream.write(bytes);
    await stream.end();
    expect(Buffer.compare(await reading, bytes)).toBe(0);
    expect(await exit).toBe(0);
  });

  test("EPIPE is a TransientError with its cause, and nothing else", async () => {
    const { stream, exit } = child("process.stdin.destroy(); process.exit(0)");
    await exit;
    const writing = (async () => {
      for (;;) {
        await stream.write(new Uint8Array(100_000));
        await turn();
      }
    })();
    await expect(writing).rejects.toMatchObject({ name: "TransientError", cause: expect.anything() });
    await stream.end();
    await stream[Symbol.asyncDispose]();
    expect((await readAll(stream).catch(() => Buffer.of())).length).toBe(0);
  });

  test("a child that is killed ends the reading", async () => {
    const { stream, exit, child: running } = child("setInterval(() => {}, 1000); console.log('up')");
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    const next = iterator.next();
    running.kill("SIGKILL");
    await exit;
    expect((await next.catch(() => ({ done: true }))).done).toBe(true);
    await stream[Symbol.asyncDispose]();
  });
});

describe("the inbox", () => {
  test("a small view of a big buffer does not keep the buffer", async () => {
    const inbox = new Inbox();
    const big = new Uint8Array(1_000_000).fill(1);
    inbox.push(big.subarray(5, 10));
    const { value } = await inbox.next();
    expect(value).toEqual(Uint8Array.of(1, 1, 1, 1, 1));
    expect(value?.buffer.byteLength).toBeLessThanOrEqual(256);
  });

  test("single bytes are gathered: 262144 of them take about as much room", async () => {
    const inbox = new Inbox();
    const one = Uint8Array.of(7);
    for (let n = 0; n < 262_144; n++) inbox.push(one);
    let reads = 0;
    let room = 0;
    while (inbox.bytes > 0) {
      const { value } = await inbox.next();
      reads++;
      room += value?.buffer.byteLength ?? 0;
    }
    expect(reads).toBeLessThan(30);
    expect(room).toBeLessThan(300_000);
  });

  test("a second reader is refused", async () => {
    const inbox = new Inbox();
    void inbox.next();
    await expect(inbox.next()).rejects.toThrow("one reader only");
  });
});
