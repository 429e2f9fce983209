import { inspect } from "node:util";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { describe, expect, test } from "vitest";
import { AcquiredJobSchema } from "../../src/gen/provisionerd_pb.ts";
import { startFakeCoderd } from "../support/fake-coderd.ts";
import { never, startLink } from "./harness.ts";

test("01#94 02#6 the agent sends nothing after Invoke while it waits, and reads the answer before it leaves", async () => {
  await using coderd = await startFakeCoderd();
  await using agent = await startLink({ url: coderd.url });
  const job = agent.link.acquire(never);
  const call = await coderd.seen("acquireJobWithCancel");
  // A round trip of another call: whatever the acquire had sent would have come, too.
  await agent.link.calls.commitQuota({ jobId: "other", dailyCost: 1 }, never);
  expect(call.came).toEqual([]);
  coderd.offer({ jobId: "j1", provisioner: "terraform", templateSourceArchive: new Uint8Array([1, 2, 3]) });
  expect(await job).toMatchObject({ jobId: "j1", templateSourceArchive: new Uint8Array([1, 2, 3]) });
  await coderd.until(() => call.ended);
  // Close before FIN is as good as FIN alone (spec/01 §4.9); CloseSend is not.
  expect(call.came.filter((each) => each !== "close")).toEqual(["fin"]);
});

describe("cancelling", () => {
  test("01#95 02#4 02#7 stopping sends exactly one CancelAcquire per stream, and an empty answer is no job", async () => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    const stop = new AbortController();
    const slots = [1, 2, 3].map(() => agent.link.acquire(stop.signal));
    await coderd.seen("acquireJobWithCancel", 3);
    stop.abort(new Error("drain"));
    expect(await Promise.all(slots)).toEqual([undefined, undefined, undefined]);
    await coderd.until(() => coderd.calls.every(({ ended }) => ended));
    for (const { came } of coderd.calls) expect(came.filter((each) => each !== "close")).toEqual(["message", "fin"]);
    expect(coderd.of("failJob")).toEqual([]);
    expect(agent.events.filter(({ kind }) => kind === "acquire-failed")).toEqual([]);
  });

  test("01#95 02#5 a job that comes after the cancel is returned, never dropped", async () => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    coderd.script("acquireJobWithCancel", async (call) => {
      await call.read(() => call.requests.length > 0);
      return { answer: { jobId: "locked" } };
    });
    const stop = new AbortController();
    const job = agent.link.acquire(stop.signal);
    await coderd.seen("acquireJobWithCancel");
    stop.abort(new Error("drain"));
    expect((await job)?.jobId).toBe("locked");
  });

  test("an unanswered cancel is given up after 30 s", async () => {
    await using coderd = await startFakeCoderd({ calls: { acquireJobWithCancel: "freeze" } });
    await using agent = await startLink({ url: coderd.url });
    const stop = new AbortController();
    const job = agent.link.acquire(stop.signal);
    const call = await coderd.seen("acquireJobWithCancel");
    stop.abort(new Error("drain"));
    await coderd.until(() => call.came.includes("message"));
    await agent.clock.advance(30_000);
    expect(await job).toBeUndefined();
  });

  test("an acquire that outlives its link rejects, and doesn't spin", async () => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    const job = agent.link.acquire(never);
    job.catch(() => undefined);
    await coderd.seen("acquireJobWithCancel");
    await agent.stop();
    await expect(job).rejects.toThrow("test is over");
    expect(agent.events.filter(({ kind }) => kind === "acquire-failed")).toEqual([]);
  });

  test("without a connection a cancelled acquire ends at once", async () => {
    await using coderd = await startFakeCoderd({ handshake: () => "hang" });
    await using agent = await startLink({ url: coderd.url });
    const stop = new AbortController();
    const job = agent.link.acquire(stop.signal);
    stop.abort(new Error("drain"));
    expect(await job).toBeUndefined();
  });
});

test("01#96 Close without a message is no job: asked again from 10 ms to 1 s, without end", async () => {
  await using coderd = await startFakeCoderd({ calls: { acquireJobWithCancel: "close" } });
  await using agent = await startLink({ url: coderd.url });
  await agent.event("key");
  const job = agent.link.acquire(never);
  const waits: number[] = [];
  for (let miss = 1; miss <= 14; miss++) {
    await agent.event("acquire-failed", miss);
    // Nothing else runs on this clock at this resolution: the wait is found by turning it.
    let waited = 0;
    while (coderd.of("acquireJobWithCancel").length === miss && waited < 2_000) {
      await agent.clock.advance(1);
      waited++;
    }
    waits.push(waited);
  }
  [16, 26, 42, 69, 111, 179, 290, 469, 759, 1000, 1000, 1000].forEach((expected, index) => {
    expect(Math.abs((waits[index] ?? 0) - expected), `wait ${index}: ${waits}`).toBeLessThan(12);
  });
  void job.catch(() => undefined);
});

test("02#8 N slots are N streams on one connection, and a slot that got a job opens a new one", async () => {
  await using coderd = await startFakeCoderd();
  await using agent = await startLink({ url: coderd.url });
  const stop = new AbortController();
  const jobs = [1, 2, 3].map(() => agent.link.acquire(stop.signal));
  await coderd.seen("acquireJobWithCancel", 3);
  coderd.offer({ jobId: "one" });
  expect((await Promise.race(jobs))?.jobId).toBe("one");
  jobs.push(agent.link.acquire(stop.signal));
  await coderd.seen("acquireJobWithCancel", 4);
  expect(coderd.connected).toBe(1);
  expect(coderd.handshakes).toHaveLength(1);
  stop.abort(new Error("drain"));
  await Promise.all(jobs);
});

test("a lost connection moves the wait to the next one", async () => {
  await using coderd = await startFakeCoderd();
  await using agent = await startLink({ url: coderd.url });
  const job = agent.link.acquire(never);
  await coderd.seen("acquireJobWithCancel");
  await agent.clock.advance(10_000);
  coderd.cut();
  await agent.event("connected", 2);
  await agent.clock.advance(20);
  expect((await coderd.seen("acquireJobWithCancel", 2)).connection).toBe(1);
  coderd.offer({ jobId: "later" });
  expect((await job)?.jobId).toBe("later");
});

describe("01#113 fields 11 and 12 of a build", () => {
  const writer = new BinaryWriter();
  writer.tag(11, WireType.Varint).bool(true);
  writer.tag(12, WireType.LengthDelimited).fork().tag(1, WireType.LengthDelimited).string("SECRET_NAME").join();
  const extra = writer.finish();
  const build = new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .string("job-1")
    .tag(6, WireType.LengthDelimited)
    .fork()
    .raw(extra)
    .tag(2, WireType.LengthDelimited)
    .string("my-workspace")
    .join()
    .finish();

  test("are decoded, dropped, and not to be seen again", async () => {
    await using coderd = await startFakeCoderd({ apiVersion: "1.17" });
    await using agent = await startLink({ url: coderd.url });
    const sent = fromBinary(AcquiredJobSchema, build);
    expect(Buffer.from(toBinary(AcquiredJobSchema, sent)).toString("latin1")).toContain("SECRET_NAME");
    coderd.offer(sent);
    const job = await agent.link.acquire(never);
    if (!job) throw new Error("no job");
    expect(job.type).toMatchObject({ case: "workspaceBuild", value: { workspaceName: "my-workspace" } });
    expect(Buffer.from(toBinary(AcquiredJobSchema, job)).toString("latin1")).not.toContain("SECRET_NAME");
    expect(inspect(job, { depth: 10 })).not.toMatch(/SECRET_NAME|83,\s*69,\s*67/);
    expect(inspect(agent.events, { depth: 10 })).not.toContain("SECRET_NAME");
  });
});
