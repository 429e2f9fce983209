import { createHash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { featuresOf } from "../../src/contract/versions.ts";
import { ResourceSchema, RichParameterSchema, WorkspaceTransition } from "../../src/gen/provisioner_pb.ts";
import { CompletedJobSchema, FailedJobSchema } from "../../src/gen/provisionerd_pb.ts";
import { buildJob, gate, importJob, JobBench } from "../support/job-harness.ts";
import { stateOf, timing } from "../support/job-provisioner.ts";

const megabytes = (count: number) => count * 1024 * 1024;
/** A complete state of about this many bytes. */
const bigState = (bytes: number) =>
  stateOf("x".repeat(500)).replace('"resources":[]', `"resources":["${"r".repeat(bytes)}"]`);
const bigResource = (bytes: number) => [create(ResourceSchema, { name: "n".repeat(bytes) })];

describe("a message that doesn't fit", () => {
  test("02#35 an import too big only for its modules uploads them first, and sends their hash", async () => {
    const bench = new JobBench();
    const moduleFiles = new Uint8Array(megabytes(5)).fill(7);
    bench.provisioner.onInit = async () => ({ moduleFiles });
    const result = await bench.run(importJob());
    expect(bench.plane.kinds).toEqual(["variables", "upload", "complete"]);
    const upload = bench.plane.calls.find((call) => call.kind === "upload");
    expect(upload?.kind === "upload" && Buffer.compare(upload.files, moduleFiles)).toBe(0);
    const type = bench.plane.completed?.type;
    if (type?.case !== "templateImport") throw new Error("no import");
    expect(type.value.moduleFiles.length).toBe(0);
    expect(Buffer.from(type.value.moduleFilesHash)).toEqual(createHash("sha256").update(moduleFiles).digest());
    expect(result.status).toBe("succeeded");
  });

  test("02#35 modules that fit stay in the message", async () => {
    const bench = new JobBench();
    bench.provisioner.onInit = async () => ({ moduleFiles: new Uint8Array(megabytes(3)) });
    await bench.run(importJob());
    expect(bench.plane.kinds).toEqual(["variables", "complete"]);
    expect(bench.plane.completed?.type.value).toMatchObject({ moduleFilesHash: new Uint8Array() });
  });

  test("01#109 a server up to 1.6 gets the import without its modules, and no upload", async () => {
    const bench = new JobBench();
    bench.plane.features = featuresOf({ major: 1, minor: 6 });
    bench.provisioner.onInit = async () => ({ moduleFiles: new Uint8Array(megabytes(5)) });
    await bench.run(importJob());
    expect(bench.plane.kinds).toEqual(["variables", "complete"]);
    const type = bench.plane.completed?.type;
    expect(
      type?.case === "templateImport" && [type.value.moduleFiles.length, type.value.moduleFilesHash.length],
    ).toEqual([0, 0]);
  });

  test("modules that can't be uploaded, or whose hash is refused, don't fail the import (W25)", async () => {
    const refused = new JobBench();
    refused.provisioner.onInit = async () => ({ moduleFiles: new Uint8Array(megabytes(5)) });
    refused.plane.refusals.upload = ["disk full"];
    expect((await refused.run(importJob())).status).toBe("succeeded");
    expect(refused.plane.kinds).toEqual(["variables", "upload", "complete"]);

    const lost = new JobBench();
    lost.provisioner.onInit = async () => ({ moduleFiles: new Uint8Array(megabytes(5)) });
    lost.plane.refusals.complete = ["get file by hash, it should have been uploaded: no rows in result set"];
    expect((await lost.run(importJob())).status).toBe("succeeded");
    expect(lost.plane.kinds).toEqual(["variables", "upload", "complete", "complete"]);
    const type = lost.plane.completed?.type;
    expect(type?.case === "templateImport" && type.value.moduleFilesHash.length).toBe(0);
  });

  test("02#36 a build's completion above 4 MiB is never sent: it fails in clear words, with its state", async () => {
    const bench = new JobBench();
    bench.provisioner.onGraph = async () => ({ resources: bigResource(megabytes(5)) });
    const result = await bench.run(buildJob());
    expect(bench.plane.kinds).toEqual(["fail"]);
    expect(bench.plane.failed?.error).toMatch(
      /^complete job: the result has 52\d+ bytes .*at most 4194304 fit into one message$/,
    );
    expect(bench.plane.failedState).toBe(stateOf("applied"));
    expect(result).toMatchObject({ status: "failed", rescue: false });
    // And the job's own log says it, too.
    expect(bench.plane.logs.at(-1)?.output).toContain("at most 4194304 fit into one message");
  });

  test("02#36 an import that is too big without its modules, too, fails in clear words", async () => {
    const bench = new JobBench();
    bench.provisioner.onGraph = async () => ({
      parameters: [create(RichParameterSchema, { name: "p".repeat(megabytes(5)) })],
    });
    await bench.run(importJob());
    expect(bench.plane.kinds).toEqual(["variables", "fail"]);
    expect(bench.plane.failed?.error).toContain("at most 4194304 fit into one message");
  });

  test("02#36 a state that is too big itself: the failure says so, leaves it out, and asks for rescue", async () => {
    const bench = new JobBench();
    bench.provisioner.onApply = async () => ({ state: bigState(megabytes(5)) });
    const result = await bench.run(buildJob());
    expect(bench.plane.kinds).toEqual(["fail"]);
    expect(bench.plane.failed?.error).toMatch(
      /its state has 52\d+ bytes, which do not fit into one message of 4194304: the agent keeps it/,
    );
    expect(bench.plane.failedState).toBe("");
    expect(result).toMatchObject({ status: "failed", rescue: true });
    expect(bench.journal.entries.some((entry) => entry.startsWith("state ") && entry.length > megabytes(5))).toBe(true);
  });

  test("02#36 timings go before the state does", async () => {
    const bench = new JobBench();
    const state = bigState(megabytes(4) - 2_000);
    bench.provisioner.onPlan = async () => ({ timings: Array.from({ length: 500 }, () => timing("plan")) });
    bench.provisioner.onApply = async () => ({ state, error: "terraform apply: exit status 1" });
    const result = await bench.run(buildJob());
    expect(bench.plane.failedState).toBe(state);
    expect(bench.plane.failed?.error).toBe("terraform apply: exit status 1");
    expect(result.rescue).toBe(false);
  });

  test("02#36 nothing above 4 MiB was put on the wire in any of this", async () => {
    for (const bytes of [megabytes(4) - 500, megabytes(4), megabytes(4) + 1, megabytes(6)]) {
      const bench = new JobBench();
      bench.provisioner.onApply = async () => ({ state: bigState(bytes) });
      await bench.run(buildJob());
      for (const call of bench.plane.calls) {
        if (call.kind === "complete")
          expect(toBinary(CompletedJobSchema, call.message).length).toBeLessThanOrEqual(4_194_304);
        if (call.kind === "fail") expect(toBinary(FailedJobSchema, call.message).length).toBeLessThanOrEqual(4_194_304);
      }
    }
  });
});

describe("answers", () => {
  test("02#38 a refused completion is followed by a failure with type, state and timings", async () => {
    const bench = new JobBench();
    bench.plane.refusals.complete = ['insert agent: duplicate name "main"'];
    const result = await bench.run(buildJob());
    expect(bench.plane.kinds).toEqual(["complete", "fail"]);
    expect(bench.plane.failed?.error).toBe('complete job: insert agent: duplicate name "main"');
    expect(bench.plane.failedState).toBe(stateOf("applied"));
    const type = bench.plane.failed?.type;
    expect(type?.case === "workspaceBuild" && type.value.timings.map((entry) => entry.stage)).toEqual([
      "init",
      "plan",
      "apply",
      "graph",
    ]);
    expect(result).toMatchObject({ status: "failed", rescue: false });
    expect(bench.journal.entries.slice(-2)).toEqual(["terminal completed", "terminal failed"]);
  });

  test.each(["job already completed", "you don't own this job"])(
    "02#41 %s stops all calls for the job; its state is kept for rescue",
    async (text) => {
      const bench = new JobBench();
      bench.plane.refusals.complete = ["database is down"];
      bench.plane.refusals.fail = [text];
      const result = await bench.run(buildJob());
      expect(bench.plane.kinds).toEqual(["complete", "fail"]);
      expect(bench.plane.calls.at(-1)?.kind).toBe("fail");
      expect(result).toMatchObject({ status: "unconfirmed", unconfirmed: `fail job: ${text}`, rescue: true });
      expect(result.error).toBe("complete job: database is down");
      const calls = bench.plane.calls.length;
      await bench.clock.advance(60_000);
      expect(bench.plane.calls.length).toBe(calls);
    },
  );

  test("02#41 an update that says that the job isn't ours stops all calls: before an apply the job is interrupted", async () => {
    const bench = new JobBench();
    bench.provisioner.onPlan = async (stage) => {
      bench.plane.refusals.update = ["you don't own this job"];
      await stage.interrupted();
      return {};
    };
    const result = await bench.run(buildJob());
    expect(bench.plane.kinds).toEqual([]);
    expect(bench.steps).toEqual(["open", "init", "plan", "disposed"]);
    expect(result).toMatchObject({ status: "unconfirmed", unconfirmed: "you don't own this job", rescue: false });
  });

  test("02#41 … and an apply goes on to its end, its state is kept, and nothing is sent any more", async () => {
    const bench = new JobBench();
    const { opened, open } = gate();
    bench.provisioner.onApply = async (stage) => {
      bench.plane.refusals.update = ["you don't own this job"];
      await stage.until(opened);
      expect(stage.signal.aborted).toBe(false);
      return {};
    };
    bench.begin(buildJob());
    await bench.until(() => bench.plane.refusals.update?.length === 0);
    const calls = bench.plane.calls.length;
    await bench.clock.advance(60_000);
    open();
    const result = await bench.end();
    expect(bench.plane.calls.length).toBe(calls);
    expect(result).toMatchObject({ status: "unconfirmed", rescue: true });
    expect(bench.journal.entries).toContain(`state ${stateOf("applied")}`);
  });

  test("a failure that is refused for another reason is tried again, for the state hangs on it, and not for ever", async () => {
    const bench = new JobBench();
    bench.provisioner.onApply = async () => ({ state: stateOf("half"), error: "no" });
    bench.plane.refusals.fail = ["database is down", "database is down"];
    expect(await bench.run(buildJob())).toMatchObject({ status: "failed" });
    expect(bench.plane.kinds).toEqual(["fail", "fail", "fail"]);

    const never = new JobBench();
    never.provisioner.onApply = async () => ({ state: stateOf("half"), error: "no" });
    never.plane.refusals.fail = Array.from({ length: 9 }, () => "database is down");
    expect(await never.run(buildJob())).toMatchObject({ status: "unconfirmed", rescue: true });
    expect(never.plane.kinds).toEqual(["fail", "fail", "fail", "fail"]);
  });

  test("02#45 02#58 heartbeats go on while a completion, an upload or a failure waits for its answer, and end with it", async () => {
    for (const kind of ["complete", "upload", "fail"] as const) {
      const bench = new JobBench();
      bench.provisioner.onInit = async () => ({ moduleFiles: new Uint8Array(megabytes(5)) });
      if (kind === "fail") bench.provisioner.onPlan = async () => Promise.reject(new Error("no"));
      const { opened, open } = gate();
      bench.plane.holds[kind] = () => opened;
      bench.begin(importJob());
      await bench.until(() => bench.plane.kinds.includes(kind));
      const before = bench.plane.updates.length;
      await bench.clock.advance(40_000);
      expect(bench.plane.updates.length - before).toBe(10);
      open();
      await bench.end();
      const after = bench.plane.calls.length;
      await bench.clock.advance(40_000);
      expect(bench.plane.calls.length).toBe(after);
      expect(bench.clock.pending).toBe(0);
    }
  });

  test("a journal that can't be written doesn't keep the terminal message from being sent", async () => {
    const bench = new JobBench();
    for (const what of ["accepted", "state", "applied", "reporting", "terminal"]) bench.journal.broken.add(what);
    expect(await bench.run(buildJob())).toMatchObject({ status: "succeeded" });
    expect(bench.events.filter((event) => event.kind === "warning").length).toBe(5);
  });

  test("a completion whose state is none is no completion: it would erase what is stored", async () => {
    for (const state of ["", '{"version":4', "null"]) {
      for (const transition of [WorkspaceTransition.START, WorkspaceTransition.STOP, WorkspaceTransition.DESTROY]) {
        const bench = new JobBench();
        bench.provisioner.onApply = async (_, onState) => {
          await onState(stateOf("seen before"));
          return { state };
        };
        await bench.run(buildJob({}, transition));
        expect(bench.plane.kinds).toEqual(["fail"]);
        expect(bench.plane.failedState).toBe(stateOf("seen before"));
      }
    }
  });
});
