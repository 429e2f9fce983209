import { describe, expect, test } from "vitest";
import type { Clock } from "../../src/kit/clock.ts";
import { PeerError, TransientError } from "../../src/kit/errors.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import type { ByteStream } from "../../src/wire/stream.ts";
import { flag, frameType } from "../../src/wire/yamux/frame.ts";
import { Keepalive } from "../../src/wire/yamux/keepalive.ts";
import { type YamuxSession, yamuxSession } from "../../src/wire/yamux/session.ts";
import { dataFrame, frame, hex, TestPipe } from "../support/wire-pipes.ts";

const never = new AbortController().signal;
const { syn, ack, fin, rst } = flag;
const { data, windowUpdate, ping, goAway } = frameType;
const windowBytes = 262_144;

/** Lets promises and one turn of the event loop run. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

function setUp(role: "client" | "server" = "client") {
  const pipe = new TestPipe();
  const clock = new FakeClock();
  const log: string[] = [];
  const session = yamuxSession(pipe, role, { clock, log: (text) => log.push(text) });
  return { pipe, clock, session, log };
}

/** A stream of ours, already accepted by the peer. */
async function openAcked(pipe: TestPipe, session: YamuxSession): Promise<ByteStream> {
  const stream = await session.open(never);
  const opened = pipe.take().at(-1);
  pipe.frame("windowUpdate", ack, opened?.streamId ?? 0, 0);
  return stream;
}

/** A stream of the peer's. */
async function accept(pipe: TestPipe, session: YamuxSession, streamId = 1): Promise<ByteStream> {
  pipe.frame("windowUpdate", syn, streamId, 0);
  const { value } = await session.incoming[Symbol.asyncIterator]().next();
  expect(pipe.take()).toMatchObject([{ type: windowUpdate, flags: ack, streamId, length: 0 }]);
  return value as ByteStream;
}

const reader = (stream: ByteStream) => stream[Symbol.asyncIterator]();

/** Reads exactly so many bytes. */
async function read(stream: ByteStream, bytes: number): Promise<Buffer> {
  const iterator = reader(stream);
  const pieces: Uint8Array[] = [];
  for (let left = bytes; left > 0; ) {
    const { value } = await iterator.next();
    if (!value) throw new Error("end of the stream");
    pieces.push(value);
    left -= value.length;
  }
  return Buffer.concat(pieces);
}

describe("opening", () => {
  test("01#45 the agent's stream ids are 1, 3, 5, … and never come back", async () => {
    const { pipe, session } = setUp();
    for (const id of [1, 3, 5]) {
      const stream = await session.open(never);
      expect(pipe.take()).toMatchObject([{ type: windowUpdate, flags: syn, streamId: id, length: 0 }]);
      pipe.frame("windowUpdate", ack, id, 0);
      await stream[Symbol.asyncDispose]();
      pipe.frame("windowUpdate", fin, id, 0);
      pipe.take();
      expect(session.openStreams).toBe(0);
    }
    const { pipe: other, session: server } = setUp("server");
    await server.open(never);
    await server.open(never);
    expect(other.take()).toMatchObject([{ streamId: 2 }, { streamId: 4 }]);
  });

  test("01#46 data follows SYN without waiting for ACK; the acceptor takes data that come with SYN", async () => {
    const { pipe, session } = setUp();
    const stream = await session.open(never);
    await stream.write(Buffer.from("hi"));
    expect(pipe.take()).toMatchObject([
      { flags: syn, streamId: 1 },
      { type: data, flags: 0, streamId: 1, length: 2, body: Buffer.from("hi") },
    ]);
    const server = setUp("server");
    server.pipe.push(dataFrame(1, Buffer.from("at once"), syn));
    const { value } = await server.session.incoming[Symbol.asyncIterator]().next();
    expect((await read(value as ByteStream, 7)).toString()).toBe("at once");
  });

  test("01#47 SYN is acknowledged in the same turn, before anybody takes the stream", () => {
    const { pipe } = setUp("server");
    pipe.frame("windowUpdate", syn, 1, 0);
    expect(pipe.take()).toMatchObject([{ type: windowUpdate, flags: ack, streamId: 1, length: 0 }]);
  });

  test("01#48 data, credit and FIN before the ACK are processed", async () => {
    const { pipe, session } = setUp();
    const stream = await session.open(never);
    await stream.write(new Uint8Array(windowBytes));
    const more = stream.write(Buffer.from("x"));
    pipe.take();
    pipe.frame("windowUpdate", 0, 1, 1);
    await more;
    expect(pipe.take()).toMatchObject([{ type: data, length: 1 }]);
    pipe.push(dataFrame(1, Buffer.from("answer")), frame("windowUpdate", fin, 1, 0));
    const iterator = reader(stream);
    expect(Buffer.from((await iterator.next()).value ?? []).toString()).toBe("answer");
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    await turn();
    expect(pipe.take()).toMatchObject([{ type: windowUpdate, flags: fin, streamId: 1 }]);
    expect(session.openStreams).toBe(0);
  });

  test("01#49 a stream that gets no ACK fails after 75 s and takes the session with it", async () => {
    const { pipe, clock, session } = setUp();
    const stream = await session.open(never);
    const next = reader(stream).next();
    next.catch(() => undefined);
    // Data do not stop that timer.
    pipe.push(dataFrame(1, Buffer.from("x")));
    await next;
    const pending = reader(stream).next();
    pending.catch(() => undefined);
    await keepAlive(pipe, clock, 74_999);
    expect(pipe.ending).toBeUndefined();
    await clock.advance(1);
    expect(await session.ended).toBeInstanceOf(TransientError);
    await expect(pending).rejects.toThrow('not accepted stream "1" in 75 s');
    expect(pipe.ending).toBe("destroyed");
    expect(clock.pending).toBe(0);
  });

  test.each(["ours", "theirs", "ACK", "RST"])(
    "a stream without ACK is left alone once a FIN, ACK or RST was there: %s",
    async (which) => {
      const { pipe, clock, session } = setUp();
      const stream = await session.open(never);
      if (which === "ours") await stream.end();
      if (which === "theirs") pipe.frame("windowUpdate", fin, 1, 0);
      if (which === "ACK") pipe.frame("windowUpdate", ack, 1, 0);
      if (which === "RST") pipe.frame("windowUpdate", rst, 1, 0);
      await keepAlive(pipe, clock, 80_000);
      expect(pipe.ending).toBeUndefined();
    },
  );

  test("at most 256 opens are without ACK; the next one waits for an ACK, a RST or both FINs", async () => {
    const { pipe, session } = setUp();
    for (let n = 0; n < 256; n++) await session.open(never);
    pipe.take();
    const waiting = [session.open(never), session.open(never), session.open(never)];
    const stop = new AbortController();
    const givenUp = session.open(stop.signal);
    stop.abort(new Error("enough"));
    await expect(givenUp).rejects.toThrow("enough");
    await turn();
    expect(pipe.take()).toEqual([]);
    pipe.frame("windowUpdate", ack, 5, 0);
    await waiting[0];
    expect(pipe.take()).toMatchObject([{ flags: syn, streamId: 513 }]);
    pipe.frame("windowUpdate", rst, 7, 0);
    await waiting[1];
    expect(pipe.take()).toMatchObject([{ flags: syn, streamId: 515 }]);
    pipe.frame("windowUpdate", fin, 9, 0);
    await waiting[2];
    expect(pipe.take()).toMatchObject([
      { flags: fin, streamId: 9 },
      { flags: syn, streamId: 517 },
    ]);
  });

  test("01#67 a SYN from the server is answered with RST and logged; its data are skipped", async () => {
    const { pipe, session, log } = setUp();
    pipe.push(dataFrame(2, Buffer.from("call"), syn), frame("windowUpdate", fin, 2, 0), frame("ping", syn, 0, 9));
    expect(pipe.take()).toMatchObject([
      { type: windowUpdate, flags: rst, streamId: 2, length: 0 },
      { type: ping, flags: ack, length: 9 },
    ]);
    expect(log).toEqual(["yamux: the peer opens stream 2: refused: this side opens all streams"]);
    expect(session.openStreams).toBe(0);
  });

  test("01#68 the 257th stream that nobody has taken is refused with RST; taking one makes room", async () => {
    const { pipe, session } = setUp("server");
    for (let n = 0; n < 256; n++) pipe.frame("windowUpdate", syn, 1 + 2 * n, 0);
    expect(pipe.take().every(({ flags }) => flags === ack)).toBe(true);
    pipe.frame("windowUpdate", syn, 1001, 0);
    expect(pipe.take()).toMatchObject([{ flags: rst, streamId: 1001 }]);
    await session.incoming[Symbol.asyncIterator]().next();
    pipe.frame("windowUpdate", syn, 1003, 0);
    expect(pipe.take()).toMatchObject([{ flags: ack, streamId: 1003 }]);
  });
});

/** Turns the clock while the peer answers pings. */
async function keepAlive(pipe: TestPipe, clock: FakeClock, ms: number): Promise<void> {
  for (let left = ms; left > 0; ) {
    const step = Math.min(left, 1000);
    await clock.advance(step);
    left -= step;
    for (const { type, flags, length } of pipe.take()) {
      if (type === ping && flags === syn) pipe.frame("ping", ack, 0, length);
    }
  }
}

describe("flow control", () => {
  test("01#50 01#51 a sender has at most 262144 bytes outstanding, waits at a zero window, and goes on with credit", async () => {
    const { pipe, session } = setUp();
    const stream = await openAcked(pipe, session);
    let written = false;
    const write = stream.write(new Uint8Array(windowBytes + 10).fill(1)).then(() => {
      written = true;
    });
    await turn();
    expect(pipe.take().map(({ length }) => length)).toEqual([65_536, 65_536, 65_536, 65_536]);
    expect(written).toBe(false);
    pipe.frame("windowUpdate", 0, 1, 0);
    pipe.frame("windowUpdate", 0, 1, 4);
    await turn();
    expect(pipe.take().map(({ length }) => length)).toEqual([4]);
    pipe.frame("windowUpdate", 0, 1, 131_072);
    await write;
    expect(pipe.take().map(({ length }) => length)).toEqual([6]);
  });

  test.each([
    ["SYN", "server", syn],
    ["ACK", "client", ack],
  ] as const)("01#52 a WindowUpdate with %s and a length adds credit", async (_name, role, flags) => {
    const { pipe, session } = setUp(role);
    let stream: ByteStream;
    if (role === "client") {
      stream = await session.open(never);
      pipe.frame("windowUpdate", flags, 1, 5);
    } else {
      pipe.frame("windowUpdate", flags, 1, 5);
      stream = (await session.incoming[Symbol.asyncIterator]().next()).value as ByteStream;
    }
    pipe.take();
    void stream.write(new Uint8Array(windowBytes + 100)).catch(() => undefined);
    await turn();
    expect(pipe.take().reduce((sum, { length }) => sum + length, 0)).toBe(windowBytes + 5);
  });

  test("credit beyond 32 bits ends the session", async () => {
    const { pipe, session } = setUp();
    await openAcked(pipe, session);
    pipe.frame("windowUpdate", 0, 1, 0xffff_ffff - windowBytes);
    expect(pipe.ending).toBeUndefined();
    pipe.frame("windowUpdate", 0, 1, 1);
    expect(await session.ended).toBeInstanceOf(PeerError);
  });

  test("01#53 credit comes back when the reader has taken 131072 bytes, and not when they arrive", async () => {
    const { pipe, session } = setUp();
    const stream = await openAcked(pipe, session);
    for (let n = 0; n < 4; n++) pipe.push(dataFrame(1, new Uint8Array(65_536)));
    await turn();
    expect(pipe.take()).toEqual([]);
    await read(stream, 65_536);
    expect(pipe.take()).toEqual([]);
    await read(stream, 65_536);
    expect(pipe.take()).toMatchObject([{ type: windowUpdate, flags: 0, streamId: 1, length: 131_072 }]);
  });

  test("01#54 262145 bytes without credit end the session with GoAway 1, at the header", async () => {
    const { pipe, session } = setUp();
    const stream = await openAcked(pipe, session);
    pipe.frame("data", 0, 1, windowBytes + 1);
    expect(pipe.take()).toMatchObject([{ type: goAway, length: 1 }]);
    expect(pipe.ending).toEqual({ code: 1002 });
    expect(await session.ended).toBeInstanceOf(PeerError);
    await expect(reader(stream).next()).rejects.toThrow(TransientError);
  });

  test("01#54 so do 262144 bytes and then one more", async () => {
    const { pipe, session } = setUp();
    await openAcked(pipe, session);
    pipe.push(dataFrame(1, new Uint8Array(windowBytes)), dataFrame(1, new Uint8Array(1)));
    expect(await session.ended).toBeInstanceOf(PeerError);
  });

  test("01#55 exactly 262144 bytes on a fresh stream are accepted, in one frame too", async () => {
    const { pipe, session } = setUp();
    const stream = await openAcked(pipe, session);
    pipe.push(dataFrame(1, new Uint8Array(windowBytes).fill(3)));
    expect(pipe.ending).toBeUndefined();
    expect((await read(stream, windowBytes)).every((byte) => byte === 3)).toBe(true);
  });

  test("01#56 a stream that nobody reads does not delay another one", async () => {
    const { pipe, session } = setUp();
    await openAcked(pipe, session);
    const other = await openAcked(pipe, session);
    pipe.push(dataFrame(1, new Uint8Array(windowBytes)), dataFrame(3, Buffer.from("here")));
    expect((await read(other, 4)).toString()).toBe("here");
  });

  test("01#56 a writer without credit does not delay another one, and two big writers take turns", async () => {
    const { pipe, session } = setUp();
    const [first, second, third] = [
      await openAcked(pipe, session),
      await openAcked(pipe, session),
      await openAcked(pipe, session),
    ];
    void first?.write(new Uint8Array(windowBytes + 1)).catch(() => undefined);
    await turn();
    pipe.take();
    void second?.write(new Uint8Array(131_072));
    void third?.write(new Uint8Array(131_072));
    await turn();
    expect(pipe.take().map(({ streamId }) => streamId)).toEqual([3, 5, 3, 5]);
  });

  test("01#57 01#58 pings are answered with ACK and the same value while writers wait for the socket; ACK is not required of answers", async () => {
    const { pipe, clock, session } = setUp();
    const stream = await openAcked(pipe, session);
    pipe.bufferedBytes = 1_048_576;
    const write = stream.write(new Uint8Array(100));
    await turn();
    pipe.frame("ping", syn, 0, 0xdead_beef);
    pipe.frame("ping", syn | ack, 0, 7);
    expect(pipe.take()).toMatchObject([
      { type: ping, flags: ack, streamId: 0, length: 0xdead_beef },
      { type: ping, flags: ack, streamId: 0, length: 7 },
    ]);
    pipe.drain();
    await write;
    expect(pipe.take()).toMatchObject([{ type: data, length: 100 }]);
    await clock.advance(30_000);
    expect(pipe.take()).toMatchObject([{ type: ping, flags: syn, streamId: 0, length: 0 }]);
    pipe.frame("ping", 0, 0, 0);
    await clock.advance(29_999);
    expect(pipe.take()).toEqual([]);
    await clock.advance(1);
    expect(pipe.take()).toMatchObject([{ type: ping, flags: syn, streamId: 0, length: 1 }]);
    expect(pipe.ending).toBeUndefined();
  });

  test("a peer that makes us answer and reads nothing is cut off", async () => {
    const { pipe, session } = setUp();
    pipe.bufferedBytes = 2_097_153;
    pipe.frame("ping", syn, 0, 1);
    expect(await session.ended).toMatchObject({ message: "the peer makes us answer and reads nothing" });
    expect(pipe.ending).toBe("destroyed");
  });

  test("writes made in one go travel in one frame, in order, each message with its header", async () => {
    const { pipe, session } = setUp();
    const stream = await openAcked(pipe, session);
    pipe.sent.length = 0;
    await Promise.all([stream.write(Buffer.from("a")), stream.write(Buffer.from("b")), stream.end()]);
    expect(pipe.sent.map((message) => Buffer.from(message).toString("hex"))).toEqual([
      "000000000000000100000002" + "6162",
      "000100040000000100000000",
    ]);
  });
});

describe("keepalive", () => {
  test("01#59 an own ping without answer ends the session after 10 s; answers to other values do not count", async () => {
    const { pipe, clock, session } = setUp();
    await clock.advance(30_000);
    expect(pipe.take()).toMatchObject([{ type: ping, flags: syn, length: 0 }]);
    pipe.frame("ping", ack, 0, 5);
    await clock.advance(9_999);
    expect(pipe.ending).toBeUndefined();
    await clock.advance(1);
    expect(pipe.ending).toBe("destroyed");
    expect(await session.ended).toMatchObject({ message: "the peer has not answered a ping for 10 s" });
    expect(clock.pending).toBe(0);
  });
});

test("an answer that waited in the socket while this process stood still counts", async () => {
  let fire: () => void = () => undefined;
  const clock: Pick<Clock, "after"> = {
    after: (_delayMs, callback) => {
      fire = callback;
      return { [Symbol.dispose]: () => undefined };
    },
  };
  let dead = false;
  const keepalive = new Keepalive(
    clock,
    () => undefined,
    () => {
      dead = true;
    },
  );
  fire();
  // The timer of the answer runs first, then the socket is read.
  fire();
  keepalive.answered(0);
  await turn();
  expect(dead).toBe(false);
  fire();
  fire();
  await turn();
  expect(dead).toBe(true);
});

describe("closing", () => {
  test("01#60 after a FIN the buffered data come first, then the end", async () => {
    const { pipe, session } = setUp();
    const stream = await openAcked(pipe, session);
    pipe.push(dataFrame(1, Buffer.from("one")), dataFrame(1, Buffer.from("two"), fin));
    await turn();
    expect((await read(stream, 6)).toString()).toBe("onetwo");
    expect((await reader(stream).next()).done).toBe(true);
  });

  test("01#61 a second FIN while our half is open ends the session with GoAway 1", async () => {
    const { pipe, session } = setUp();
    await openAcked(pipe, session);
    pipe.push(frame("windowUpdate", fin, 1, 0), frame("windowUpdate", fin, 1, 0));
    expect(pipe.take()).toMatchObject([{ type: goAway, length: 1 }]);
    expect(await session.ended).toMatchObject({ name: "PeerError", message: expect.stringContaining("a second FIN") });
  });

  test("01#62 a FIN is answered with FIN within a turn, though a writer waits for credit: it fails", async () => {
    const { pipe, session } = setUp("server");
    const stream = await accept(pipe, session);
    const write = stream.write(new Uint8Array(windowBytes + 1));
    write.catch(() => undefined);
    await turn();
    pipe.take();
    pipe.frame("windowUpdate", fin, 1, 0);
    expect(stream.gone?.aborted).toBe(true);
    await turn();
    expect(pipe.take()).toMatchObject([{ type: windowUpdate, flags: fin, streamId: 1, length: 0 }]);
    await expect(write).rejects.toThrow("the peer has closed it");
    await expect(stream.write(Buffer.from("x"))).rejects.toThrow("the peer has closed it");
    expect(session.openStreams).toBe(0);
  });

  test("01#63 frames for an unknown or forgotten stream are ignored and their bodies skipped", async () => {
    const { pipe, session } = setUp();
    const stream = await openAcked(pipe, session);
    await stream[Symbol.asyncDispose]();
    pipe.frame("windowUpdate", fin, 1, 0);
    pipe.take();
    for (const id of [1, 99]) {
      pipe.push(
        frame("windowUpdate", fin, id, 0),
        frame("windowUpdate", rst, id, 0),
        frame("windowUpdate", ack, id, 0),
        frame("windowUpdate", 0, id, 0xffff_ffff),
        dataFrame(id, new Uint8Array(windowBytes * 2)),
        dataFrame(id, Buffer.from("x"), fin),
      );
    }
    pipe.frame("ping", syn, 0, 3);
    expect(pipe.take()).toMatchObject([{ type: ping, flags: ack, length: 3 }]);
    expect(pipe.ending).toBeUndefined();
  });

  test("01#64 a SYN for an id in use ends the session", async () => {
    const { pipe, session } = setUp("server");
    await accept(pipe, session);
    pipe.frame("windowUpdate", syn, 1, 0);
    expect(pipe.take()).toMatchObject([{ type: goAway, length: 1 }]);
    expect(await session.ended).toMatchObject({ message: 'open a stream: id "1": is in use' });
  });

  test.each(["01 00 0000 00000000 00000000", "00 04 0000 00000000 00000000"])(
    "01#65 a frame with version 1 or type 4 ends the session: %s",
    async (bytes) => {
      const { pipe, session } = setUp();
      pipe.push(hex(bytes));
      expect(pipe.take()).toMatchObject([{ type: goAway, length: 1 }]);
      expect(pipe.ending).toEqual({ code: 1002 });
      expect(await session.ended).toBeInstanceOf(PeerError);
    },
  );

  test("01#66 GoAway 0 stops new opens, running streams finish, then the session closes in order", async () => {
    const { pipe, session } = setUp();
    const stream = await openAcked(pipe, session);
    for (let n = 0; n < 256; n++) await session.open(never);
    const waiting = session.open(never);
    for (let n = 0; n < 256; n++) pipe.frame("windowUpdate", rst, 3 + 2 * n, 0);
    await waiting;
    pipe.frame("windowUpdate", rst, 515, 0);
    pipe.take();
    pipe.frame("goAway", 0, 0, 0);
    expect(session.goingAway).toBe(true);
    await expect(session.open(never)).rejects.toThrow(TransientError);
    await stream.write(Buffer.from("still"));
    pipe.push(dataFrame(1, Buffer.from("here")));
    expect((await read(stream, 4)).toString()).toBe("here");
    expect(pipe.ending).toBeUndefined();
    await stream.end();
    pipe.frame("windowUpdate", fin, 1, 0);
    expect(await session.ended).toBeUndefined();
    expect(pipe.ending).toEqual({ code: 1000 });
  });

  test("01#66 GoAway 0 refuses opens that wait", async () => {
    const { pipe, session } = setUp();
    for (let n = 0; n < 256; n++) await session.open(never);
    const waiting = session.open(never);
    waiting.catch(() => undefined);
    pipe.frame("goAway", 0, 0, 0);
    await expect(waiting).rejects.toThrow("the session is going away");
  });

  test.each([1, 2, 77])("01#66 GoAway %i ends the session at once", async (code) => {
    const { pipe, session } = setUp();
    const stream = await openAcked(pipe, session);
    pipe.frame("goAway", 0, 0, code);
    expect(await session.ended).toBeInstanceOf(TransientError);
    await expect(reader(stream).next()).rejects.toThrow(`GoAway "${code}"`);
    expect(pipe.ending).toBe("destroyed");
  });

  test("after a GoAway of ours SYN is answered with RST", async () => {
    const { pipe, session } = setUp("server");
    await accept(pipe, session);
    session.goAway();
    session.goAway();
    expect(pipe.take()).toMatchObject([{ type: goAway, length: 0 }]);
    pipe.frame("windowUpdate", syn, 3, 0);
    expect(pipe.take()).toMatchObject([{ flags: rst, streamId: 3 }]);
    pipe.push(dataFrame(1, Buffer.from("goes on")));
    expect(pipe.ending).toBeUndefined();
  });

  test("01#69 RST fails reads and writes of its stream, unread data are lost, other streams go on", async () => {
    const { pipe, session } = setUp();
    const stream = await openAcked(pipe, session);
    const other = await openAcked(pipe, session);
    const write = stream.write(new Uint8Array(windowBytes + 1));
    write.catch(() => undefined);
    await turn();
    pipe.push(dataFrame(1, Buffer.from("unread")), frame("windowUpdate", rst, 1, 0));
    await expect(write).rejects.toThrow(TransientError);
    await expect(reader(stream).next()).rejects.toThrow("the peer has reset it");
    expect(stream.gone?.aborted).toBe(true);
    const pending = reader(other).next();
    pipe.push(dataFrame(3, Buffer.from("alive")));
    expect(Buffer.from((await pending).value ?? []).toString()).toBe("alive");
    pipe.take();
    await other.write(Buffer.from("x"));
    expect(pipe.take()).toMatchObject([{ streamId: 3, length: 1 }]);
    expect(session.openStreams).toBe(1);
  });

  test("01#69 a pending read fails with the RST", async () => {
    const { pipe, session } = setUp();
    const stream = await openAcked(pipe, session);
    const pending = reader(stream).next();
    pending.catch(() => undefined);
    pipe.frame("windowUpdate", rst, 1, 0);
    await expect(pending).rejects.toThrow("the peer has reset it");
  });

  test("01#70 a lost connection fails every pending open, read and write; what had arrived can be read", async () => {
    const { pipe, clock, session } = setUp();
    const [reading, writing, buffered] = [
      await openAcked(pipe, session),
      await openAcked(pipe, session),
      await openAcked(pipe, session),
    ];
    for (let n = 0; n < 256; n++) await session.open(never);
    const incoming = session.incoming[Symbol.asyncIterator]().next();
    const open = session.open(never);
    const read1 = reader(reading).next();
    const write1 = writing.write(new Uint8Array(windowBytes + 1));
    const end1 = writing.end();
    for (const promise of [open, read1, write1]) promise.catch(() => undefined);
    await turn();
    pipe.push(dataFrame(5, Buffer.from("arrived")));
    const lost = new TransientError("connection lost: reset");
    pipe.lose(lost);
    await expect(open).rejects.toBe(lost);
    await expect(read1).rejects.toBe(lost);
    await expect(write1).rejects.toBe(lost);
    await end1;
    expect((await incoming).done).toBe(true);
    expect((await read(buffered, 7)).toString()).toBe("arrived");
    await expect(reader(buffered).next()).rejects.toBe(lost);
    await expect(session.open(never)).rejects.toBe(lost);
    expect(await session.ended).toBe(lost);
    expect([clock.pending, session.openStreams]).toEqual([0, 0]);
  });

  test("abort fails everything with its reason, unread data too; close says that the session was closed", async () => {
    const aborted = setUp();
    const stream = await openAcked(aborted.pipe, aborted.session);
    aborted.pipe.push(dataFrame(1, Buffer.from("unread")));
    const reason = new Error("no more");
    aborted.session.abort(reason);
    await expect(reader(stream).next()).rejects.toBe(reason);
    expect([aborted.pipe.ending, await aborted.session.ended, aborted.clock.pending]).toEqual(["destroyed", reason, 0]);
    const closed = setUp();
    const pending = reader(await openAcked(closed.pipe, closed.session)).next();
    pending.catch(() => undefined);
    await closed.session.close();
    await expect(pending).rejects.toThrow(TransientError);
    expect([closed.pipe.ending, await closed.session.ended, closed.clock.pending]).toEqual([
      { code: 1000 },
      undefined,
      0,
    ]);
  });

  test("01#71 a stream that we closed and the peer does not is reset and forgotten after 5 minutes", async () => {
    const { pipe, clock, session } = setUp();
    const stream = await openAcked(pipe, session);
    await stream.end();
    expect(pipe.take()).toMatchObject([{ flags: fin, streamId: 1 }]);
    const pending = reader(stream).next();
    pending.catch(() => undefined);
    await keepAlive(pipe, clock, 299_999);
    expect(session.openStreams).toBe(1);
    await clock.advance(1);
    expect(pipe.take().filter(({ type }) => type !== ping)).toMatchObject([
      { type: windowUpdate, flags: rst, streamId: 1 },
    ]);
    expect(session.openStreams).toBe(0);
    await expect(pending).rejects.toThrow("5 minutes");
  });

  test("after end() reading goes on, with credit, until the peer closes", async () => {
    const { pipe, session } = setUp();
    const stream = await openAcked(pipe, session);
    await stream.end();
    await stream.end();
    expect(pipe.take()).toMatchObject([{ flags: fin }]);
    await expect(stream.write(Buffer.from("x"))).rejects.toThrow("closed here before");
    pipe.push(dataFrame(1, new Uint8Array(131_072)));
    await read(stream, 131_072);
    expect(pipe.take()).toMatchObject([{ type: windowUpdate, flags: 0, length: 131_072 }]);
    pipe.frame("windowUpdate", fin, 1, 0);
    expect((await reader(stream).next()).done).toBe(true);
    expect(session.openStreams).toBe(0);
  });

  test("end() waits for what was written before, and FIN is last", async () => {
    const { pipe, session } = setUp();
    const stream = await openAcked(pipe, session);
    const write = stream.write(new Uint8Array(windowBytes + 1));
    const end = stream.end();
    await turn();
    expect(pipe.take().map(({ flags }) => flags)).toEqual([0, 0, 0, 0]);
    pipe.frame("windowUpdate", 0, 1, 10);
    await Promise.all([write, end]);
    expect(pipe.take()).toMatchObject([{ type: data, length: 1 }, { flags: fin }]);
  });

  test("01#117 what arrives between our FIN and the peer's is dropped without error and without credit", async () => {
    const { pipe, session } = setUp();
    const stream = await openAcked(pipe, session);
    await stream[Symbol.asyncDispose]();
    pipe.take();
    pipe.push(dataFrame(1, new Uint8Array(200_000)), dataFrame(1, Buffer.from("last"), fin));
    expect(pipe.take()).toEqual([]);
    expect([pipe.ending, session.openStreams]).toEqual([undefined, 0]);
  });

  test("disposing gives up what waits for credit and sends FIN at once", async () => {
    const { pipe, session } = setUp();
    const stream = await openAcked(pipe, session);
    const write = stream.write(new Uint8Array(windowBytes + 1));
    write.catch(() => undefined);
    await turn();
    pipe.take();
    await stream[Symbol.asyncDispose]();
    expect(pipe.take()).toMatchObject([{ flags: fin, streamId: 1 }]);
    await expect(write).rejects.toThrow("closed here before");
  });

  test("abort of a stream is RST", async () => {
    const { pipe, session } = setUp();
    const stream = await openAcked(pipe, session);
    const reason = new Error("not wanted");
    const pending = reader(stream).next();
    pending.catch(() => undefined);
    stream.abort(reason);
    stream.abort(new Error("again"));
    expect(pipe.take()).toMatchObject([{ type: windowUpdate, flags: rst, streamId: 1 }]);
    await expect(pending).rejects.toBe(reason);
    await expect(stream.write(Buffer.from("x"))).rejects.toBe(reason);
  });

  test("a connection lost in the middle of the last data fails the reader: FIN counts behind its data", async () => {
    const { pipe, session } = setUp();
    const stream = await openAcked(pipe, session);
    await stream.end();
    pipe.push(frame("data", fin, 1, 10), Buffer.from("half"));
    expect(session.openStreams).toBe(1);
    expect((await read(stream, 4)).toString()).toBe("half");
    const rest = reader(stream).next();
    rest.catch(() => undefined);
    const lost = new TransientError("connection lost");
    pipe.lose(lost);
    await expect(rest).rejects.toBe(lost);
  });

  test("a session that is going away does not end before the last data of its last stream are there", async () => {
    const { pipe, session } = setUp();
    const stream = await openAcked(pipe, session);
    await stream.end();
    pipe.frame("goAway", 0, 0, 0);
    pipe.push(frame("data", fin, 1, 6), Buffer.from("the "));
    expect(pipe.ending).toBeUndefined();
    pipe.push(Buffer.from("en"));
    expect((await read(stream, 6)).toString()).toBe("the en");
    expect((await reader(stream).next()).done).toBe(true);
    expect(await session.ended).toBeUndefined();
  });

  test("data behind the sender's own FIN are dropped", async () => {
    const { pipe, session } = setUp();
    const stream = await openAcked(pipe, session);
    pipe.push(dataFrame(1, Buffer.from("in time"), fin), dataFrame(1, Buffer.from("late")));
    expect((await read(stream, 7)).toString()).toBe("in time");
    expect((await reader(stream).next()).done).toBe(true);
    expect(pipe.ending).toBeUndefined();
  });
});
