import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LogLevel, MetadataSchema } from "../../src/gen/provisioner_pb.ts";
import * as messages from "../../src/gen/session_pb.ts";
import { encodeFrame, FrameReader } from "../../src/session/frames.ts";
import { serveSession } from "../../src/session/host.ts";
import { memoryPair } from "../../src/wire/memory.ts";
import type { ByteStream } from "../../src/wire/stream.ts";
import { type Script, scriptedSession } from "../support/session-provisioner.ts";

type ToWorker = messages.ToWorker["kind"];
type FromWorker = messages.FromWorker["kind"];

const metadata = create(MetadataSchema, { workspaceName: "box" });
const ask = {
  open: (logLevel = ""): ToWorker => ({ case: "open", value: create(messages.OpenSchema, { logLevel }) }),
  init: (): ToWorker => ({ case: "init", value: create(messages.InitSchema) }),
  parse: (): ToWorker => ({ case: "parse", value: create(messages.ParseSchema) }),
  plan: (): ToWorker => ({ case: "plan", value: create(messages.PlanSchema, { metadata }) }),
  graph: (source = messages.Graph_Source.PLAN): ToWorker => ({
    case: "graph",
    value: create(messages.GraphSchema, { source }),
  }),
  apply: (): ToWorker => ({ case: "apply", value: create(messages.ApplySchema, { metadata }) }),
  cancel: (): ToWorker => ({ case: "cancel", value: create(messages.CancelSchema) }),
};

let folder: string;
let trace: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "law-"));
  trace = join(folder, "trace");
});
afterEach(() => rmSync(folder, { recursive: true }));

const traced = () => (existsSync(trace) ? readFileSync(trace, "utf8").trim().split("\n") : []);
const until = async (fact: () => boolean) => {
  while (!fact()) await new Promise((resolve) => setImmediate(resolve));
};

/** The agent's end in bare messages, with a host at the other end. */
class Bare {
  readonly received: FromWorker[] = [];
  readonly served: Promise<void>;
  readonly stop = new AbortController();
  readonly #stream: ByteStream;
  readonly #read: Promise<void>;

  constructor(steps: Script["steps"] = {}) {
    const [ours, theirs] = memoryPair();
    this.#stream = ours;
    this.served = serveSession(theirs, () => scriptedSession({ trace, steps }), this.stop.signal);
    this.#read = this.#receive();
  }

  say(kind: ToWorker): Promise<void> {
    return this.#stream.write(
      encodeFrame(toBinary(messages.ToWorkerSchema, create(messages.ToWorkerSchema, { kind }))),
    );
  }

  end(): Promise<void> {
    return this.#stream.end();
  }

  /** Says these and waits for an answer to each. */
  async answered(...kinds: ToWorker[]): Promise<void> {
    for (const kind of kinds) {
      const before = this.answers.length;
      await this.say(kind);
      await until(() => this.answers.length > before);
    }
  }

  get answers(): FromWorker[] {
    return this.received.filter((kind) => kind.case !== "log" && kind.case !== "state");
  }

  /** The last word of a session that has ended with an error. */
  async fatal(): Promise<string> {
    await Promise.all([this.served, this.#read]);
    const last = this.received.at(-1);
    return last?.case === "fatal" ? last.value.error : `not fatal: ${last?.case}`;
  }

  async #receive(): Promise<void> {
    const frames = new FrameReader(1 << 30);
    for await (const chunk of this.#stream) {
      for (const frame of frames.push(chunk)) this.received.push(fromBinary(messages.FromWorkerSchema, frame).kind);
    }
  }
}

test.each([ask.init(), ask.parse(), ask.plan(), ask.graph(), ask.apply(), ask.cancel()])(
  "03#1 $case before the configuration ends the session with an error",
  async (kind) => {
    const bare = new Bare();
    await bare.say(kind);
    expect(await bare.fatal()).toBe(`open session: first message is "${kind.case}": it must be "open"`);
  },
);

test.each([
  ["plan before init", [], ask.plan(), '"plan" came before a "init" that worked'],
  ["parse before init", [], ask.parse(), '"parse" came before a "init" that worked'],
  ["graph before init", [], ask.graph(), '"graph" came before a "init" that worked'],
  ["apply before init", [], ask.apply(), '"apply" came before a "plan" that worked'],
  ["apply before plan", [ask.init()], ask.apply(), '"apply" came before a "plan" that worked'],
  ["graph before plan", [ask.init()], ask.graph(), '"graph of the plan" came before a "plan" that worked'],
  [
    "graph of a state that was never made",
    [ask.init(), ask.plan()],
    ask.graph(2),
    '"graph of the state" came before a "apply" that worked',
  ],
  ["graph of nothing", [ask.init()], ask.graph(0), '"graph" came with source 0: it must be plan or state'],
  ["a second configuration", [], ask.open(), '"open" came: it is no step'],
])("03#2 %s ends the session with an error, and its folder is gone", async (_, before, kind, error) => {
  const bare = new Bare();
  await bare.say(ask.open());
  await bare.answered(...before);
  await bare.say(kind);
  expect(await bare.fatal()).toBe(error);
  expect(traced().at(-1)).toBe("disposed");
});

test("03#2 apply after a plan that failed ends the session with an error", async () => {
  const bare = new Bare({ plan: [{ error: "no" }] });
  await bare.say(ask.open());
  await bare.answered(ask.init(), ask.plan());
  await bare.say(ask.apply());
  expect(await bare.fatal()).toContain('"apply" came before a "plan" that worked');
});

test("03#3 a second Init after success ends the session; after a failed Init it is accepted", async () => {
  const bare = new Bare({ init: [{ error: "no registry" }] });
  await bare.say(ask.open());
  await bare.answered(ask.init(), ask.init());
  expect(bare.answers.map((kind) => kind.case)).toEqual(["failure", "init"]);
  await bare.say(ask.init());
  expect(await bare.fatal()).toBe('"init" came again: it may succeed only once');
});

test.each([
  [
    "another request",
    async (bare: Bare) => bare.say(ask.graph()),
    '"graph" came while a step was running: only "cancel" may',
  ],
  ["the end of the stream", async (bare: Bare) => bare.end(), "the agent ended the stream while a step was running"],
])(
  "03#4 03#6 %s during a request interrupts it, waits for its end, throws its result away, ends",
  async (_, act, error) => {
    const bare = new Bare({ plan: [{ untilCanceled: true }] });
    await bare.say(ask.open());
    await bare.answered(ask.init());
    await bare.say(ask.plan());
    await until(() => traced().includes("plan began"));
    await act(bare);
    expect(await bare.fatal()).toBe(error);
    expect(traced().slice(-4)).toEqual(["plan interrupted", "plan ended", "disposing", "disposed"]);
    expect(bare.answers.map((kind) => kind.case)).toEqual(["init", "fatal"]);
  },
);

test("03#5 a Cancel with nothing running, and a second one, are ignored, and the next request works", async () => {
  const bare = new Bare({ plan: [{ untilCanceled: true }] });
  await bare.say(ask.open());
  await bare.say(ask.cancel());
  await bare.answered(ask.init());
  await bare.say(ask.cancel());
  await bare.say(ask.plan());
  await until(() => traced().includes("plan began"));
  await bare.say(ask.cancel());
  await bare.say(ask.cancel());
  await until(() => bare.answers.length === 2);
  await bare.answered(ask.graph());
  await bare.end();
  await bare.served;
  expect(bare.answers.map((kind) => kind.case)).toEqual(["init", "plan", "graph"]);
});

test("a host that is told to end interrupts the step, waits for it, and ends", async () => {
  const bare = new Bare({ init: [{ untilCanceled: true }] });
  await bare.say(ask.open());
  await bare.say(ask.init());
  await until(() => traced().includes("init began"));
  bare.stop.abort(new Error("the worker was told to end"));
  expect(await bare.fatal()).toBe("the worker was told to end");
  expect(traced().slice(-3)).toEqual(["init ended", "disposing", "disposed"]);
});

test("lines below the job's level are dropped; an unknown level drops nothing", async () => {
  const logs = [LogLevel.TRACE, LogLevel.DEBUG, LogLevel.INFO].map((level) => ({ level, output: LogLevel[level] }));
  for (const [level, kept] of [
    ["debug", "DEBUG,INFO"],
    ["", "TRACE,DEBUG,INFO"],
    ["loud", "TRACE,DEBUG,INFO"],
  ] as const) {
    const bare = new Bare({ init: [{ logs }] });
    await bare.say(ask.open(level));
    await bare.answered(ask.init());
    const lines = bare.received.flatMap((kind) => (kind.case === "log" ? [kind.value.output] : []));
    expect(lines.join()).toBe(kept);
    await bare.end();
    await bare.served;
  }
});

test("bytes that are no message end the session with an error", async () => {
  const [ours, theirs] = memoryPair();
  const served = serveSession(theirs, () => scriptedSession({}), new AbortController().signal);
  await ours.write(encodeFrame(Uint8Array.of(0xff, 0xff)));
  await served;
  let said = "";
  for await (const chunk of ours) said += new TextDecoder().decode(chunk);
  expect(said).toContain("read message of the agent:");
});

test("an agent that doesn't read loses log lines, counted, and no answer", async () => {
  const logs = Array.from({ length: 6 }, (_, index) => ({
    level: LogLevel.INFO,
    output: `${index}`.repeat(1_000_000),
  }));
  const [ours, theirs] = memoryPair();
  const steps = { init: [{ logs }], plan: [{ logs: [{ level: LogLevel.INFO, output: "later" }] }] };
  const served = serveSession(theirs, () => scriptedSession({ trace, steps }), new AbortController().signal);
  const send = (kind: ToWorker) =>
    ours.write(encodeFrame(toBinary(messages.ToWorkerSchema, create(messages.ToWorkerSchema, { kind }))));
  await send(ask.open());
  await send(ask.init());
  await until(() => traced().includes("init ended"));
  const lines: string[] = [];
  const frames = new FrameReader(1 << 30);
  reading: for await (const chunk of ours) {
    for (const frame of frames.push(chunk)) {
      const { kind } = fromBinary(messages.FromWorkerSchema, frame);
      if (kind.case === "log") lines.push(kind.value.output.slice(0, 60));
      if (kind.case === "init") await send(ask.plan());
      if (kind.case === "plan") break reading;
    }
  }
  await ours.end();
  await served;
  expect(lines.at(-2)).toMatch(/^\d log lines dropped: the agent did not read them in time$/);
  expect(lines.at(-1)).toBe("later");
});

test("03#18 an archive that announces too much, or ends before what it announced, ends the session", async () => {
  for (const [bytes, error] of [
    [Uint8Array.of(0x40, 0, 0, 0), "read message: length 1073741824: at most 113246208 is allowed"],
    [Uint8Array.of(0, 0, 1, 0, 1, 2, 3), "read message of the agent: the stream ended inside it"],
  ] as const) {
    const [ours, theirs] = memoryPair();
    const served = serveSession(theirs, () => scriptedSession({ trace }), new AbortController().signal);
    const kind = ask.open();
    await ours.write(encodeFrame(toBinary(messages.ToWorkerSchema, create(messages.ToWorkerSchema, { kind }))));
    await ours.write(bytes);
    await ours.end();
    await served;
    let said = "";
    for await (const chunk of ours) said += new TextDecoder().decode(chunk);
    expect(said).toContain(error);
    expect(traced().at(-1)).toBe("disposed");
  }
});
