import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { CompletedJobSchema, UpdateJobRequestSchema } from "../../src/gen/provisionerd_pb.ts";
import { startFakeCoderd } from "../support/fake-coderd.ts";
import { never, startLink } from "./harness.ts";

/** The dial curve without jitter in ms, rounded (spec/02 §0). */
const series = [0, 81, 131, 212, 343, 555, 897, 1452, 2349, 3801, 6150, 9951, 10_000, 10_000];

describe("02#1 dialling a server that is down", () => {
  test("01#22 the waits follow the law, with a cap of 10 s, and begin anew after a success", async () => {
    await using coderd = await startFakeCoderd();
    await coderd.down();
    await using agent = await startLink({ url: coderd.url });
    for (let attempt = 1; attempt < series.length; attempt++) {
      const { delayMs } = await agent.event("dial-failed", attempt);
      expect(delayMs / (series[attempt] as number)).toBeCloseTo(1, 2);
      await agent.clock.advance(delayMs - 1);
      expect(agent.events).toHaveLength(attempt);
      await agent.clock.advance(1);
    }
    const { delayMs } = await agent.event("dial-failed", series.length);
    await coderd.up();
    await agent.clock.advance(delayMs);
    expect(await agent.event("connected")).toMatchObject({ tries: series.length + 1 });
    await agent.clock.advance(10_000);
    await coderd.down();
    const after = await agent.event("dial-failed", series.length + 1);
    expect(after.delayMs / (series[1] as number)).toBeCloseTo(1, 2);
  });

  test("01#22 jitter spreads each wait by a fifth both ways", async () => {
    for (const [random, factor] of [
      [0, 0.8],
      [0.999_999, 1.2],
    ] as const) {
      await using coderd = await startFakeCoderd();
      await coderd.down();
      await using agent = await startLink({ url: coderd.url, random: () => random });
      expect((await agent.event("dial-failed")).delayMs).toBeCloseTo(80.9 * factor, 1);
    }
  });
});

describe("sessions that end", () => {
  test("02#2 after a session of 10 s the first redial is immediate", async () => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    await agent.clock.advance(10_000);
    coderd.cut();
    // The clock stands still: nothing is waited for.
    expect(await agent.event("lost")).toMatchObject({ lastedMs: 10_000 });
    expect(await agent.event("connected", 2)).toMatchObject({ tries: 1, afterMs: 0 });
  });

  test("01#22 sessions under 10 s don't begin the curve anew", async () => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    for (let session = 1; session < 8; session++) {
      await agent.event("connected", session);
      await agent.clock.advance(1_000);
      coderd.cut();
      await agent.event("lost", session);
      const wait = series[session] as number;
      await agent.clock.advance(wait - 2);
      expect(coderd.handshakes).toHaveLength(session);
      await agent.clock.advance(4);
    }
  });

  test.each([1000, 1001, 1009, 1011])("01#44 close code %d leads to a reconnect", async (code) => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    await agent.clock.advance(10_000);
    coderd.close(code);
    await agent.event("connected", 2);
  });

  test("01#44 no close frame (1006) leads to a reconnect", async () => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    await agent.clock.advance(10_000);
    coderd.cut();
    await agent.event("connected", 2);
  });

  test("02#11 the same name on every dial", async () => {
    await using coderd = await startFakeCoderd();
    for (let process = 0; process < 2; process++) {
      await using agent = await startLink({ url: coderd.url, identity: { name: "eu-prod-0" } });
      await agent.event("connected");
      await agent.clock.advance(10_000);
      coderd.cut();
      await agent.event("connected", 2);
    }
    expect(coderd.handshakes.map(({ query }) => query.get("name"))).toEqual(Array(4).fill("eu-prod-0"));
  });

  test("GoAway: a new connection takes over while the old one drains", async () => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    const waiting = agent.link.acquire(never);
    const first = await coderd.seen("acquireJobWithCancel");
    let release: () => void = () => undefined;
    coderd.script("updateJob", async () => {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return { answer: { canceled: true } };
    });
    const slow = agent.link.calls.updateJob(create(UpdateJobRequestSchema, { jobId: "j" }), never);
    await coderd.seen("updateJob");
    await agent.clock.advance(10_000);
    coderd.goAway();
    await coderd.until(() => coderd.connected === 1);
    while (agent.events.every(({ kind }) => kind !== "going-away")) await agent.clock.advance(1_000);
    await agent.event("connected", 2);
    expect(coderd.connected).toBe(2);
    // Who only waited waits on the new one: the old stream is cancelled as it must be.
    await coderd.until(() => first.came.includes("message"));
    const second = await coderd.seen("acquireJobWithCancel", 2);
    expect(second.connection).toBe(1);
    coderd.offer({ jobId: "after" });
    expect((await waiting)?.jobId).toBe("after");
    // The call that runs on the old one is answered there, and then the old one ends by itself.
    release();
    expect(await slow).toMatchObject({ canceled: true });
    await coderd.until(() => coderd.connected === 1);
    expect(coderd.of("updateJob")).toHaveLength(1);
  });
});

describe("stopping", () => {
  test("closes the connection in order and leaves no timer behind", async () => {
    await using coderd = await startFakeCoderd();
    const agent = await startLink({ url: coderd.url });
    await agent.event("key");
    await agent.link.initScripts(never);
    await agent.stop();
    expect(await agent.ended).toBeUndefined();
    expect(agent.link.state.kind).toBe("ended");
    await coderd.until(() => coderd.connected === 0);
    expect(agent.clock.pending).toBe(0);
  });

  test("a call that waits for a connection is told when the link ends for good", async () => {
    await using coderd = await startFakeCoderd({ handshake: () => ({ status: 403 }) });
    await using agent = await startLink({ url: coderd.url });
    const call = agent.link.calls.completeJob(create(CompletedJobSchema, { jobId: "j" }), never);
    await expect(call).rejects.toMatchObject({ code: "OUT-LICENCE" });
  });
});

test("the state tells what a status page needs", async () => {
  await using coderd = await startFakeCoderd({ version: "v2.29.1", apiVersion: "1.12" });
  await using agent = await startLink({ url: coderd.url });
  expect(agent.link.state.kind).toBe("connecting");
  await agent.event("key");
  expect(agent.link.state).toMatchObject({
    kind: "connected",
    since: agent.clock.now(),
    serverVersion: "v2.29.1",
    apiVersion: { major: 1, minor: 12 },
    keyDetails: { name: "build-key" },
  });
  await coderd.down();
  await agent.event("lost");
  expect(agent.link.state).toMatchObject({ kind: "connecting", lastError: expect.stringContaining("connection lost") });
});
