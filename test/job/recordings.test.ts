import { join } from "node:path";
import { clone, create, toJson } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import type { Timing } from "../../src/gen/provisioner_pb.ts";
import {
  type CompletedJob,
  CompletedJobSchema,
  type FailedJob,
  FailedJob_TemplateImportSchema,
  FailedJobSchema,
} from "../../src/gen/provisionerd_pb.ts";
import { JobError } from "../../src/kit/errors.ts";
import type { Graph } from "../../src/session/types.ts";
import { JobBench } from "../support/job-harness.ts";
import type { Stage } from "../support/job-provisioner.ts";
import { type RecordedJob, recordedJobs } from "../support/job-recordings.ts";
import { sharedFolder } from "../support/shared.ts";

const sessions = ["life", "rich", "quota", "failures", "variable", "cancel", "cut", "modules"];
const recordings = sharedFolder
  ? sessions.flatMap((session) => recordedJobs(join(sharedFolder as string, "cases/wire"), session))
  : [];

/** What an import or a dry run puts before the engine's own words (spec/02 §2.8). */
const prefixes = /^(template import provision for (start|stop): plan during template import provision error: )/;

describe.skipIf(!sharedFolder)(
  "recorded jobs: the same results of the provisioner yield what the recorded daemon sent",
  () => {
    test("all are there", () => {
      expect(recordings.length).toBeGreaterThanOrEqual(25);
    });

    test.each(recordings.map((job) => [job.name, job] as const))("%s", async (_, job) => {
      const bench = new JobBench();
      replay(job, bench);
      await bench.run(job.acquired);

      expect(bench.plane.kinds).toEqual(expectedKinds(job));
      if (job.completed) {
        const sent = withoutHash(bench.plane.completed ?? fail(bench));
        expect(toJson(CompletedJobSchema, sent)).toEqual(toJson(CompletedJobSchema, withoutHash(job.completed)));
      } else {
        expect(toJson(FailedJobSchema, bench.plane.failed ?? fail(bench))).toEqual(
          toJson(FailedJobSchema, expectedFailure(job)),
        );
      }
      expect(bench.plane.calls.flatMap((call) => (call.kind === "variables" ? [call.request] : []))).toEqual(
        expectedVariables(job),
      );

      const markers = (logs: RecordedJob["logs"]) =>
        logs.filter((log) => log.source === 0 && log.output === "").map((log) => log.stage);
      expect(markers(bench.plane.logs)).toEqual(markers(job.logs));
      expect(forwarded(bench.plane.logs)).toEqual(forwarded(job.logs));
      // What we say beyond that is of our own source: who runs the job, and why it failed.
      const ours = bench.plane.logs.filter((log) => log.source === 0 && log.output !== "");
      expect(ours[0]).toMatchObject({ stage: "Setting up", level: 2 });
      expect(ours.length).toBe(1 + (job.failed ? 1 : 0) + (job.canceled ? 1 : 0));
    });
  },
);

function fail(bench: JobBench): never {
  throw new Error(`no such message: ${bench.plane.failed?.error ?? bench.plane.kinds.join()}`);
}

/**
 * Difference in form only: an import with nothing to declare says so, as the recorded daemon does; in the recording that
 * call can't be told from a heartbeat.
 */
function expectedKinds(job: RecordedJob): string[] {
  const isImport = job.acquired.type.case === "templateImport";
  return isImport && !job.variables ? ["variables", ...job.kinds] : job.kinds;
}

function expectedVariables(job: RecordedJob) {
  if (!expectedKinds(job).includes("variables")) return [];
  return [
    expect.objectContaining({
      jobId: job.acquired.jobId,
      templateVariables: job.variables?.templateVariables ?? [],
      userVariableValues: job.variables?.userVariableValues ?? [],
      readme: job.variables?.readme ?? new Uint8Array(),
      workspaceTags: job.variables?.workspaceTags ?? {},
    }),
  ];
}

/** Difference: the type of a failure is always set (W29); the recorded daemon leaves it out for imports and dry runs. */
function expectedFailure(job: RecordedJob): FailedJob {
  const expected = clone(FailedJobSchema, job.failed ?? create(FailedJobSchema));
  if (expected.type.case === undefined && job.acquired.type.case === "templateImport") {
    expected.type = { case: "templateImport", value: create(FailedJob_TemplateImportSchema) };
  }
  return expected;
}

/** Difference: the archive of the recording is known by its size only, so its hash is another; its place is the same. */
function withoutHash(message: CompletedJob): CompletedJob {
  const copy = clone(CompletedJobSchema, message);
  if (copy.type.case === "templateImport") copy.type.value.moduleFilesHash.fill(0);
  return copy;
}

/** Forwarded lines by stage, level and text. */
function forwarded(logs: RecordedJob["logs"]): [string, number, string][] {
  return logs.filter((log) => log.source === 1).map((log) => [log.stage, log.level, log.output]);
}

/** Makes the provisioner and the control plane say what was recorded. */
function replay(job: RecordedJob, bench: JobBench): void {
  const { provisioner, plane } = bench;
  const steps = linesBySteps(job);
  const say = (stage: Stage, step: string) => {
    for (const log of steps.get(step) ?? []) stage.log(log.output, log.level);
  };
  const done = job.completed?.type;
  const failed = job.failed?.type;
  const timings =
    done?.case === "workspaceBuild"
      ? done.value.timings
      : failed?.case === "workspaceBuild"
        ? failed.value.timings
        : [];
  const timingsOf = (stage: string) => timings.filter((timing) => timing.stage === stage);

  provisioner.onInit = async (stage) => {
    say(stage, "init");
    const modules = done?.case === "templateImport" ? done.value.startModules : (done?.value?.modules ?? []);
    // The archive of the recorded session is known by its size and its hash; any archive of that size takes the same way.
    const moduleFiles = job.kinds.includes("upload")
      ? new Uint8Array(4_867_584)
      : done?.case === "templateImport"
        ? done.value.moduleFiles
        : undefined;
    return { modules, timings: timingsOf("init"), ...(moduleFiles ? { moduleFiles } : {}) };
  };
  provisioner.onParse = async (stage) => {
    say(stage, "parse");
    const { templateVariables = [], readme = new Uint8Array(), workspaceTags = {} } = job.variables ?? {};
    return { templateVariables, readme, workspaceTags };
  };
  if (typeof job.variablesAnswer === "string") plane.refusals.variables = [job.variablesAnswer];
  else plane.variableValues = job.variablesAnswer?.variableValues ?? [];

  let plans = 0;
  provisioner.onPlan = async (stage) => {
    say(stage, `plan ${++plans}`);
    if (job.failed && (prefixes.test(job.failed.error) || job.failed.error.startsWith("terraform plan"))) {
      throw new JobError(job.failed.error.replace(prefixes, ""));
    }
    const plan = done?.case === "templateImport" ? done.value.plan : new Uint8Array();
    const resourceReplacements = done?.case === "workspaceBuild" ? done.value.resourceReplacements : [];
    return { plan, resourceReplacements, timings: timingsOf("plan"), dailyCost: job.quota?.request.dailyCost ?? 0 };
  };
  if (job.quota) plane.quota = job.quota.response;

  provisioner.onApply = async (stage) => {
    say(stage, "apply");
    if (job.canceled) {
      plane.canceled = true;
      await stage.interrupted();
    }
    const state = new TextDecoder().decode(
      done?.case === "workspaceBuild"
        ? done.value.state
        : failed?.case === "workspaceBuild"
          ? failed.value.state
          : undefined,
    );
    return job.failed ? { state, error: job.failed.error } : { state };
  };

  let graphs = 0;
  provisioner.onGraph = async (stage) => {
    say(stage, `graph ${++graphs}`);
    return graphOf(job, graphs, timingsOf("graph"));
  };
  // Timings of an apply are not a step's result in the scripted provisioner's words: they are set where it makes them.
  provisioner.applyTimings = timingsOf("apply");
}

function graphOf(job: RecordedJob, nth: number, timings: Timing[]): Partial<Graph> {
  const done = job.completed?.type;
  switch (done?.case) {
    case "templateImport": {
      const {
        startResources,
        stopResources,
        richParameters: parameters,
        presets,
        externalAuthProviders,
        hasAiTasks,
        hasExternalAgents,
      } = done.value;
      return nth === 1
        ? {
            resources: startResources,
            parameters,
            presets,
            externalAuthProviders,
            hasAiTasks,
            hasExternalAgents,
            timings,
          }
        : { resources: stopResources, timings };
    }
    case "templateDryRun":
      return { resources: done.value.resources, timings };
    case "workspaceBuild":
      return { resources: done.value.resources, aiTasks: done.value.aiTasks, timings };
    default:
      return {};
  }
}

/** Forwarded lines by the step that said them: the nth plan, the nth graph. */
function linesBySteps(job: RecordedJob): Map<string, RecordedJob["logs"]> {
  const names: Record<string, string> = {
    "Initializing Terraform Directory": "init",
    "Parse parameters": "parse",
    "Detecting persistent resources": "plan 1",
    "Detecting ephemeral resources": "plan 2",
    "Planning Infrastructure": "plan 1",
    "Starting workspace": "apply",
    "Stopping workspace": "apply",
    "Destroying workspace": "apply",
  };
  const steps = new Map<string, RecordedJob["logs"]>();
  let plan = 1;
  for (const log of job.logs.filter((line) => line.source === 1 && line.stage !== "Commit quota")) {
    const step = names[log.stage] ?? `graph ${plan}`;
    if (step.startsWith("plan")) plan = Number(step.slice(5));
    steps.set(step, [...(steps.get(step) ?? []), log]);
  }
  return steps;
}
