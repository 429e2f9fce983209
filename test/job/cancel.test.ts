import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { MetadataSchema } from "../../src/gen/provisioner_pb.ts";
import type { AcquiredJob } from "../../src/gen/provisionerd_pb.ts";
import { buildJob, dryRunJob, importJob, JobBench } from "../support/job-harness.ts";
import { type Stage, stateOf } from "../support/job-provisioner.ts";

const seconds = (count: number) => count * 1_000;
const templateVersionModulesFile = "1b1cdf5e-d419-4673-98bc-5f41954cc03c";
const withModules = () => buildJob({ metadata: create(MetadataSchema, { templateVersionModulesFile }) });

/** The user cancels while a step works; the step notices, and ends well all the same. */
const cancelDuring = (bench: JobBench) => async (stage: Stage) => {
  bench.plane.canceled = true;
  await stage.interrupted();
  return {};
};

const during = (step: "onInit" | "onParse" | "onPlan" | "onGraph") => (bench: JobBench) => {
  bench.provisioner[step] = cancelDuring(bench);
};
const hanging = (kind: "download" | "variables") => (bench: JobBench) => {
  bench.plane.holds[kind] = hang(bench);
};

describe("a cancel by a user", () => {
  test("02#55 that comes in the answer to a log flush cancels the job", async () => {
    const bench = new JobBench();
    bench.provisioner.onPlan = async (stage) => {
      bench.plane.canceled = true;
      // Lines every 100 ms: no heartbeat is ever due.
      while (!stage.signal.aborted) {
        stage.log("busy");
        await stage.until(new Promise((resolve) => void bench.clock.after(100, () => resolve(0))));
      }
      return {};
    };
    bench.begin(buildJob());
    await bench.until(() => bench.steps.includes("plan"));
    const began = bench.clock.monotonic();
    await bench.end();
    const interrupted = bench.events.find((event) => event.kind === "interrupted");
    expect(interrupted).toMatchObject({ reason: "canceled" });
    expect(bench.clock.monotonic() - began).toBeLessThan(1_000);
    expect(bench.plane.kinds).toEqual(["fail"]);
  });

  test("that comes in the answer to the declared variables cancels the job", async () => {
    const bench = new JobBench();
    bench.plane.holds.variables = async () => {
      bench.plane.canceled = true;
    };
    await bench.run(importJob());
    expect(bench.steps).toEqual(["open", "init", "parse", "disposed"]);
    expect(bench.plane.failed).toMatchObject({ error: "canceled by a user", type: { case: "templateImport" } });
  });

  test.each<[string, () => AcquiredJob, (bench: JobBench) => void, string[], string[]]>([
    ["init", () => importJob(), during("onInit"), ["open", "init"], []],
    ["parse", () => importJob(), during("onParse"), ["open", "init", "parse"], []],
    ["the plan of a dry run", () => dryRunJob(), during("onPlan"), ["open", "init", "plan"], []],
    [
      "the graph of an import",
      () => importJob(),
      during("onGraph"),
      ["open", "init", "parse", "plan", "graph"],
      ["variables"],
    ],
    ["the plan of a build", () => buildJob(), during("onPlan"), ["open", "init", "plan"], []],
    ["a download", withModules, hanging("download"), ["open"], ["download"]],
    [
      "the quota",
      () => buildJob(),
      (bench) => {
        bench.provisioner.onPlan = async () => ({ dailyCost: 3 });
        bench.plane.holds.quota = hang(bench);
      },
      ["open", "init", "plan"],
      ["quota"],
    ],
    ["the declaration of variables", () => importJob(), hanging("variables"), ["open", "init", "parse"], ["variables"]],
  ])("02#56 during %s ends the job without another step", async (_, acquired, prepare, steps, calls) => {
    const bench = new JobBench();
    prepare(bench);
    const result = await bench.run(acquired());
    expect(bench.steps).toEqual([...steps, "disposed"]);
    expect(bench.plane.kinds).toEqual([...calls, "fail"]);
    expect(bench.plane.failed?.error).toBe("canceled by a user");
    expect(bench.plane.failedState ?? "").toBe("");
    expect(bench.plane.logs.some((log) => log.output.startsWith("cached modules"))).toBe(false);
    expect(result.status).toBe("failed");
  });

  test("02#56 between two steps ends the job without the next: here while the journal is written before an apply", async () => {
    const bench = new JobBench();
    const phase = bench.journal.phase.bind(bench.journal);
    bench.journal.phase = async (name) => {
      await phase(name);
      if (name !== "applying") return;
      bench.plane.canceled = true;
      await new Promise<void>((resolve) => void bench.clock.after(seconds(10), resolve));
    };
    await bench.run(buildJob());
    expect(bench.steps).toEqual(["open", "init", "plan", "disposed"]);
    expect(bench.plane.failed?.error).toBe("canceled by a user");
    expect(bench.plane.markers).toEqual(["Setting up", "Cleaning Up"]);
  });

  test("02#56 an apply that ends well in spite of it is reported with its state, and no graph is made", async () => {
    const bench = new JobBench();
    bench.provisioner.onApply = cancelDuring(bench);
    await bench.run(buildJob());
    expect(bench.steps).toEqual(["open", "init", "plan", "apply", "disposed"]);
    expect(bench.plane.failed?.error).toBe("canceled by a user, after the apply had ended well: its state is saved");
    expect(bench.plane.failedState).toBe(stateOf("applied"));
  });

  test("a graph that was interrupted and worked is the end: the job is completed", async () => {
    const bench = new JobBench();
    bench.provisioner.onGraph = cancelDuring(bench);
    await bench.run(buildJob());
    expect(bench.plane.kinds).toEqual(["complete"]);
  });

  test("02#57 during an apply interrupts it, waits, and reports the failure with the state that resulted", async () => {
    const bench = new JobBench();
    bench.provisioner.onApply = async (stage) => {
      bench.plane.canceled = true;
      await stage.interrupted();
      await stage.until(new Promise((resolve) => void bench.clock.after(seconds(90), () => resolve(0))));
      return { state: stateOf("half"), error: "terraform apply: exit status 1" };
    };
    await bench.run(buildJob());
    expect(bench.plane.kinds).toEqual(["fail"]);
    expect(bench.plane.failed?.error).toBe("terraform apply: exit status 1");
    expect(bench.plane.failedState).toBe(stateOf("half"));
    expect(bench.plane.logs.some((log) => log.output.includes('canceled by a user: "apply" is interrupted'))).toBe(
      true,
    );
  });

  test("02#58 heartbeats go on after it until the terminal call was answered", async () => {
    const bench = new JobBench();
    bench.provisioner.onApply = async (stage) => {
      bench.plane.canceled = true;
      await stage.interrupted();
      await stage.until(new Promise((resolve) => void bench.clock.after(seconds(300), () => resolve(0))));
      return { error: "interrupted" };
    };
    await bench.run(buildJob());
    const times = bench.plane.calls.map((call) => call.at);
    expect(Math.max(...times.slice(1).map((at, index) => at - (times[index] as number)))).toBeLessThanOrEqual(4_000);
    expect(bench.plane.calls.length).toBeGreaterThan(70);
  });

  test("that the apply doesn't follow in time is given up: the session is ended, and the newest state reported", async () => {
    const bench = new JobBench();
    bench.settings.cancelTimeoutMs = seconds(120);
    bench.provisioner.left = stateOf("left on disk");
    bench.provisioner.onApply = async (stage, onState) => {
      await onState(stateOf("seen"));
      bench.plane.canceled = true;
      return await stage.until(new Promise<never>(() => undefined));
    };
    bench.begin(buildJob());
    await bench.until(() => bench.events.some((event) => event.kind === "interrupted"));
    const canceled = bench.clock.monotonic();
    await bench.end();
    expect(bench.clock.monotonic() - canceled).toBe(seconds(120));
    expect(bench.plane.failed?.error).toMatch(/^Cancel timed out: "apply" did not end in time/);
    expect(bench.plane.failedState).toBe(stateOf("left on disk"));
  });

  test("… even if the session can't be ended", async () => {
    const bench = new JobBench();
    bench.settings.cancelTimeoutMs = seconds(120);
    bench.provisioner.stuck = true;
    bench.provisioner.onApply = async (stage, onState) => {
      await onState(stateOf("seen"));
      bench.plane.canceled = true;
      return await stage.until(new Promise<never>(() => undefined));
    };
    await bench.run(buildJob());
    expect(bench.plane.failed?.error).toMatch(/^Cancel timed out/);
    expect(bench.plane.failedState).toBe(stateOf("seen"));
  });
});

describe("a shutdown", () => {
  test("stop interrupts the job, which is reported with its state and says why", async () => {
    const bench = new JobBench();
    bench.provisioner.onApply = async (stage) => {
      bench.stop.abort(new Error("SIGTERM"));
      await stage.interrupted();
      return { state: stateOf("half"), error: "terraform apply: exit status 1" };
    };
    const result = await bench.run(buildJob());
    expect(bench.plane.failed?.error).toBe("the agent was told to stop: terraform apply: exit status 1");
    expect(bench.plane.failedState).toBe(stateOf("half"));
    expect(result.status).toBe("failed");
  });

  test("stop before the job's first step fails it without one", async () => {
    const bench = new JobBench();
    bench.stop.abort(new Error("SIGTERM"));
    await bench.run(buildJob());
    expect(bench.steps).toEqual([]);
    expect(bench.plane.failed?.error).toBe("the agent was told to stop");
  });

  test("kill ends the session at once and sends nothing more: the journal has state and message", async () => {
    const bench = new JobBench();
    bench.provisioner.onApply = async (stage, onState) => {
      await onState(stateOf("seen"));
      bench.kill.abort(new Error("second signal"));
      return await stage.until(new Promise<never>(() => undefined));
    };
    const result = await bench.run(buildJob());
    expect(bench.provisioner.trace.at(-1)).toBe("disposed");
    expect(bench.plane.kinds).toEqual([]);
    expect(result).toMatchObject({ status: "unconfirmed", rescue: true });
    expect(bench.journal.entries).toContain(`state ${stateOf("seen")}`);
    expect(bench.journal.entries.at(-1)).toBe("terminal failed");
    expect(bench.clock.pending).toBe(0);
  });

  test("kill cuts a delivery short that nobody answers; the journal has the message", async () => {
    const bench = new JobBench();
    bench.provisioner.onGraph = async () => {
      bench.plane.down();
      return {};
    };
    bench.begin(buildJob());
    await bench.clock.advance(seconds(30));
    expect(bench.result).toBeUndefined();
    bench.kill.abort(new Error("the grace is over"));
    const result = await bench.end();
    expect(result).toMatchObject({ status: "unconfirmed", rescue: true });
    expect(bench.journal.entries.at(-1)).toBe("terminal completed");
    expect(bench.clock.pending).toBe(0);
  });
});

describe("a job's own limits", () => {
  test("its time limit interrupts it, and the failure says so", async () => {
    const bench = new JobBench();
    bench.settings.jobTimeoutMs = seconds(600);
    bench.provisioner.onApply = async (stage) => {
      await stage.interrupted();
      return { state: stateOf("half"), error: "terraform apply: exit status 1" };
    };
    await bench.run(buildJob());
    expect(bench.plane.failed?.error).toBe(
      "the job took longer than its limit of 600 s: terraform apply: exit status 1",
    );
    expect(bench.plane.failedState).toBe(stateOf("half"));
    expect(bench.plane.calls.at(-1)?.at).toBeGreaterThanOrEqual(seconds(600));
  });

  test("its limit of silence counts from the last line, and only silence", async () => {
    const bench = new JobBench();
    bench.settings.silenceTimeoutMs = seconds(60);
    let spoke = 0;
    bench.provisioner.onPlan = async (stage) => {
      for (let line = 0; line < 10; line++) {
        stage.log("still here");
        spoke = bench.clock.monotonic();
        await stage.until(new Promise((resolve) => void bench.clock.after(seconds(50), () => resolve(0))));
      }
      await stage.interrupted();
      return {};
    };
    await bench.run(buildJob());
    expect(bench.plane.failed?.error).toBe("no line came from the step for 60 s, which is its limit");
    const interrupted = bench.plane.logs.find((log) => log.output.includes("which is its limit"));
    const at = Number(interrupted?.createdAt) - bench.clock.now() + bench.clock.monotonic();
    expect(at - spoke).toBe(seconds(60));
  });

  test("the first reason stays", async () => {
    const bench = new JobBench();
    bench.settings.jobTimeoutMs = seconds(100);
    bench.provisioner.onPlan = async (stage) => {
      bench.plane.canceled = true;
      await stage.interrupted();
      await stage.until(new Promise((resolve) => void bench.clock.after(seconds(200), () => resolve(0))));
      return {};
    };
    await bench.run(buildJob());
    expect(bench.events.filter((event) => event.kind === "interrupted")).toMatchObject([{ reason: "canceled" }]);
    expect(bench.plane.failed?.error).toBe("canceled by a user");
  });
});

/** The user cancels while a call waits for its answer; the call ends when it is given up. */
function hang(bench: JobBench) {
  return (signal: AbortSignal) => {
    bench.plane.canceled = true;
    return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  };
}
