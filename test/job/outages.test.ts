import { describe, expect, test } from "vitest";
import { buildJob, gate, importJob, JobBench } from "../support/job-harness.ts";
import { type Stage, stateOf } from "../support/job-provisioner.ts";

const seconds = (count: number) => count * 1_000;

/** A build whose control plane goes away for this long while its apply runs; the apply ends in the middle, or after it. */
async function outage(ms: number, options: { late?: "safe" | "complete"; applyEnds?: "during" | "after" } = {}) {
  const bench = new JobBench();
  bench.settings.lateComplete = options.late ?? "safe";
  const { opened, open } = gate();
  let stage: Stage | undefined;
  bench.provisioner.onApply = async (running) => {
    stage = running;
    await running.until(opened);
    return {};
  };
  bench.begin(buildJob());
  await bench.until(() => stage !== undefined);
  await bench.clock.advance(seconds(10));
  bench.plane.down();
  await bench.clock.advance(ms / 2);
  if (options.applyEnds === "during") open();
  await bench.clock.advance(ms / 2);
  bench.plane.up();
  await bench.clock.advance(seconds(10));
  open();
  const interrupted = (stage as unknown as Stage).signal.aborted;
  return { bench, result: await bench.end(), interrupted };
}

describe("a control plane that is away while an apply runs", () => {
  test.each([45, 120, 265])(
    "02#42 02#39 for %i s doesn't interrupt it, and the job completes afterwards",
    async (away) => {
      for (const applyEnds of ["during", "after"] as const) {
        const { bench, result, interrupted } = await outage(seconds(away), { applyEnds });
        expect(interrupted).toBe(false);
        expect(bench.plane.kinds).toEqual(["complete"]);
        expect(result.status).toBe("succeeded");
        expect(result.longestGapMs).toBeGreaterThanOrEqual(seconds(away));
        expect(result.longestGapMs).toBeLessThan(seconds(away + 5));
      }
    },
  );

  test.each([270, 600])(
    "02#43 for %i s doesn't interrupt it; late-complete safe makes it a failure with its state",
    async (away) => {
      for (const applyEnds of ["during", "after"] as const) {
        const { bench, result, interrupted } = await outage(seconds(away), { applyEnds });
        expect(interrupted).toBe(false);
        expect(bench.plane.kinds).toEqual(["fail"]);
        expect(bench.plane.failedState).toBe(stateOf("applied"));
        expect(bench.plane.failed?.error).toContain("the job worked, but no update was answered for 270 s");
        expect(result).toMatchObject({ status: "failed", rescue: false });
        expect(result.longestGapMs).toBeGreaterThanOrEqual(seconds(away));
      }
    },
  );

  test.each([270, 600])("02#43 for %i s with late-complete complete is completed", async (away) => {
    for (const applyEnds of ["during", "after"] as const) {
      const { bench, result, interrupted } = await outage(seconds(away), { late: "complete", applyEnds });
      expect(interrupted).toBe(false);
      expect(bench.plane.kinds).toEqual(["complete"]);
      expect(result.status).toBe("succeeded");
    }
  });

  test("02#43 the probe tells when it was too late: the state is kept for rescue, and no completion is sent", async () => {
    const bench = new JobBench();
    bench.plane.refusals.fail = ["job already completed"];
    bench.provisioner.onApply = async (stage) => {
      bench.plane.down();
      await stage.until(new Promise((resolve) => void bench.clock.after(seconds(400), () => resolve(0))));
      bench.plane.up();
      return {};
    };
    expect(await bench.run(buildJob())).toMatchObject({ status: "unconfirmed", rescue: true });
    expect(bench.plane.kinds).toEqual(["fail"]);
  });

  test("a failed job is a failure with its state after any gap", async () => {
    const bench = new JobBench();
    bench.provisioner.onApply = async (stage) => {
      bench.plane.down();
      await stage.until(new Promise((resolve) => void bench.clock.after(seconds(600), () => resolve(0))));
      bench.plane.up();
      return { state: stateOf("half"), error: "terraform apply: exit status 1" };
    };
    await bench.run(buildJob());
    expect(bench.plane.kinds).toEqual(["fail"]);
    expect(bench.plane.failed?.error).toBe("terraform apply: exit status 1");
    expect(bench.plane.failedState).toBe(stateOf("half"));
  });

  test("an import that worked is completed after any gap: its late completion harms nobody", async () => {
    const bench = new JobBench();
    bench.provisioner.onPlan = async (stage) => {
      bench.plane.down();
      await stage.until(new Promise((resolve) => void bench.clock.after(seconds(400), () => resolve(0))));
      bench.plane.up();
      return {};
    };
    expect((await bench.run(importJob())).status).toBe("succeeded");
  });
});

describe("a control plane that goes away while the terminal message is on its way", () => {
  test("02#39 a completion waits for it and is sent again", async () => {
    const bench = new JobBench();
    bench.begin(buildJob());
    await bench.clock.advance(10);
    bench.plane.down();
    await bench.clock.advance(seconds(60));
    bench.plane.up();
    expect((await bench.end()).status).toBe("succeeded");
    expect(bench.plane.kinds).toEqual(["complete"]);
  });

  test("02#39 02#43 a completion that is not answered within 270 s is given up for the failure with the state", async () => {
    const bench = new JobBench();
    // The call arrives, and the answer is lost with the connection.
    bench.plane.holds.complete = (signal) => {
      bench.plane.down();
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    };
    bench.begin(buildJob());
    await bench.until(() => bench.plane.kinds.includes("complete"));
    await bench.clock.advance(seconds(600));
    expect(bench.plane.kinds).toEqual(["complete"]);
    bench.plane.up();
    const result = await bench.end();
    expect(bench.plane.kinds).toEqual(["complete", "fail"]);
    expect(bench.plane.failedState).toBe(stateOf("applied"));
    expect(result.status).toBe("failed");
  });

  test("02#40 a failure waits for it and is sent again, with its state", async () => {
    const bench = new JobBench();
    bench.provisioner.onApply = async () => ({ state: stateOf("half"), error: "no" });
    bench.begin(buildJob());
    await bench.until(() => bench.journal.entries.includes("applied"));
    bench.plane.down();
    await bench.clock.advance(seconds(900));
    bench.plane.up();
    expect((await bench.end()).status).toBe("failed");
    expect(bench.plane.kinds).toEqual(["fail"]);
    expect(bench.plane.failedState).toBe(stateOf("half"));
  });
});

test("an outage of any length in a quiet step isn't its silence: only a step of the provisioner can be silent", async () => {
  const bench = new JobBench();
  bench.settings.silenceTimeoutMs = seconds(60);
  bench.provisioner.onPlan = async () => {
    bench.plane.down();
    return { dailyCost: 3 };
  };
  bench.begin(buildJob());
  await bench.clock.advance(seconds(200));
  bench.plane.up();
  expect((await bench.end()).status).toBe("succeeded");
  expect(bench.plane.kinds).toEqual(["quota", "complete"]);
});
