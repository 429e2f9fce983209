import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { LogLevel, MetadataSchema } from "../../src/gen/provisioner_pb.ts";
import * as messages from "../../src/gen/session_pb.ts";
import { PeerError } from "../../src/kit/errors.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import { remoteProvisioner } from "../../src/session/client.ts";
import type { WorkerConnection } from "../../src/session/conversation.ts";
import { encodeFrame } from "../../src/session/frames.ts";
import type { LogLine, Planned, Session } from "../../src/session/types.ts";
import { memoryPair } from "../../src/wire/memory.ts";
import { text } from "../support/session-provisioner.ts";
import { childWorker } from "../support/session-workers.ts";

const never = new AbortController().signal;
const initInput = { templateArchive: text("tar"), moduleArchive: new Uint8Array(), omitModuleFiles: true };
const metadata = create(MetadataSchema);
const planInput = {
  metadata,
  variableValues: [],
  richParameterValues: [],
  previousParameterValues: [],
  externalAuthProviders: [],
  state: new Uint8Array(),
};

type Kind = messages.FromWorker["kind"];
const frame = (kind: Kind) =>
  encodeFrame(toBinary(messages.FromWorkerSchema, create(messages.FromWorkerSchema, { kind })));
const initDone: Kind = { case: "init", value: create(messages.InitDoneSchema) };
const planDone: Kind = { case: "plan", value: create(messages.PlanDoneSchema) };
const graphDone: Kind = { case: "graph", value: create(messages.GraphDoneSchema) };
const applyDone: Kind = { case: "apply", value: create(messages.ApplyDoneSchema, { state: text("done") }) };
const state = (value: string): Kind => ({ case: "state", value: create(messages.StateSchema, { state: text(value) }) });
const log = (output: string, level = LogLevel.INFO): Kind => ({
  case: "log",
  value: create(messages.LogLineSchema, { output, level }),
});

/** A worker that says what the test says, whatever it is asked. */
class Liar {
  readonly clock = new FakeClock();
  readonly lines: LogLine[] = [];
  readonly heard: Uint8Array[] = [];
  disposed = 0;
  die!: (reason: Error) => void;
  lastState: (() => Promise<Uint8Array | undefined>) | undefined;
  readonly #end = memoryPair();

  async open(): Promise<Session> {
    const [ours, theirs] = this.#end;
    void (async () => {
      for await (const chunk of theirs) this.heard.push(chunk);
    })().catch(() => undefined);
    const connection: WorkerConnection = {
      stream: ours,
      lost: new Promise((resolve) => {
        this.die = resolve;
      }),
      dispose: async () => {
        this.disposed++;
      },
      lastState: () => this.lastState?.() ?? Promise.resolve(undefined),
    };
    const provisioner = remoteProvisioner(
      () => Promise.resolve(connection),
      () => text("{}"),
      this.clock,
    );
    const onLog = (line: LogLine) => this.lines.push(line);
    return await provisioner.open({ logLevel: "", templateId: "", templateVersionId: "", onLog }, never);
  }

  say(...kinds: Kind[]): Promise<void> {
    return this.write(...kinds.map(frame));
  }

  async write(...chunks: Uint8Array[]): Promise<void> {
    for (const chunk of chunks) await this.#end[1].write(chunk);
  }

  end(): Promise<void> {
    return this.#end[1].end();
  }
}

async function planned(liar: Liar, session: Session): Promise<Planned> {
  const initializing = session.init(initInput, never);
  await liar.say(initDone);
  const planning = (await initializing).plan(planInput, never);
  await liar.say(planDone);
  return await planning;
}

const repeated = (unit: number[], times: number) =>
  Uint8Array.from({ length: unit.length * times }, (_, i) => unit[i % unit.length] as number);

/** A whole FromWorker of one kind whose body is these bytes. */
function raw(field: number, body: Uint8Array): Uint8Array {
  const length: number[] = [];
  for (let rest = body.length; ; rest >>>= 7) {
    length.push(rest > 127 ? (rest & 127) | 128 : rest);
    if (rest <= 127) break;
  }
  return encodeFrame(Uint8Array.from([(field << 3) | 2, ...length, ...body]));
}

describe("a hostile worker fails its own job with a PeerError:", () => {
  test.each<[string, Uint8Array[], string]>([
    ["it lies about a length", [Uint8Array.of(0xff, 0xff, 0xff, 0xff)], "length 4294967295: at most 67108864"],
    ["it sends what is no message", [encodeFrame(Uint8Array.of(1, 2, 3))], "read message of the worker"],
    ["it sends an empty message", [encodeFrame(new Uint8Array())], "read message of the worker"],
    ["it sends an unknown kind", [encodeFrame(Uint8Array.of(0xfa, 0x01, 0))], "unknown kind 31"],
    [
      "it sends two kinds in one message",
      [encodeFrame(Uint8Array.of(0x0a, 0, 0x12, 0))],
      'more than one kind, "log" first',
    ],
    ["it cuts a field short", [encodeFrame(Uint8Array.of(0x0a, 5, 1))], "read message of the worker"],
    [
      "it sends a graph of a million empty resources",
      [raw(7, repeated([0x0a, 0], 1_000_000))],
      "more than 300000 fields",
    ],
    [
      "it sends a graph of a million unknown fields",
      [raw(7, repeated([0x78, 1], 1_000_000))],
      "more than 300000 fields",
    ],
    [
      "it sends a graph that is too big",
      [raw(7, new Uint8Array(9 << 20))],
      '"graph" of 9437184 bytes: at most 8388608',
    ],
    ["it sends a log line that is too long", [frame(log("x".repeat(1_048_577)))], "log line of 1048577 characters"],
    ["it sends a log line of no level", [frame(log("x", 9 as LogLevel))], "log line of level 9: 0 to 4 exist"],
    ["it answers what was not asked", [frame(planDone)], 'worker answered "plan" while "init" ran'],
    ["it sends a state outside of an apply", [frame(state("{}"))], 'worker sent a state while "init" ran'],
    [
      "it ends the session",
      [frame({ case: "fatal", value: create(messages.FatalSchema, { error: "bug" }) })],
      "worker ended the session: bug",
    ],
  ])("%s", async (_, chunks, error) => {
    const liar = new Liar();
    const session = await liar.open();
    const step = session.init(initInput, never);
    step.catch(() => undefined);
    await liar.write(...chunks).catch(() => undefined);
    await expect(step).rejects.toThrow(PeerError);
    await expect(step).rejects.toThrow(error);
    // And it stays so: nothing is asked of it any more.
    await expect(session.init(initInput, never)).rejects.toThrow(error);
    await session[Symbol.asyncDispose]();
    expect(liar.disposed).toBe(1);
    expect(liar.clock.pending).toBe(0);
  });

  test("it answers twice", async () => {
    const liar = new Liar();
    const session = await liar.open();
    const step = session.init(initInput, never);
    await liar.say(initDone, initDone);
    const initialized = await step;
    await expect(initialized.parse(never)).rejects.toThrow(
      /worker answered "init" while (nothing was asked|"parse" ran)/,
    );
  });

  test("it claims an apply while a graph runs", async () => {
    const liar = new Liar();
    const session = await liar.open();
    const plan = await planned(liar, session);
    const graph = plan.graph(never);
    graph.catch(() => undefined);
    await liar.say(applyDone).catch(() => undefined);
    await expect(graph).rejects.toThrow('worker answered "apply" while "graph" ran');
  });

  test("it fails without a word: the text isn't empty, and a code that nobody knows is dropped", async () => {
    const liar = new Liar();
    const session = await liar.open();
    const step = session.init(initInput, never);
    await liar.say({ case: "failure", value: create(messages.FailureSchema, { code: "MADE_UP" }) });
    await expect(step).rejects.toMatchObject({ message: "init failed without a word", code: "" });
  });

  test("it floods logs: every line is taken, others get their turn in between, and the answer still counts", async () => {
    const liar = new Liar();
    const session = await liar.open();
    const step = session.init(initInput, never);
    let turns = 0;
    let flooding = true;
    const count = (): void => {
      turns++;
      if (flooding) setImmediate(count);
    };
    setImmediate(count);
    const flood = Buffer.concat(Array.from({ length: 1_000 }, () => frame(log("spam".repeat(250)))));
    for (let round = 0; round < 10; round++) await liar.write(flood);
    await liar.say(initDone);
    await step;
    flooding = false;
    expect(liar.lines.length).toBe(10_000);
    expect(turns).toBeGreaterThan(20);
  });

  test("it stalls: an interrupt reaches it, and disposing ends the wait", async () => {
    const liar = new Liar();
    const session = await liar.open();
    const stop = new AbortController();
    const step = session.init(initInput, stop.signal);
    step.catch(() => undefined);
    stop.abort(new Error("canceled"));
    const cancel = toBinary(
      messages.ToWorkerSchema,
      create(messages.ToWorkerSchema, { kind: { case: "cancel", value: {} } }),
    );
    const heard = () => Buffer.concat(liar.heard).includes(Buffer.from(encodeFrame(cancel)));
    while (!heard()) await new Promise((resolve) => setImmediate(resolve));
    await session[Symbol.asyncDispose]();
    await expect(step).rejects.toThrow('worker was ended while "init" ran');
  });

  test("its neighbour goes on", async () => {
    const [bad, good] = [new Liar(), new Liar()];
    const [badSession, goodSession] = [await bad.open(), await good.open()];
    const plan = await planned(good, goodSession);
    const [failing, working] = [badSession.init(initInput, never), plan.graph(never)];
    failing.catch(() => undefined);
    await bad.write(Uint8Array.of(0xff, 0xff, 0xff, 0xff)).catch(() => undefined);
    await expect(failing).rejects.toThrow(PeerError);
    await good.say(graphDone);
    expect((await working).resources).toEqual([]);
  });
});

describe("a worker that dies", () => {
  test("is named by its own end, even if its stream ends first", async () => {
    const liar = new Liar();
    const session = await liar.open();
    const step = session.init(initInput, never);
    step.catch(() => undefined);
    await liar.end();
    await liar.clock.advance(500);
    liar.die(new Error("killed by signal SIGKILL (out of memory)"));
    await expect(step).rejects.toThrow('worker ended while "init" ran: killed by signal SIGKILL (out of memory)');
    await expect(step).rejects.toThrow(PeerError);
    expect(liar.clock.pending).toBe(0);
  });

  test("and whose end nobody sees is named by its stream, after a second", async () => {
    const liar = new Liar();
    const session = await liar.open();
    const step = session.init(initInput, never);
    step.catch(() => undefined);
    await liar.write(Uint8Array.of(0, 0));
    await liar.end();
    await liar.clock.advance(1_000);
    await expect(step).rejects.toThrow('worker ended while "init" ran: its output ended inside a message');
  });

  test("and whose pipe stays open is given up after two seconds; what it wrote before still counts", async () => {
    const liar = new Liar();
    const session = await liar.open();
    const step = session.init(initInput, never);
    liar.die(new Error("exit code 1"));
    await liar.say(initDone);
    const parse = (await step).parse(never);
    parse.catch(() => undefined);
    await liar.clock.advance(2_000);
    await expect(parse).rejects.toThrow('worker ended while "parse" ran: exit code 1');
  });

  test("02#31 in an apply leaves its newest states: those it sent, then the one on disk, before the failure", async () => {
    const liar = new Liar();
    const session = await liar.open();
    const plan = await planned(liar, session);
    const states: string[] = [];
    const applying = plan.apply(metadata, async (bytes) => void states.push(new TextDecoder().decode(bytes)), never);
    let seen: string[] = [];
    applying.catch(() => {
      seen = [...states];
    });
    liar.lastState = () => Promise.resolve(text("on disk"));
    await liar.say(state("sent"));
    await liar.end();
    liar.die(new Error("exit code 137"));
    await expect(applying).rejects.toThrow('worker ended while "apply" ran: exit code 137');
    expect(seen).toEqual(["sent", "on disk"]);
  });

  test("in a process of its own is named by its exit code, and a second session works", async () => {
    const open = (exit: boolean) =>
      childWorker({ steps: { init: [{ exit }] } }).open(
        { logLevel: "", templateId: "", templateVersionId: "", onLog: () => undefined },
        never,
      );
    await using dying = await open(true);
    await using living = await open(false);
    const [dead, alive] = await Promise.allSettled([dying.init(initInput, never), living.init(initInput, never)]);
    expect(dead).toMatchObject({
      reason: { name: "PeerError", message: 'worker ended while "init" ran: exit code 3' },
    });
    expect(alive.status).toBe("fulfilled");
  });
});
