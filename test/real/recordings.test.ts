import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TimingState } from "../../src/gen/provisioner_pb.ts";
import { CompletedJobSchema, FailedJobSchema, UpdateJobRequestSchema } from "../../src/gen/provisionerd_pb.ts";
import type { JobEvent } from "../../src/job/events.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import { restorePlaceholders } from "../../src/link/init-scripts.ts";
import type { TerraformSettings } from "../../src/terraform/settings.ts";
import { ScriptedPlane } from "../support/job-plane.ts";
import { type RecordedJob, recordedJobs } from "../support/job-recordings.ts";
import { providerMirror } from "../support/providers.ts";
import { type Difference, differences, logDifferences, normalForm } from "../support/real-compare.ts";
import { RealJobs, recordedTerraform } from "../support/real-jobs.ts";
import { sharedFolder } from "../support/shared.ts";

/** Places where our result differs from the recorded one, in each of these jobs and at each of these places, and why. */
interface Known {
  jobs: readonly string[];
  at: readonly string[];
  recorded?: Difference["recorded"];
  ours?: Difference["ours"];
  why: string;
}

const imports = ["life/1", "rich/1", "quota/1", "failures/3", "variable/1", "cancel/1", "cut/1", "modules/1"];
const dryRuns = ["rich/2", "quota/2"];
const starts = ["life/2", "life/4", "rich/3", "quota/3", "modules/2", "modules/4"];
const stops = ["life/3", "modules/3"];
const deletes = ["life/5", "rich/4", "quota/4", "failures/5", "modules/5"];
/** Builds whose apply fails: there is no graph after it. */
const broken = ["failures/4", "cancel/2", "cut/2"];
const all = [...imports, ...dryRuns, ...starts, ...stops, ...deletes, ...broken, "failures/1", "failures/2"];

const init = "Initializing Terraform Directory";
const detect = ["Detecting persistent resources", "Detecting ephemeral resources"];
const plan = "Planning Infrastructure";
const graph = "Graphing Infrastructure";
const graphs = [graph, `${graph} (2)`];

const itsEnvironment = {
  recorded: "warn: terraform environment variable: TF_CLI_CONFIG_FILE=/opt/example/terraformrc",
  why: "a variable of the recorded daemon's own; ours gives jobs a CLI configuration, and inherits none",
};
const lockFile = {
  at: [init],
  why: "a job's lock file ends with the job: the warning that it is incomplete is left out",
};
const wholePlan = {
  jobs: imports,
  why: "the plan is passed on as Terraform wrote it; the recorded daemon drops what it doesn't know (spec/03 §3.5 [ours])",
};
const known: readonly Known[] = [
  { ...wholePlan, at: ["templateImport.plan.applyable"], ours: true },
  { ...wholePlan, at: ["templateImport.plan.errored"], ours: false },
  {
    jobs: ["failures/1", "failures/2"],
    at: ["templateImport"],
    ours: {},
    why: "a failure always says what kind of job has failed (spec/02 W29)",
  },
  {
    jobs: all,
    at: [init],
    recorded: "info: You may now begin working with Ter… (395 characters)",
    why: "TF_IN_AUTOMATION: nobody works by hand in a job's folder (spec/03 §4.8)",
  },
  {
    jobs: ["life/2 with our own scripts"],
    at: ["workspaceBuild.state.resources[coder_agent.main].instances[0].attributes.init_script"],
    recorded: "#!/usr/bin/env sh… (3298 characters)",
    ours: "#!/bin/sh… (1371 characters)",
    why: "an agent's script is the deployment's where it hands one out, as in all other jobs here, and ours elsewhere (spec/03 §4.6)",
  },
  ...[
    "warn: Warning: Incomplete lock file information for providers",
    "warn: Due to your customized provider in… (150 characters)",
    "warn:   - coder/coder",
    "warn: ",
    "warn: The current .terraform.lock.hcl fi… (162 characters)",
    "warn: ",
    "warn: To calculate additional checksums for another platform, run:",
    "warn:   terraform providers lock -platform=linux_amd64",
    "warn: (where linux_amd64 is the platform to generate)",
  ].map((recorded) => ({ ...lockFile, jobs: all, recorded })),
  { ...itsEnvironment, jobs: imports, at: [init, ...detect, ...graphs] },
  { ...itsEnvironment, jobs: ["failures/1"], at: [init, "Detecting persistent resources"] },
  { ...itsEnvironment, jobs: ["failures/2"], at: [init] },
  { ...itsEnvironment, jobs: dryRuns, at: [init, "Detecting persistent resources", graph] },
  { ...itsEnvironment, jobs: starts, at: [init, plan, "Starting workspace", graph] },
  { ...itsEnvironment, jobs: stops, at: [init, plan, "Stopping workspace", graph] },
  { ...itsEnvironment, jobs: deletes, at: [init, plan, "Destroying workspace", graph] },
  { ...itsEnvironment, jobs: broken, at: [init, plan, "Starting workspace"] },
];

/** What the table says of one job, in the form of what a comparison yields. */
const knownOf = (name: string): Difference[] =>
  known
    .flatMap(({ jobs, at, recorded, ours }) =>
      jobs.includes(name) ? at.map((place) => ({ at: place, recorded, ours })) : [],
    )
    .sort(byPlace);

const byPlace = (a: Difference, b: Difference): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

const engine = recordedTerraform();
const sessions = ["life", "rich", "quota", "failures", "variable", "cancel", "cut", "modules"];
const recordings = sharedFolder
  ? sessions.flatMap((session) => recordedJobs(join(sharedFolder as string, "cases/wire"), session))
  : [];

describe.skipIf(!sharedFolder || !providerMirror || !engine)("recorded jobs, run for real", { timeout: 60_000 }, () => {
  let real: RealJobs;
  /** Stands for the repository that the recorded template takes a module from. */
  let gitConfig: Record<string, string>;
  let moduleArchive = new Uint8Array();
  beforeAll(async () => {
    real = await RealJobs.open(engine as TerraformSettings["engine"]);
    gitConfig = await moduleRepository(join(real.folder, "module"));
  });
  afterAll(() => real[Symbol.asyncDispose]());

  test("each has its place in the table", () => {
    expect(recordings.map(({ name }) => name).sort()).toEqual([...all].sort());
  });

  test.each(recordings.map((job) => [job.name, job] as const))("%s", async (name, job) => {
    const plane = planeOf(job);
    plane.modules = moduleArchive;
    const isModuleImport = name === "modules/1";
    const environment = { PATH: process.env["PATH"] ?? "", ...(isModuleImport ? gitConfig : {}) };
    const before = Date.now();
    await real.run(job.acquired, plane, { environment, bootstrapScripts: scriptsOf(job) }, during(job, plane));
    if (isModuleImport) moduleArchive = checkUpload(job, plane);

    expect(plane.kinds).toEqual(expectedKinds(job));
    const markers = (logs: RecordedJob["logs"]) =>
      logs.filter((log) => log.source === 0 && log.output === "").map((log) => log.stage);
    expect(markers(plane.logs)).toEqual(markers(job.logs));
    expect(found(job, plane)).toEqual(knownOf(name));
    expectTimes(plane, before);
  });

  test("life/2 with our own scripts", async () => {
    const job = recordings.find(({ name }) => name === "life/2") as RecordedJob;
    const plane = planeOf(job);
    await real.run(job.acquired, plane, { bootstrapScripts: {} });
    expect(found(job, plane)).toEqual([...knownOf(job.name), ...knownOf("life/2 with our own scripts")].sort(byPlace));
  });
});

const found = (job: RecordedJob, plane: ScriptedPlane): Difference[] =>
  [...messageDifferences(job, plane), ...logDifferences(job.logs, plane.logs)].sort(byPlace);

/** The recorded archive is known by its size and hash only. Ours must be what its hash says, and stands for it from here on. */
function checkUpload(job: RecordedJob, plane: ScriptedPlane): Uint8Array<ArrayBuffer> {
  const files = plane.calls.flatMap((call) => (call.kind === "upload" ? [call.files] : []))[0] ?? new Uint8Array();
  const [theirs, ours] = [job.completed?.type, plane.completed?.type];
  if (theirs?.case !== "templateImport" || ours?.case !== "templateImport") throw new Error("no import has completed");
  expect(Buffer.from(ours.value.moduleFilesHash)).toEqual(createHash("sha256").update(files).digest());
  ours.value.moduleFilesHash = theirs.value.moduleFilesHash;
  return files.slice();
}

function messageDifferences(job: RecordedJob, plane: ScriptedPlane): Difference[] {
  const { acquired } = job;
  const variables = plane.calls.flatMap((call) => (call.kind === "variables" ? [call.request] : []))[0];
  const declared = {
    jobId: acquired.jobId,
    templateVariables: [],
    userVariableValues: [],
    readme: new Uint8Array(),
    workspaceTags: {},
  };
  const declaration = (from: typeof variables) =>
    normalForm(UpdateJobRequestSchema, create(UpdateJobRequestSchema, { ...declared, ...from, logs: [] }), acquired);
  const complete = (message = create(CompletedJobSchema)) => normalForm(CompletedJobSchema, message, acquired);
  const fail = (message = create(FailedJobSchema)) => normalForm(FailedJobSchema, message, acquired);
  return [
    ...(variables ? differences(declaration(job.variables), declaration(variables)) : []),
    ...differences(complete(job.completed), complete(plane.completed)),
    ...differences(fail(job.failed), fail(plane.failed)),
  ];
}

/** An import with nothing to declare says so, too; in the recording that call can't be told from a heartbeat. */
function expectedKinds(job: RecordedJob): string[] {
  const isImport = job.acquired.type.case === "templateImport";
  return isImport && !job.variables ? ["variables", ...job.kinds] : job.kinds;
}

/** Every row of our timings lies within the run, ends after it began, and has ended. */
function expectTimes({ completed, failed }: ScriptedPlane, before: number): void {
  const type = (completed ?? failed)?.type;
  if (type?.case !== "workspaceBuild") return;
  for (const { start, end, state, resource } of type.value.timings) {
    const [from, to] = [start, end].map((time) => Number(time?.seconds) * 1000 + Number(time?.nanos) / 1e6) as [
      number,
      number,
    ];
    expect(from, resource).toBeGreaterThanOrEqual(before - 1);
    expect(to, resource).toBeGreaterThanOrEqual(from);
    expect(to, resource).toBeLessThanOrEqual(Date.now() + 1);
    expect([TimingState.COMPLETED, TimingState.FAILED], resource).toContain(state);
  }
}

/** A control plane that answers as the recorded one did. */
function planeOf(job: RecordedJob): ScriptedPlane {
  const plane = new ScriptedPlane(new FakeClock());
  if (typeof job.variablesAnswer === "string") plane.refusals.variables = [job.variablesAnswer];
  else plane.variableValues = job.variablesAnswer?.variableValues ?? [];
  if (job.quota) plane.quota = job.quota.response;
  return plane;
}

/** What happened from outside while the recorded job ran: a user's cancel, and in one session an outage before it. */
function during(job: RecordedJob, plane: ScriptedPlane): (event: JobEvent) => void {
  return (event) => {
    if (!job.canceled || event.kind !== "log") return;
    if (job.name.startsWith("cut/") && event.line.output.endsWith("tick 1")) plane.down();
    if (!event.line.output.endsWith("tick 2")) return;
    plane.canceled = true;
    plane.up();
  };
}

/** The deployment's own scripts, out of the states that the recorded daemon left; a plan shows none. */
function scriptsOf({ acquired, completed, failed }: RecordedJob): Record<string, string> {
  const scripts: Record<string, string> = {};
  for (const type of [completed?.type, failed?.type, acquired.type]) {
    if (type?.case !== "workspaceBuild" || type.value.state.length === 0) continue;
    const { resources } = JSON.parse(Buffer.from(type.value.state).toString());
    for (const { type: kind, instances } of resources) {
      if (kind !== "coder_agent") continue;
      const { os, arch, auth, init_script } = instances[0].attributes;
      // The deployment hands the text out as an agent with a token sees it.
      const handedOut = init_script.replace(new RegExp(`(CODER_AGENT_AUTH\\s*=\\s*")${auth}`), "$1token");
      const script = restorePlaceholders(handedOut, undefined);
      if (script) scripts[`${os}_${arch}`] ??= script;
    }
  }
  return scripts;
}

/** A module of the same content, and as big; the variables that make git find it where the template says. */
async function moduleRepository(folder: string): Promise<Record<string, string>> {
  await mkdir(folder, { recursive: true });
  const source = 'variable "n" {\n  default = "x"\n}\nresource "terraform_data" "in_module" {\n  input = var.n\n}\n';
  await writeFile(join(folder, "main.tf"), source);
  await writeFile(join(folder, "big.bin"), randomBytes(4_850_000));
  const identity = ["-c", "user.name=test", "-c", "user.email=test@example.com"];
  for (const args of [
    ["init", "-q"],
    ["add", "."],
    [...identity, "commit", "-q", "-m", "module"],
  ]) {
    execFileSync("git", args, { cwd: folder });
  }
  return {
    GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_KEY_0: `url.file://${folder}.insteadOf`,
    GIT_CONFIG_VALUE_0: "file:///opt/example/module",
  };
}
