import { describe, expect, test } from "vitest";
import { WorkspaceTransition } from "../../src/gen/provisioner_pb.ts";
import { PeerError } from "../../src/kit/errors.ts";
import { buildJob, JobBench } from "../support/job-harness.ts";
import { stateOf } from "../support/job-provisioner.ts";

const broken = (step: "onOpen" | "onInit" | "onPlan", error: Error) => (bench: JobBench) => {
  bench.provisioner[step] = async () => Promise.reject(error);
};
const forever = new Promise<never>(() => undefined);

/**
 * Every way in which a build can fail once its apply has begun. `seen` was handed over while it ran; what each row
 * expects is the newest complete state that anybody knows.
 */
const exits: [name: string, arrange: (bench: JobBench) => void, state: string][] = [
  [
    "the apply fails",
    ({ provisioner }) => {
      provisioner.onApply = async (_, onState) => {
        await onState(stateOf("seen"));
        return { state: stateOf("half"), error: "no" };
      };
    },
    "half",
  ],
  [
    "the apply fails and its last state is cut in the middle",
    ({ provisioner }) => {
      provisioner.onApply = async (_, onState) => {
        await onState(stateOf("seen"));
        return { state: stateOf("half").slice(0, 20), error: "no" };
      };
    },
    "seen",
  ],
  [
    "the apply fails and leaves no state",
    ({ provisioner }) => {
      provisioner.onApply = async (_, onState) => {
        await onState(stateOf("seen"));
        return { state: "", error: "no" };
      };
    },
    "seen",
  ],
  [
    "a state that comes is none",
    ({ provisioner }) => {
      provisioner.onApply = async (_, onState) => {
        await onState(stateOf("seen"));
        await onState("[1,2,3]");
        await onState("{}");
        return { state: "null", error: "no" };
      };
    },
    "seen",
  ],
  [
    "02#31 the worker crashes and leaves a state on disk",
    ({ provisioner }) => {
      provisioner.left = stateOf("disk");
      provisioner.onApply = async (_, onState) => {
        await onState(stateOf("seen"));
        throw new PeerError("worker ended: killed by SIGKILL");
      };
    },
    "disk",
  ],
  [
    "02#31 the worker crashes and leaves half a state",
    ({ provisioner }) => {
      provisioner.left = '{"version":4,"ser';
      provisioner.onApply = async (_, onState) => {
        await onState(stateOf("seen"));
        throw new PeerError("worker ended: killed by SIGKILL");
      };
    },
    "seen",
  ],
  [
    "the stream breaks",
    ({ provisioner }) => {
      provisioner.onApply = async (_, onState) => {
        await onState(stateOf("seen"));
        throw new PeerError("read message of the worker: length 4294967295");
      };
    },
    "seen",
  ],
  [
    "the stream breaks while the graph is made",
    ({ provisioner }) => {
      provisioner.onGraph = async () => Promise.reject(new PeerError("worker ended"));
    },
    "applied",
  ],
  [
    "the graph fails",
    ({ provisioner }) => {
      provisioner.onGraph = async () => Promise.reject(new Error("cycle"));
    },
    "applied",
  ],
  [
    "a user cancels",
    ({ provisioner, plane }) => {
      provisioner.onApply = async (stage, onState) => {
        await onState(stateOf("seen"));
        plane.canceled = true;
        await stage.interrupted();
        return { state: stateOf("half"), error: "interrupted" };
      };
    },
    "half",
  ],
  [
    "a user cancels and the apply doesn't end",
    ({ provisioner, plane }) => {
      provisioner.onApply = async (stage, onState) => {
        await onState(stateOf("seen"));
        plane.canceled = true;
        return await stage.until(forever);
      };
    },
    "seen",
  ],
  [
    "a user cancels and neither apply nor session end",
    ({ provisioner, plane }) => {
      provisioner.stuck = true;
      provisioner.onApply = async (stage, onState) => {
        await onState(stateOf("seen"));
        plane.canceled = true;
        return await stage.until(forever);
      };
    },
    "seen",
  ],
  [
    "the agent stops",
    ({ provisioner, stop }) => {
      provisioner.onApply = async (stage, onState) => {
        await onState(stateOf("seen"));
        stop.abort(new Error("SIGTERM"));
        await stage.interrupted();
        return { state: stateOf("half"), error: "interrupted" };
      };
    },
    "half",
  ],
  [
    "the job's time is over and the apply doesn't end",
    ({ provisioner, settings }) => {
      settings.jobTimeoutMs = 60_000;
      provisioner.onApply = async (stage, onState) => {
        await onState(stateOf("seen"));
        return await stage.until(forever);
      };
    },
    "seen",
  ],
  [
    "the completion is refused",
    ({ plane }) => {
      plane.refusals.complete = ["insert agent: duplicate name"];
    },
    "applied",
  ],
  [
    "heartbeats are refused and the apply fails",
    ({ provisioner, plane }) => {
      provisioner.onApply = async (stage) => {
        plane.refusals.update = Array.from({ length: 10 }, () => "database is down");
        await stage.until(new Promise((resolve) => void plane.clock.after(60_000, () => resolve(0))));
        return { state: stateOf("half"), error: "no" };
      };
    },
    "half",
  ],
  [
    "the control plane was away for ten minutes",
    ({ provisioner, plane }) => {
      provisioner.onApply = async (stage) => {
        plane.down();
        await stage.until(new Promise((resolve) => void plane.clock.after(600_000, () => resolve(0))));
        plane.up();
        return {};
      };
    },
    "applied",
  ],
  [
    "the journal can't keep states",
    ({ provisioner, journal }) => {
      journal.broken.add("state");
      provisioner.onApply = async (_, onState) => {
        await onState(stateOf("seen"));
        return { state: "", error: "no" };
      };
    },
    "seen",
  ],
  [
    "the completion doesn't fit",
    ({ provisioner }) => {
      provisioner.onPlan = async () => ({
        resourceReplacements: [
          { $typeName: "provisioner.ResourceReplacement", resource: "r".repeat(5 << 20), paths: [] },
        ],
      });
    },
    "applied",
  ],
];

describe("from the moment that an apply begins every failure carries type workspace_build and the newest complete state:", () => {
  test.each(exits)("%s", async (_, arrange, state) => {
    for (const transition of [WorkspaceTransition.START, WorkspaceTransition.STOP, WorkspaceTransition.DESTROY]) {
      const bench = new JobBench();
      arrange(bench);
      await bench.run(buildJob({}, transition));
      expect(bench.plane.failed?.type.case).toBe("workspaceBuild");
      expect(bench.plane.failedState).toBe(stateOf(state));
      expect(bench.plane.failed?.error).toMatch(/\S/);
      expect(bench.clock.pending).toBe(0);
    }
  });

  test.each<[string, (bench: JobBench) => void]>([
    ["open", broken("onOpen", new Error("no"))],
    ["init", broken("onInit", new PeerError("gone"))],
    ["plan", broken("onPlan", new PeerError("gone"))],
    [
      "quota",
      ({ provisioner, plane }) => {
        provisioner.onPlan = async () => ({ dailyCost: 1 });
        plane.refusals.quota = ["no"];
      },
    ],
  ])("before it, a failure in %s carries the type and no state (W29)", async (_, arrange) => {
    const bench = new JobBench();
    arrange(bench);
    await bench.run(buildJob());
    expect(bench.plane.failed?.type.case).toBe("workspaceBuild");
    expect(bench.plane.failedState).toBe("");
  });

  test("an apply that begins and knows of no state carries none: the stored one stays", async () => {
    const bench = new JobBench();
    bench.provisioner.onApply = async () => Promise.reject(new PeerError("worker ended"));
    const result = await bench.run(buildJob());
    expect(bench.plane.failedState).toBe("");
    expect(result.rescue).toBe(true);
    expect(bench.plane.logs.at(-1)?.output).toContain("no state of it is known: look for resources that it made");
  });

  test("an encrypted state counts as complete", async () => {
    const encrypted = JSON.stringify({ serial: 3, lineage: "x", encrypted_data: "abc" });
    const bench = new JobBench();
    bench.provisioner.onApply = async () => ({ state: encrypted, error: "no" });
    await bench.run(buildJob());
    expect(bench.plane.failedState).toBe(encrypted);
  });
});
