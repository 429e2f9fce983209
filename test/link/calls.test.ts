import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { CompletedJobSchema, FailedJobSchema, UpdateJobRequestSchema } from "../../src/gen/provisionerd_pb.ts";
import type { ControlPlane } from "../../src/job/ports.ts";
import { RefusedError, TooBigError } from "../../src/kit/errors.ts";
import { type FakeCoderd, type MethodName, type Step, startFakeCoderd } from "../support/fake-coderd.ts";
import { never, startLink, type TestLink } from "./harness.ts";

const update = (jobId = "j") => create(UpdateJobRequestSchema, { jobId });
const failed = create(FailedJobSchema, { jobId: "j", error: "no" });
const completed = create(CompletedJobSchema, { jobId: "j", type: { case: "templateDryRun", value: {} } });

/** Turns the clock in small steps until a promise has settled. */
async function turn<T>(agent: TestLink, promise: Promise<T>, stepMs = 50): Promise<T> {
  let settled = false;
  const seen = promise.finally(() => {
    settled = true;
  });
  seen.catch(() => undefined);
  for (let step = 0; !settled && step < 2_000; step++) await agent.clock.advance(stepMs);
  return seen;
}

test("the calls fit what the job room asks for", async () => {
  await using coderd = await startFakeCoderd();
  await using agent = await startLink({ url: coderd.url });
  const plane: ControlPlane = agent.link.calls;
  expect(await plane.updateJob(update(), never)).toMatchObject({ canceled: false });
});

describe("01#93 how an answer is told from a loss", () => {
  test.each<[string, (plane: ControlPlane) => Promise<unknown>, MethodName]>([
    ["UpdateJob", (plane) => plane.updateJob(update(), never), "updateJob"],
    ["CompleteJob", (plane) => plane.completeJob(completed, never), "completeJob"],
    ["FailJob", (plane) => plane.failJob(failed, never), "failJob"],
    ["DownloadFile", (plane) => plane.downloadModuleFiles("f", never), "downloadFile"],
    ["UploadFile", (plane) => plane.uploadModuleFiles(new Uint8Array(3), never), "uploadFile"],
  ])("%s: an Error packet is final", async (_what, call, method) => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    coderd.script(method, { error: "you don't own this job" });
    const error = await turn(agent, call(agent.link.calls)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RefusedError);
    expect(String(error)).toContain("you don't own this job");
    expect(coderd.of(method)).toHaveLength(1);
  });

  test.each(["close", "closeSend", "cancel", "fin", "rst", "cut"] as const)(
    "%s without an answer is repeated",
    async (step) => {
      await using coderd = await startFakeCoderd();
      await using agent = await startLink({ url: coderd.url });
      await agent.event("connected");
      await agent.clock.advance(10_000);
      coderd.script("updateJob", step, step, { answer: { canceled: true } });
      expect(await turn(agent, agent.link.calls.updateJob(update(), never))).toMatchObject({ canceled: true });
      expect(coderd.of("updateJob")).toHaveLength(3);
    },
  );

  test("repeats follow the curve from 25 ms to 5 s", async () => {
    await using coderd = await startFakeCoderd({ calls: { completeJob: "close" } });
    await using agent = await startLink({ url: coderd.url });
    await agent.event("key");
    const controller = new AbortController();
    const call = agent.link.calls.completeJob(completed, controller.signal);
    call.catch(() => undefined);
    for (const [index, expected] of [40, 65, 106, 171, 277, 449, 726, 1175, 1900, 3075, 4975, 5000].entries()) {
      const lost = await coderd.seen("completeJob", index + 1);
      await coderd.until(() => lost.ended);
      let waited = 0;
      while (coderd.of("completeJob").length === index + 1 && waited < 10_000) {
        await agent.clock.advance(10);
        waited += 10;
      }
      expect(Math.abs(waited - expected), `repeat ${index}: ${waited}`).toBeLessThan(60);
    }
    controller.abort(new Error("deadline"));
    await expect(call).rejects.toThrow("deadline");
  });
});

describe("02#39 02#40 01#104 a job's calls go on after the connection was cut", () => {
  test.each<[string, (plane: ControlPlane) => Promise<unknown>, MethodName]>([
    ["CompleteJob", (plane) => plane.completeJob(completed, never), "completeJob"],
    ["FailJob", (plane) => plane.failJob(failed, never), "failJob"],
    ["UpdateJob", (plane) => plane.updateJob(update(), never), "updateJob"],
  ])("%s is repeated on the next connection", async (_what, call, method) => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    await agent.clock.advance(10_000);
    coderd.script(method, "cut");
    await turn(agent, call(agent.link.calls));
    expect(coderd.of(method).map(({ connection }) => connection)).toEqual([0, 1]);
    expect(coderd.of(method)[1]?.request).toEqual(coderd.of(method)[0]?.request);
  });

  test("a repeated FailJob that is answered with `job already completed` is a success", async () => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    await agent.clock.advance(10_000);
    coderd.script("failJob", "cut", { error: "fail job: job already completed" });
    await turn(agent, agent.link.calls.failJob(failed, never));
    expect(coderd.of("failJob")).toHaveLength(2);
  });

  test("a first FailJob that is answered so is refused", async () => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    coderd.script("failJob", { error: "fail job: job already completed" });
    await expect(agent.link.calls.failJob(failed, never)).rejects.toThrow("job already completed");
  });

  test("a repeated CompleteJob that is refused is refused: FailJob has to tell", async () => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    await agent.clock.advance(10_000);
    coderd.script("completeJob", "cut", { error: "insert agent: duplicate" });
    await expect(turn(agent, agent.link.calls.completeJob(completed, never))).rejects.toBeInstanceOf(RefusedError);
  });

  test("calls wait while there is no connection, and a deadline ends the wait", async () => {
    await using coderd = await startFakeCoderd();
    await coderd.down();
    await using agent = await startLink({ url: coderd.url });
    const deadline = new AbortController();
    const given = agent.link.calls.updateJob(update("a"), deadline.signal);
    const patient = agent.link.calls.updateJob(update("b"), never);
    const failedDial = await agent.event("dial-failed");
    deadline.abort(new Error("too late"));
    await expect(given).rejects.toThrow("too late");
    await coderd.up();
    await agent.clock.advance(failedDial.delayMs);
    await patient;
    expect(coderd.of("updateJob").map(({ request }) => request.jobId)).toEqual(["b"]);
  });
});

describe("the guard of spec/02 §1.6", () => {
  const others = async (agent: TestLink, coderd: FakeCoderd, until: () => boolean) => {
    while (!until()) {
      coderd.script("updateJob", { answer: {} });
      await turn(agent, agent.link.calls.updateJob(update("other"), never));
      await agent.clock.advance(50);
    }
  };

  test("a call that is lost five times on a connection that answers others is final", async () => {
    await using coderd = await startFakeCoderd({ calls: { completeJob: "fin" } });
    await using agent = await startLink({ url: coderd.url });
    let settled = false;
    const call = agent.link.calls.completeJob(completed, never).finally(() => {
      settled = true;
    });
    call.catch(() => undefined);
    await others(agent, coderd, () => settled);
    await expect(call).rejects.toThrow(/5 times/);
    await expect(call).rejects.toBeInstanceOf(RefusedError);
    expect(coderd.of("completeJob")).toHaveLength(5);
  });

  test("while nothing else is answered it goes on", async () => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    const fins: Step<"completeJob">[] = Array(9).fill("fin");
    coderd.script("completeJob", ...fins);
    await turn(agent, agent.link.calls.completeJob(completed, never));
    expect(coderd.of("completeJob")).toHaveLength(10);
  });

  test("losses that end the connection don't count", async () => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    const cuts: Step<"completeJob">[] = Array(7).fill("cut");
    coderd.script("completeJob", ...cuts);
    let settled = false;
    const call = agent.link.calls.completeJob(completed, never).finally(() => {
      settled = true;
    });
    await others(agent, coderd, () => settled);
    await call;
    expect(coderd.of("completeJob")).toHaveLength(8);
  });
});

describe("calls that are repeated at most once", () => {
  const cases: [string, MethodName, (plane: ControlPlane) => Promise<unknown>][] = [
    ["commitQuota", "commitQuota", (plane) => plane.commitQuota({ jobId: "j", dailyCost: 7 }, never)],
    ["updateJobOnce", "updateJob", (plane) => plane.updateJobOnce(update(), never)],
  ];

  test.each(cases)("%s: answered, refused, lost once, lost twice", async (_what, method, call) => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    await agent.clock.advance(10_000);
    const plane = agent.link.calls;
    expect(await call(plane)).toMatchObject({ repeated: false, ok: true });
    coderd.script(method, { error: "no" });
    expect(await call(plane)).toMatchObject({ repeated: false, ok: false, refused: { message: "no" } });
    coderd.script(method, "fin");
    expect(await turn(agent, call(plane))).toMatchObject({ repeated: true, ok: true });
    coderd.script(method, "rst", { error: "duplicate" });
    expect(await turn(agent, call(plane))).toMatchObject({
      repeated: true,
      ok: false,
      refused: { message: "duplicate" },
    });
    const before = coderd.of(method).length;
    coderd.script(method, "cut", "fin");
    expect(await turn(agent, call(plane))).toMatchObject({ repeated: true, ok: false });
    expect(coderd.of(method)).toHaveLength(before + 2);
  });
});

test("a message above 4 MiB is refused before anything is sent; one of exactly 4 MiB goes", async () => {
  await using coderd = await startFakeCoderd();
  await using agent = await startLink({ url: coderd.url });
  const filled = (bytes: number) => create(UpdateJobRequestSchema, { jobId: "j", readme: new Uint8Array(bytes) });
  const size = (bytes: number) => toBinary(UpdateJobRequestSchema, filled(bytes)).length;
  const fits = 2 * 4_194_304 - size(4_194_304);
  expect(size(fits)).toBe(4_194_304);
  await agent.link.calls.updateJob(filled(fits), never);
  await expect(agent.link.calls.updateJob(filled(fits + 1), never)).rejects.toBeInstanceOf(TooBigError);
  expect(coderd.of("updateJob")).toHaveLength(1);
});

test("01#103 200 concurrent calls on one session don't disturb each other", async () => {
  await using coderd = await startFakeCoderd({
    calls: { updateJob: (call) => ({ answer: { variableValues: [{ name: call.request.jobId }] } }) },
  });
  await using agent = await startLink({ url: coderd.url });
  const ids = Array.from({ length: 200 }, (_, index) => `job-${index}`);
  const answers = await Promise.all(ids.map((id) => agent.link.calls.updateJob(update(id), never)));
  expect(answers.map(({ variableValues }) => variableValues[0]?.name)).toEqual(ids);
  expect(coderd.handshakes).toHaveLength(1);
});
