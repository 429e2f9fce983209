import { expect, test } from "vitest";
import type { SeenAgent } from "../../src/cli/agent/snapshot.ts";
import { AgentBoard } from "../../src/cli/agent/snapshot.ts";
import { LogLevel } from "../../src/gen/provisioner_pb.ts";
import { LogSource } from "../../src/gen/provisionerd_pb.ts";
import type { JobEvent, JobResult } from "../../src/job/events.ts";
import { OperatorError } from "../../src/kit/errors.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";

const settings = { version: "1", url: "https://c", organization: "", tags: [], slots: 2, credentials: "explicit" };
const seen = (clock: FakeClock): SeenAgent =>
  ({
    facts: {
      name: { name: "a", source: "setting" },
      folders: { cache: "/nonexistent", state: "/s", work: "/w" },
      engine: { path: "/t", version: "1.11.4", flavor: "terraform", source: "PATH" },
      isolation: "process",
      credentials: { environment: { variables: {}, passed: [] }, files: [], command: "" },
    },
    link: { state: { kind: "connected", since: clock.now() } },
    lane: { phase: "running" },
    notReady: [],
  }) as unknown as SeenAgent;

function board() {
  const clock = new FakeClock();
  const board = new AgentBoard(clock);
  const rest = { userName: "alice", createdAt: 0, traceMetadata: {} };
  const header = (id: string, kind = "start") => ({ id, slot: 1, kind, forWhom: "alice/dev", template: "t", ...rest });
  const event = (id: string, event: JobEvent) => board.onFact({ kind: "job", job: header(id), event });
  const began = (id: string, kind?: string) => board.onFact({ kind: "job-began", job: header(id, kind) });
  const line = (id: string, output: string) =>
    event(id, {
      kind: "log",
      line: { source: LogSource.PROVISIONER, level: LogLevel.INFO, stage: "s", output, createdAt: 0 },
    });
  const ended = (id: string, result: Partial<JobResult> = {}) =>
    event(id, {
      kind: "result",
      result: {
        status: "succeeded",
        error: undefined,
        code: "",
        unconfirmed: undefined,
        rescue: false,
        longestGapMs: 0,
        ...result,
      },
    });
  return { clock, board, began, event, line, ended, now: () => board.snapshot(seen(clock), settings) };
}

test("everything is bounded: ended jobs, problems, lines, steps, texts, logs", () => {
  const { board: facts, began, event, line, ended, now } = board();
  const huge = "x".repeat(100_000);
  began("r");
  for (let n = 0; n < 100; n++) {
    line("r", huge.slice(0, 1_000));
    event("r", { kind: "step-began", step: "plan", stage: "s" });
    event("r", { kind: "warning", text: `${n} ${huge}` });
  }
  for (let n = 0; n < 100; n++) {
    began(`j${n}`);
    ended(`j${n}`, { status: "failed", error: huge, rescue: true });
  }
  const snapshot = now();
  expect(snapshot.ended).toHaveLength(50);
  expect(snapshot.ended[0]?.id).toBe("j99");
  expect(snapshot.problems).toHaveLength(20);
  expect(snapshot.person).toHaveLength(20);
  expect(snapshot.running[0]?.lines.map((text) => text.length)).toEqual(new Array(20).fill(300));
  expect(snapshot.running[0]?.steps).toHaveLength(24);
  expect(JSON.stringify(snapshot).length).toBeLessThan(100_000);
  expect(typeof facts.log("j99")).toBe("object");
  expect(facts.log("j50")).toMatch(/neither runs nor is one of the last 10/);
  expect(facts.log("j")).toMatch(/10 jobs begin like this/);
});

test("today counts by blame and begins anew at midnight", async () => {
  const { clock, began, event, ended, now } = board();
  const run = async (id: string, ms: number, result?: Partial<JobResult>) => {
    began(id);
    await clock.advance(ms);
    ended(id, result);
  };
  await run("a", 2_000);
  await run("b", 1_000, { status: "failed", error: "no\nmore", code: "INSUFFICIENT_QUOTA" });
  await run("c", 1_000, { status: "failed", error: "bad" });
  began("d");
  event("d", { kind: "interrupted", reason: "canceled", text: "canceled by a user" });
  ended("d", { status: "failed", error: "canceled" });
  expect(now().today).toEqual({
    jobs: 4,
    failed: 3,
    byBlame: { quota: 1, template: 1, canceled: 1 },
    p95BuildMs: 2_000,
  });
  expect(now().ended.find(({ id }) => id === "b")).toMatchObject({ reason: "no", blame: "quota" });
  await clock.advance(24 * 3_600_000);
  expect(now().today).toEqual({ jobs: 0, failed: 0, byBlame: {} });
});

test("a refused key calls for a person until the connection is back; the same problem again is one", () => {
  const { board: facts, now } = board();
  const error = new OperatorError("refused", { code: "OUT-KEY-UNKNOWN", reason: "no such key", cure: "make one" });
  for (let n = 0; n < 3; n++)
    facts.onFact({ kind: "link", event: { kind: "refused", error, delayMs: 1, again: n > 0 } });
  expect(now().person).toEqual([
    expect.objectContaining({ code: "OUT-KEY-UNKNOWN", cause: "no such key", cure: "make one" }),
  ]);
  expect(now().problems).toHaveLength(1);
  facts.onFact({
    kind: "link",
    event: { kind: "connected", serverVersion: "v2", apiVersion: { major: 1, minor: 15 }, tries: 3, afterMs: 1 },
  });
  expect(now().person).toEqual([]);
  expect(now().problems).toHaveLength(1);
});

test("an outage that is over is told with its length and its tries", async () => {
  const { clock, board: facts, now } = board();
  facts.onFact({ kind: "link", event: { kind: "lost", why: "reset", lastedMs: 1 } });
  const at = clock.now();
  await clock.advance(22_000);
  facts.onFact({
    kind: "link",
    event: { kind: "connected", serverVersion: "v2", apiVersion: { major: 1, minor: 15 }, tries: 7, afterMs: 1 },
  });
  expect(now().link.lastLost).toEqual({ at, ms: 22_000, tries: 7 });
});
