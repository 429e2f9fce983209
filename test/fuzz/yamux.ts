import { FakeClock } from "../../src/kit/fake-clock.ts";
import type { ByteStream } from "../../src/wire/stream.ts";
import { flag, frameType } from "../../src/wire/yamux/frame.ts";
import { yamuxLimits } from "../../src/wire/yamux/limits.ts";
import { type YamuxSession, yamuxSession } from "../../src/wire/yamux/session.ts";
import { dataFrame, FrameCollector, frame, TestPipe } from "../support/wire-pipes.ts";
import { bytesOf, mutate, pick, recut, upTo } from "./random.ts";
import { settles, turn } from "./settle.ts";

const ids = [0, 1, 2, 3, 4, 5, 7, 99, 0xffff_ffff];
const flagSets = [
  0,
  0,
  0,
  flag.syn,
  flag.ack,
  flag.fin,
  flag.rst,
  flag.syn | flag.fin,
  flag.ack | flag.fin,
  flag.syn | flag.rst,
  0xffff,
];
const credits = [0, 1, 5_000, 131_072, 0xffff_ffff];

/** Damaged frame sequences against a session whose streams are used meanwhile. */
export const yamuxFuzz = {
  name: "yamux",
  async run(random: () => number, count: number): Promise<void> {
    for (let n = 0; n < count; n++) await one(random);
  },
};

async function one(random: () => number): Promise<void> {
  const role = pick(random, ["client", "server"] as const);
  const pipe = new TestPipe();
  const clock = new FakeClock();
  const session = yamuxSession(pipe, role, { clock });
  const tasks: Promise<unknown>[] = [user(random, session)];
  const opening = new AbortController();
  for (let n = upTo(random, 3); n > 0; n--) tasks.push(use(random, session.open(opening.signal)));
  const sent = mutate(random, someFrames(random));
  const credit = new CreditWatch();
  for (const piece of recut(random, sent)) {
    pipe.push(piece);
    credit.received(piece);
    if (upTo(random, 8) === 0) await turn();
    if (upTo(random, 20) === 0) pipe.bufferedBytes = pick(random, [0, yamuxLimits.bufferedBytes]);
  }
  pipe.drain();
  await turn();
  // The watch cannot follow once the session has seen a violation; before that, credit is kept to the byte.
  credit.check(pipe);
  if (upTo(random, 2) === 0) await clock.advance(pick(random, [30_000, 45_000, 400_000]));
  pipe.lose(new Error("the end"));
  await settles("what was pending on the session", Promise.all(tasks));
  await settles("the session's end", session.ended);
  if (session.openStreams > 0) throw new Error(`${session.openStreams} streams are left`);
  if (clock.pending > 0) throw new Error(`${clock.pending} timers are left`);
}

function someFrames(random: () => number): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let n = 1 + upTo(random, 12); n > 0; n--) {
    const id = pick(random, ids);
    const flags = pick(random, flagSets);
    switch (upTo(random, 8)) {
      case 0:
        frames.push(frame("ping", pick(random, [flag.syn, flag.ack, 0]), 0, upTo(random, 3)));
        break;
      case 1:
        frames.push(frame("goAway", 0, 0, pick(random, [0, 0, 1, 77])));
        break;
      case 2:
      case 3:
        frames.push(frame("windowUpdate", flags, id, pick(random, credits)));
        break;
      case 4:
        frames.push(frame("data", flags, id, pick(random, [0, 1, 262_144, 262_145, 0xffff_ffff])));
        break;
      default:
        frames.push(dataFrame(id, bytesOf(random, upTo(random, 300)), flags));
    }
  }
  return frames;
}

/** Takes what the peer opens. */
async function user(random: () => number, session: YamuxSession): Promise<void> {
  const uses: Promise<unknown>[] = [];
  for await (const stream of session.incoming) uses.push(use(random, Promise.resolve(stream)));
  await Promise.all(uses);
}

/** Reads, writes and closes in some way. Every step may fail; none may hang when the connection is gone. */
async function use(random: () => number, opening: Promise<ByteStream>): Promise<void> {
  const stream = await opening.catch(() => undefined);
  if (!stream) return;
  const writing = stream.write(new Uint8Array(pick(random, [0, 1, 70_000, 300_000]))).catch(() => undefined);
  const reading = pick(random, [
    async () => {
      for await (const _chunk of stream) if (upTo(random, 5) === 0) break;
    },
    async () => undefined,
  ])().catch(() => undefined);
  const closing = pick(random, [
    () => stream.end(),
    () => stream[Symbol.asyncDispose](),
    async () => stream.abort(new Error("given up")),
    async () => undefined,
  ])();
  await Promise.all([writing, reading, closing]);
}

/** The peer's book of credit: more data than credit on a stream is our mistake. */
class CreditWatch {
  readonly #incoming = new FrameCollector();
  #broken = false;

  received(piece: Uint8Array): void {
    if (this.#broken) return;
    try {
      this.#incoming.push(piece);
    } catch {
      this.#broken = true;
    }
  }

  check(pipe: TestPipe): void {
    const sent = new Map<number, number>();
    for (const { type, streamId, length, body } of pipe.frames) {
      if (type === frameType.data && body.length !== length) throw new Error("a frame of ours is not whole");
      if (type === frameType.data) sent.set(streamId, (sent.get(streamId) ?? 0) + length);
    }
    for (const [id, bytes] of sent) {
      let granted = 0;
      let lives = 1;
      for (const { type, streamId, flags, length } of this.#incoming.frames) {
        if (streamId !== id) continue;
        if (flags & flag.syn) lives++;
        if (type === frameType.windowUpdate) granted += length;
      }
      if (bytes > granted + lives * yamuxLimits.windowBytes)
        throw new Error(`${bytes} bytes sent on stream ${id}: beyond its credit`);
    }
  }
}
