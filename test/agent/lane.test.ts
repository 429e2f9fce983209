import { describe, expect, test } from "vitest";
import { type JobSignals, Lane, nextPhase } from "../../src/agent/lane.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import { aborted } from "../../src/kit/signals.ts";

/** A control plane's queue in memory: `give` hands a job to whoever asks first. */
function queue() {
  const waiting: Array<(job: string | undefined) => void> = [];
  return {
    asking: () => waiting.length,
    give: (job: string) => waiting.shift()?.(job),
    acquire: (signal: AbortSignal) =>
      new Promise<string | undefined>((resolve) => {
        waiting.push(resolve);
        signal.addEventListener("abort", () => {
          const index = waiting.indexOf(resolve);
          if (index >= 0) waiting.splice(index, 1);
          resolve(undefined);
        });
      }),
  };
}

/** Lets everything that is ready run. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

test("02#8 with N slots, N acquires are open, and a slot that finishes opens a new one", async () => {
  const jobs = queue();
  const ends = new Map<string, () => void>();
  const lane = new Lane<string>({
    slots: 3,
    acquire: jobs.acquire,
    run: (job) => new Promise((resolve) => ends.set(job, resolve)),
  });
  const running = lane.run();
  expect(jobs.asking()).toBe(3);
  jobs.give("a");
  jobs.give("b");
  await turn();
  expect([jobs.asking(), lane.busy]).toEqual([1, 2]);
  ends.get("a")?.();
  await turn();
  expect([jobs.asking(), lane.busy]).toEqual([2, 1]);
  ends.get("b")?.();
  lane.descend("draining");
  await running;
  expect(lane.busy).toBe(0);
});

test("draining asks for nothing more and waits for what runs", async () => {
  const jobs = queue();
  let end: () => void = () => undefined;
  const lane = new Lane<string>({
    slots: 2,
    acquire: jobs.acquire,
    run: () => new Promise((resolve) => (end = resolve)),
  });
  const running = lane.run();
  let over = false;
  void running.then(() => (over = true));
  jobs.give("a");
  await turn();
  lane.descend("draining");
  await turn();
  expect([jobs.asking(), over]).toEqual([0, false]);
  end();
  await running;
});

test("02#5 a job that arrives after the drain began is run, never dropped", async () => {
  const ran: string[] = [];
  const lane = new Lane<string>({
    slots: 1,
    acquire: async (signal) => {
      await aborted(signal);
      return "late";
    },
    run: async (job) => void ran.push(job),
  });
  const running = lane.run();
  lane.descend("draining");
  await running;
  expect(ran).toEqual(["late"]);
});

test("stopping interrupts jobs, killing ends them, and the phase never goes up", async () => {
  const jobs = queue();
  let signals: JobSignals | undefined;
  let end: () => void = () => undefined;
  const lane = new Lane<string>({
    slots: 1,
    acquire: jobs.acquire,
    run: (_job, _slot, given) => {
      signals = given;
      return new Promise((resolve) => (end = resolve));
    },
  });
  const running = lane.run();
  jobs.give("a");
  await turn();
  lane.descend("stopping");
  expect([signals?.stop.aborted, signals?.kill.aborted]).toEqual([true, false]);
  lane.descend("draining");
  expect(lane.phase).toBe("stopping");
  lane.descend("killed");
  expect(signals?.kill.aborted).toBe(true);
  end();
  await running;
});

test("an error that is not a job's ends the lane after its jobs have ended", async () => {
  let end: () => void = () => undefined;
  let calls = 0;
  const lane = new Lane<string>({
    slots: 2,
    acquire: async () => {
      if (calls++ === 0) return "a";
      throw new Error("refused");
    },
    run: () => new Promise((resolve) => (end = resolve)),
  });
  const running = lane.run();
  const result = expect(running).rejects.toThrow("refused");
  await turn();
  expect(lane.phase).toBe("draining");
  end();
  await result;
});

test("02#60 each signal goes a rung down: SIGTERM drains, SIGINT stops, a second one escalates", () => {
  expect(nextPhase("running", "SIGTERM")).toBe("draining");
  expect(nextPhase("running", "SIGHUP")).toBe("draining");
  expect(nextPhase("running", "SIGINT")).toBe("stopping");
  expect(nextPhase("draining", "SIGTERM")).toBe("stopping");
  expect(nextPhase("stopping", "SIGTERM")).toBe("killed");
  expect(nextPhase("killed", "SIGINT")).toBe("killed");
});

test("a pause asks for nothing more, lets jobs go on, and a resume asks again in every free slot", async () => {
  const jobs = queue();
  const ends = new Map<string, () => void>();
  const lane = new Lane<string>({
    slots: 3,
    acquire: jobs.acquire,
    run: (job) => new Promise((resolve) => ends.set(job, resolve)),
  });
  const running = lane.run();
  jobs.give("a");
  await turn();
  expect([lane.pause(), lane.pause(), lane.phase]).toEqual([true, true, "paused"]);
  await turn();
  expect([jobs.asking(), lane.busy]).toEqual([0, 1]);
  ends.get("a")?.();
  await turn();
  expect([jobs.asking(), lane.busy, lane.phase]).toEqual([0, 0, "paused"]);
  expect([lane.resume(), lane.resume(), lane.phase]).toEqual([true, true, "running"]);
  await turn();
  expect(jobs.asking()).toBe(3);
  jobs.give("b");
  await turn();
  expect(lane.busy).toBe(1);
  ends.get("b")?.();
  lane.descend("draining");
  await running;
});

test("02#5 a job that arrives after the pause began is run, never dropped", async () => {
  const ran: string[] = [];
  let asked = 0;
  const lane = new Lane<string>({
    slots: 1,
    acquire: async (signal) => {
      await aborted(signal);
      return asked++ === 0 ? "late" : undefined;
    },
    run: async (job) => void ran.push(job),
  });
  const running = lane.run();
  lane.pause();
  await turn();
  expect([ran, lane.phase]).toEqual([["late"], "paused"]);
  lane.descend("draining");
  await running;
});

test("a paused lane drains by a signal, and from there no command leads back", async () => {
  const jobs = queue();
  const lane = new Lane<string>({ slots: 2, acquire: jobs.acquire, run: async () => undefined });
  const running = lane.run();
  lane.pause();
  expect(nextPhase(lane.phase, "SIGTERM")).toBe("draining");
  expect(nextPhase(lane.phase, "SIGINT")).toBe("stopping");
  lane.descend("draining");
  expect([lane.pause(), lane.resume(), lane.phase]).toEqual([false, false, "draining"]);
  await running;
  expect(jobs.asking()).toBe(0);
});

describe("a lane with an end", () => {
  test("never more jobs than wanted are asked for, and the last one drains the lane", async () => {
    const jobs = queue();
    const ends = new Map<string, () => void>();
    const lane = new Lane<string>({
      slots: 3,
      maxJobs: 4,
      acquire: jobs.acquire,
      run: (job) => new Promise((resolve) => ends.set(job, resolve)),
    });
    const running = lane.run();
    for (const job of ["a", "b", "c"]) jobs.give(job);
    await turn();
    ends.get("a")?.();
    ends.get("b")?.();
    await turn();
    // Two slots are free, one job is still wanted.
    expect([jobs.asking(), lane.busy, lane.phase]).toEqual([1, 1, "running"]);
    jobs.give("d");
    await turn();
    expect([jobs.asking(), lane.busy, lane.phase]).toEqual([0, 2, "draining"]);
    ends.get("c")?.();
    ends.get("d")?.();
    await running;
  });

  test("one job, and the lane ends; a pause before it takes nothing away", async () => {
    const jobs = queue();
    const ran: string[] = [];
    const lane = new Lane<string>({
      slots: 2,
      maxJobs: 1,
      acquire: jobs.acquire,
      run: async (job) => void ran.push(job),
    });
    const running = lane.run();
    lane.pause();
    await turn();
    lane.resume();
    await turn();
    expect(jobs.asking()).toBe(1);
    jobs.give("a");
    await running;
    expect([ran, lane.phase]).toEqual([["a"], "draining"]);
  });

  test("a lane that idles for long enough drains; a job or a pause starts the count anew", async () => {
    const clock = new FakeClock();
    const jobs = queue();
    let end: () => void = () => undefined;
    const lane = new Lane<string>({
      slots: 2,
      idleExit: { ms: 600_000, clock },
      acquire: jobs.acquire,
      run: () => new Promise((resolve) => (end = resolve)),
    });
    const running = lane.run();
    await clock.advance(599_999);
    jobs.give("a");
    await clock.advance(3_600_000);
    expect([lane.phase, lane.busy]).toEqual(["running", 1]);
    end();
    await clock.advance(599_999);
    expect(lane.phase).toBe("running");
    lane.pause();
    await clock.advance(3_600_000);
    expect(lane.phase).toBe("paused");
    lane.resume();
    await clock.advance(599_999);
    expect(lane.phase).toBe("running");
    await clock.advance(1);
    await running;
    expect([lane.phase, clock.pending]).toEqual(["draining", 0]);
  });

  test("02#5 a job that arrives as the idle time ends is run, never dropped", async () => {
    const clock = new FakeClock();
    const ran: string[] = [];
    const lane = new Lane<string>({
      slots: 1,
      idleExit: { ms: 1_000, clock },
      acquire: async (signal) => {
        await aborted(signal);
        return "late";
      },
      run: async (job) => void ran.push(job),
    });
    const running = lane.run();
    await clock.advance(1_000);
    await running;
    expect(ran).toEqual(["late"]);
  });

  test("each acquire tells its slot", async () => {
    const slots: number[] = [];
    const lane = new Lane<string>({
      slots: 3,
      acquire: async (signal, slot) => {
        slots.push(slot);
        await aborted(signal);
        return undefined;
      },
      run: async () => undefined,
    });
    const running = lane.run();
    lane.descend("draining");
    await running;
    expect(slots).toEqual([1, 2, 3]);
  });
});
