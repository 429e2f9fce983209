import { describe, expect, test } from "vitest";
import { LogLevel } from "../../src/gen/provisioner_pb.ts";
import { LogSource } from "../../src/gen/provisionerd_pb.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import { jobStatus } from "../../src/plane/rows.ts";
import { ScriptedAgent } from "../support/plane-agent.ts";
import { archive, bytes, scene, startWorkspace, text } from "../support/plane-life.ts";

const minute = 60_000;

describe("the reaper", () => {
  test("02#71 a job without UpdateJob for 5 min is failed with five ERROR lines, keeps its worker id and its state", async () => {
    const clock = new FakeClock();
    await using s = await scene({ clock });
    const first = await startWorkspace(s);
    await s.agent.fail({
      jobId: first.job.id,
      error: "x",
      type: { case: "workspaceBuild", value: { state: bytes("old") } },
    });
    const { build, job } = s.plane.build(first.workspace.id, { transition: "start" });
    await s.agent.acquire();
    const log = {
      source: LogSource.PROVISIONER,
      level: LogLevel.INFO,
      createdAt: 1n,
      stage: "Starting workspace",
      output: "x",
    };
    await s.agent.update({ jobId: job.id, logs: [log] });
    const worker = s.plane.job(job.id).workerId;
    await s.plane.cut();

    await clock.advance(5 * minute);
    expect(jobStatus(s.plane.job(job.id))).toBe("running");
    await clock.advance(minute);
    const reaped = s.plane.job(job.id);
    expect(jobStatus(reaped)).toBe("failed");
    expect([reaped.workerId, reaped.canceledAt, reaped.errorCode]).toEqual([worker, undefined, undefined]);
    expect(reaped.error).toMatch(/hung.*5 minutes.*by the reaper$/);
    const lines = s.plane.logs(job.id).slice(1);
    expect(lines).toHaveLength(5);
    for (const [index, line] of lines.entries()) {
      expect(line).toMatchObject({
        level: LogLevel.ERROR,
        source: LogSource.PROVISIONER_DAEMON,
        stage: "Starting workspace",
        createdAt: (lines[0]?.createdAt ?? 0) + index,
      });
    }
    expect(lines[2]?.output).toMatch(/hung.*5 minutes/);
    expect([lines[0]?.output, lines[4]?.output]).toEqual(["", ""]);
    expect(text(s.plane.buildRow(build.id).state)).toBe("old");

    await using again = await ScriptedAgent.connect(s.plane.url, s.key);
    await expect(again.fail({ jobId: job.id, error: "late" })).rejects.toThrow("job already completed");
    expect(await again.update({ jobId: job.id })).toMatchObject({ canceled: false });
  });

  test("02#71 one with UpdateJob every minute is not", async () => {
    const clock = new FakeClock();
    await using s = await scene({ clock });
    const { job } = await startWorkspace(s);
    await s.plane.cut();
    for (let round = 0; round < 12; round++) {
      await clock.advance(minute);
      // A new connection each time: none is up while the fake clock turns, so no keepalive waits for a real socket.
      await using agent = await ScriptedAgent.connect(s.plane.url, s.key);
      await agent.update({ jobId: job.id });
    }
    expect(jobStatus(s.plane.job(job.id))).toBe("running");
  });

  test("a reaped build without a state gets its predecessor's", async () => {
    const clock = new FakeClock();
    await using s = await scene({ clock });
    const { workspace, job } = await startWorkspace(s);
    await s.agent.fail({ jobId: job.id, error: "x", type: { case: "workspaceBuild", value: { state: bytes("old") } } });
    const { build } = s.plane.build(workspace.id, { transition: "delete", orphan: true });
    await s.agent.acquire();
    await s.plane.cut();
    expect(s.plane.buildRow(build.id).state).toHaveLength(0);
    await clock.advance(6 * minute);
    expect(text(s.plane.buildRow(build.id).state)).toBe("old");
  });

  test("a job that nobody takes is given up; the times can be set", async () => {
    const clock = new FakeClock();
    await using s = await scene({ clock, reaper: { pendingMs: 5 * minute, intervalMs: 1000 } });
    await s.plane.cut();
    const { job } = s.plane.importTemplate({ template: "t", archive });
    await clock.advance(5 * minute + 2000);
    expect(s.plane.job(job.id).error).toMatch(/by the reaper$/);
    expect(s.plane.job(job.id).workerId).toBeUndefined();
    expect(s.plane.job(job.id).startedAt).toBeDefined();
    expect(s.plane.logs(job.id)[0]?.stage).toBe("Unknown");
  });

  test("ten jobs at most per run", async () => {
    const clock = new FakeClock();
    await using s = await scene({ clock, reaper: { pendingMs: minute } });
    await s.plane.cut();
    for (let made = 0; made < 12; made++) s.plane.importTemplate({ template: "t", archive });
    const failed = () => s.plane.jobs().filter((job) => jobStatus(job) === "failed").length;
    await clock.advance(2 * minute);
    expect(failed()).toBe(10);
    await clock.advance(minute);
    expect(failed()).toBe(12);
  });
});

describe("daemons", () => {
  test("a connected daemon is seen every 60 s and is offline 90 s after its connection went", async () => {
    const clock = new FakeClock();
    await using s = await scene({ clock });
    expect(s.plane.daemons()).toMatchObject([{ status: "idle" }]);
    await s.plane.cut();
    await clock.advance(91_000);
    expect(s.plane.daemons()).toMatchObject([{ status: "offline" }]);
  });
});
