import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { StepError } from "../../src/contract/step-error.ts";
import {
  AITaskSchema,
  ExternalAuthProviderSchema,
  MetadataSchema,
  PrebuiltWorkspaceBuildStage,
  ResourceReplacementSchema,
  ResourceSchema,
  RichParameterSchema,
  RichParameterValueSchema,
  TemplateVariableSchema,
  VariableValueSchema,
  WorkspaceTransition,
} from "../../src/gen/provisioner_pb.ts";
import { AcquiredJobSchema, type CompletedJob } from "../../src/gen/provisionerd_pb.ts";
import { JobError } from "../../src/kit/errors.ts";
import { buildJob, dryRunJob, importJob, JobBench, jobId } from "../support/job-harness.ts";
import { bytes, stateOf, timing } from "../support/job-provisioner.ts";

type Done<K> = Extract<CompletedJob["type"], { case: K }>["value"];
function completed<K extends "templateImport" | "templateDryRun" | "workspaceBuild">(
  bench: JobBench,
  kind: K,
): Done<K> {
  const type = bench.plane.completed?.type;
  if (type?.case !== kind) throw new Error(`not completed as ${kind}: ${bench.plane.failed?.error}`);
  return type.value as Done<K>;
}

const INFO = 2;
const setting = (name: string, value: string) => create(VariableValueSchema, { name, value });

describe("what a job is", () => {
  test("02#9 a provisioner that we don't have fails the job with a text naming it, and the job's type", async () => {
    const bench = new JobBench();
    const acquired = buildJob();
    acquired.provisioner = "echo";
    const result = await bench.run(acquired);
    expect(bench.plane.kinds).toEqual(["fail"]);
    expect(bench.plane.failed?.error).toContain("missing provisioner type echo");
    expect(bench.plane.failed?.type.case).toBe("workspaceBuild");
    expect(result).toMatchObject({ status: "failed", error: bench.plane.failed?.error });
    expect(bench.steps).toEqual([]);
  });

  test("02#10 a job of an unknown type is failed, not ignored", async () => {
    const bench = new JobBench();
    await bench.run(create(AcquiredJobSchema, { jobId, provisioner: "terraform" }));
    expect(bench.plane.failed).toMatchObject({ jobId, type: { case: undefined } });
    expect(bench.plane.failed?.error).toContain("unknown job type");
  });
});

describe("import", () => {
  test("02#12 markers in order, each INFO, of the daemon's source and without output", async () => {
    const bench = new JobBench();
    await bench.run(importJob());
    const empty = bench.plane.logs.filter((log) => log.output === "");
    expect(empty.map((log) => log.stage)).toEqual([
      "Setting up",
      "Parsing template parameters",
      "Detecting persistent resources",
      "Detecting ephemeral resources",
      "Cleaning Up",
    ]);
    for (const log of empty) expect(log).toMatchObject({ level: INFO, source: 0 });
  });

  test("02#12 lines are forwarded in the stage of their step, at the provisioner's source and level", async () => {
    const bench = new JobBench();
    bench.provisioner.onInit = async (stage) => stage.log("init line", 3);
    bench.provisioner.onParse = async (stage) => stage.log("parse line");
    bench.provisioner.onPlan = async (stage, input) => stage.log(`plan ${input.metadata.workspaceTransition}`);
    bench.provisioner.onGraph = async (stage, source) => stage.log(source);
    await bench.run(importJob());
    const lines = bench.plane.logs.filter((log) => log.source === 1).map((log) => [log.stage, log.output, log.level]);
    expect(lines).toEqual([
      ["Initializing Terraform Directory", "init line", 3],
      ["Parse parameters", "parse line", INFO],
      ["Detecting persistent resources", "plan 0", INFO],
      ["Graphing Infrastructure", "plan START", INFO],
      ["Detecting ephemeral resources", "plan 1", INFO],
      ["Graphing Infrastructure", "plan STOP", INFO],
    ]);
  });

  test("02#15 exactly one UpdateJob declares the variables; its answer's values feed both plans", async () => {
    const bench = new JobBench();
    const declared = create(TemplateVariableSchema, { name: "region", type: "string", required: true });
    bench.provisioner.onParse = async () => ({
      templateVariables: [declared],
      readme: bytes("# Hello"),
      workspaceTags: { zone: '"a"' },
    });
    bench.plane.variableValues = [setting("region", "from the answer")];
    await bench.run(importJob({ userVariableValues: [setting("region", "eu")] }));
    const declaring = bench.plane.calls.flatMap((call) => (call.kind === "variables" ? [call.request] : []));
    expect(declaring).toHaveLength(1);
    expect(declaring[0]).toMatchObject({
      jobId,
      templateVariables: [{ name: "region", required: true }],
      userVariableValues: [{ name: "region", value: "eu" }],
      readme: bytes("# Hello"),
      workspaceTags: { zone: '"a"' },
    });
    const plans = bench.provisioner.given.plans.map((plan) => plan.variableValues);
    expect(plans).toMatchObject([[{ value: "from the answer" }], [{ value: "from the answer" }]]);
  });

  test("02#16 plans carry only URL, groups and transition, and no parameters, state or tokens", async () => {
    const bench = new JobBench();
    const given = create(MetadataSchema, {
      coderUrl: "https://coder.example.com",
      workspaceOwnerGroups: ["Everyone"],
      templateId: "t",
      templateVersionId: "v",
      workspaceOwnerSessionToken: "token",
      workspaceName: "w",
    });
    await bench.run(importJob({ metadata: given }));
    const nothing = {
      richParameterValues: [],
      previousParameterValues: [],
      externalAuthProviders: [],
      variableValues: [],
    };
    for (const [index, plan] of bench.provisioner.given.plans.entries()) {
      expect(plan).toMatchObject(nothing);
      expect(plan.state.length).toBe(0);
      expect(plan.metadata).toEqual(
        create(MetadataSchema, {
          coderUrl: "https://coder.example.com",
          workspaceOwnerGroups: ["Everyone"],
          workspaceTransition: index === 0 ? WorkspaceTransition.START : WorkspaceTransition.STOP,
        }),
      );
    }
    expect(bench.provisioner.given.open).toMatchObject({ logLevel: "", templateId: "t", templateVersionId: "v" });
    expect(bench.provisioner.given.init).toMatchObject({ omitModuleFiles: false });
  });

  test("02#21 stop resources come from the STOP graph, everything else from the START round and Init", async () => {
    const bench = new JobBench();
    bench.provisioner.onInit = async () => ({ moduleFiles: bytes("modules") });
    bench.provisioner.onGraph = async (_, source) => ({
      parameters: [create(RichParameterSchema, { name: source })],
      presets: [
        { $typeName: "provisioner.Preset", name: source, parameters: [], default: false, description: "", icon: "" },
      ],
      hasAiTasks: source === "plan START",
      hasExternalAgents: source === "plan START",
    });
    await bench.run(importJob());
    const value = completed(bench, "templateImport");
    expect(value).toMatchObject({
      startResources: [{ name: "plan START" }],
      stopResources: [{ name: "plan STOP" }],
      richParameters: [{ name: "plan START" }],
      presets: [{ name: "plan START" }],
      startModules: [{ key: "m" }],
      hasAiTasks: true,
      hasExternalAgents: true,
    });
    expect(value.plan).toEqual(bytes('{"plan":"START"}'));
    expect(value.moduleFiles).toEqual(bytes("modules"));
    expect(value.moduleFilesHash.length).toBe(0);
  });

  test("02#27 an UpdateJob error that asks for variables fails the import with its code", async () => {
    const bench = new JobBench();
    bench.plane.refusals.variables = ["required template variables need values: a, b"];
    const result = await bench.run(importJob());
    expect(bench.plane.failed).toMatchObject({
      error: "update job: required template variables need values: a, b",
      errorCode: "REQUIRED_TEMPLATE_VARIABLES",
      type: { case: "templateImport" },
    });
    expect(result.code).toBe("REQUIRED_TEMPLATE_VARIABLES");
    expect(bench.steps).toEqual(["open", "init", "parse", "disposed"]);
  });

  test("a repetition that is refused as stored already counts as the first call: values are computed by the server's rule", async () => {
    for (const refusal of [
      "update template version workspace tags: duplicate key",
      "insert parameter schema: duplicate key",
    ]) {
      const bench = new JobBench();
      bench.provisioner.onParse = async () => ({
        templateVariables: [
          create(TemplateVariableSchema, { name: "a", defaultValue: "default" }),
          create(TemplateVariableSchema, { name: "b", defaultValue: "default", sensitive: true, required: true }),
        ],
      });
      bench.plane.repeated = true;
      bench.plane.refusals.variables = [refusal];
      await bench.run(importJob({ userVariableValues: [setting("b", "given")] }));
      expect(bench.plane.kinds).toEqual(["variables", "complete"]);
      expect(bench.provisioner.given.plans[0]?.variableValues).toMatchObject([
        { name: "a", value: "default", sensitive: false },
        { name: "b", value: "given", sensitive: true },
      ]);
    }
  });

  test("… and a required variable without a value fails it as the server would; a first refusal is no repetition", async () => {
    const bench = new JobBench();
    bench.provisioner.onParse = async () => ({
      templateVariables: [create(TemplateVariableSchema, { name: "a", required: true })],
    });
    bench.plane.repeated = true;
    bench.plane.refusals.variables = ["insert parameter schema: duplicate key"];
    await bench.run(importJob());
    expect(bench.plane.failed).toMatchObject({
      error: "update job: required template variables need values: a",
      errorCode: "REQUIRED_TEMPLATE_VARIABLES",
    });

    const first = new JobBench();
    first.plane.refusals.variables = ["insert parameter schema: duplicate key"];
    await first.run(importJob());
    expect(first.plane.failed?.error).toBe("update job: insert parameter schema: duplicate key");
  });

  test.each([
    ["onInit", "template import init error: boom"],
    ["onParse", "run parse: parse error: boom"],
    ["onPlan", "template import provision for start: plan during template import provision error: boom"],
    ["onGraph", "template import provision for start: graph during template import provision error: boom"],
  ] as const)("an error of %s has the prefixes of spec 02 §2.8", async (step, error) => {
    const bench = new JobBench();
    bench.provisioner[step] = async () => Promise.reject(new JobError("boom"));
    await bench.run(importJob());
    expect(bench.plane.failed).toMatchObject({ error, errorCode: "", type: { case: "templateImport" } });
  });

  test("an error of the STOP round says so; a missing parameter has its code", async () => {
    const bench = new JobBench();
    bench.provisioner.onPlan = async (_, { metadata }) => {
      if (metadata.workspaceTransition === WorkspaceTransition.STOP) throw new JobError("missing parameter: cpu");
      return {};
    };
    await bench.run(importJob());
    expect(bench.plane.failed).toMatchObject({
      error: "template import provision for stop: plan during template import provision error: missing parameter: cpu",
      errorCode: "MISSING_TEMPLATE_PARAMETER",
    });
  });
});

describe("dry run", () => {
  test("02#17 empty metadata get the defaults, and the owner is the user", async () => {
    const bench = new JobBench();
    await bench.run(dryRunJob());
    const metadata = bench.provisioner.given.plans[0]?.metadata;
    expect(metadata).toMatchObject({
      workspaceTransition: WorkspaceTransition.START,
      coderUrl: "http://localhost:3000",
      workspaceName: "dryrun",
      workspaceOwner: "alice",
    });
    const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
    expect(metadata?.workspaceId).toMatch(uuid);
    expect(metadata?.workspaceOwnerId).toMatch(uuid);
  });

  test("02#17 what is given is kept, all but owner and transition; no user is dryrunner", async () => {
    const bench = new JobBench();
    const metadata = create(MetadataSchema, {
      coderUrl: "https://c",
      workspaceName: "n",
      workspaceOwner: "somebody",
      workspaceId: "i",
      workspaceOwnerId: "o",
      workspaceOwnerGroups: ["Everyone"],
      workspaceTransition: WorkspaceTransition.DESTROY,
    });
    const acquired = dryRunJob({ metadata });
    acquired.userName = "";
    await bench.run(acquired);
    expect(bench.provisioner.given.plans[0]?.metadata).toMatchObject({
      coderUrl: "https://c",
      workspaceName: "n",
      workspaceOwner: "dryrunner",
      workspaceId: "i",
      workspaceOwnerId: "o",
      workspaceOwnerGroups: ["Everyone"],
      workspaceTransition: WorkspaceTransition.START,
    });
  });

  test("02#18 never an Apply, a CommitQuota or an UpdateJob with variables, whatever the plan costs", async () => {
    const bench = new JobBench();
    bench.provisioner.onPlan = async () => ({ dailyCost: 50 });
    const richParameterValues = [create(RichParameterValueSchema, { name: "cpu", value: "2" })];
    await bench.run(dryRunJob({ richParameterValues, variableValues: [setting("a", "b")] }));
    expect(bench.plane.kinds).toEqual(["complete"]);
    expect(bench.steps).toEqual(["open", "init", "plan", "graph", "disposed"]);
    expect(bench.provisioner.given.plans[0]).toMatchObject({
      richParameterValues: [{ name: "cpu", value: "2" }],
      variableValues: [{ name: "a", value: "b" }],
    });
    expect(bench.provisioner.given.init?.omitModuleFiles).toBe(true);
    expect(bench.plane.markers).toEqual(["Setting up", "Cleaning Up"]);
    expect(completed(bench, "templateDryRun")).toMatchObject({
      resources: [{ name: "plan START" }],
      modules: [{ key: "m" }],
    });
  });

  test.each([
    ["onInit", "template dry-run init error: boom"],
    ["onPlan", "run dry-run provision job: plan during template import provision error: boom"],
    ["onGraph", "run dry-run provision job: graph during template import provision error: boom"],
  ] as const)("an error of %s has the prefixes of spec 02 §2.8", async (step, error) => {
    const bench = new JobBench();
    bench.provisioner[step] = async () => Promise.reject(new JobError("boom"));
    await bench.run(dryRunJob());
    expect(bench.plane.failed).toMatchObject({ error, type: { case: "templateDryRun" } });
  });
});

describe("build", () => {
  test("02#13 a START has its markers, and lines in the stages of their steps", async () => {
    const bench = new JobBench();
    bench.provisioner.onInit = async (stage) => stage.log("1");
    bench.provisioner.onPlan = async (stage) => stage.log("2");
    bench.provisioner.onApply = async (stage) => stage.log("3");
    bench.provisioner.onGraph = async (stage) => stage.log("4");
    await bench.run(buildJob());
    expect(bench.plane.markers).toEqual(["Setting up", "Starting workspace", "Cleaning Up"]);
    expect(bench.plane.logs.filter((log) => log.source === 1).map((log) => [log.output, log.stage])).toEqual([
      ["1", "Initializing Terraform Directory"],
      ["2", "Planning Infrastructure"],
      ["3", "Starting workspace"],
      ["4", "Graphing Infrastructure"],
    ]);
  });

  test("02#14 STOP and DESTROY have their own stage", async () => {
    for (const [transition, stage] of [
      [WorkspaceTransition.STOP, "Stopping workspace"],
      [WorkspaceTransition.DESTROY, "Destroying workspace"],
    ] as const) {
      const bench = new JobBench();
      bench.provisioner.onApply = async ({ log }) => log("line");
      await bench.run(buildJob({}, transition));
      expect(bench.plane.markers).toEqual(["Setting up", stage, "Cleaning Up"]);
      expect(bench.plane.logs.find((log) => log.output === "line")?.stage).toBe(stage);
    }
  });

  test("02#19 Plan gets state, parameters, variables and external auth; Apply gets metadata", async () => {
    const bench = new JobBench();
    const parameter = (name: string) => create(RichParameterValueSchema, { name, value: "v" });
    await bench.run(
      buildJob({
        logLevel: "debug",
        metadata: create(MetadataSchema, {
          templateId: "t",
          templateVersionId: "v",
          workspaceOwnerSessionToken: "session-token",
          prebuiltWorkspaceBuildStage: PrebuiltWorkspaceBuildStage.CLAIM,
          runningAgentAuthTokens: [{ agentId: "a", token: "running-token" }],
          taskId: "task",
        }),
        richParameterValues: [parameter("now")],
        previousParameterValues: [parameter("before")],
        variableValues: [setting("variable", "v")],
        externalAuthProviders: [create(ExternalAuthProviderSchema, { id: "github", accessToken: "gh-token" })],
      }),
    );
    expect(bench.provisioner.given.open).toMatchObject({ logLevel: "debug", templateId: "t", templateVersionId: "v" });
    expect(bench.provisioner.given.init).toMatchObject({ templateArchive: bytes("tar"), omitModuleFiles: true });
    const plan = bench.provisioner.given.plans[0];
    expect(plan).toMatchObject({
      state: bytes(stateOf("original")),
      richParameterValues: [{ name: "now" }],
      previousParameterValues: [{ name: "before" }],
      variableValues: [{ name: "variable" }],
      externalAuthProviders: [{ id: "github", accessToken: "gh-token" }],
      metadata: {
        workspaceName: "box",
        workspaceOwnerSessionToken: "session-token",
        prebuiltWorkspaceBuildStage: PrebuiltWorkspaceBuildStage.CLAIM,
        runningAgentAuthTokens: [{ agentId: "a", token: "running-token" }],
        taskId: "task",
      },
    });
    expect(bench.provisioner.given.apply).toEqual(plan?.metadata);
  });

  test("02#20 a completion has the apply's state, the graph's resources, and timings in order", async () => {
    const bench = new JobBench();
    bench.provisioner.onPlan = async () => ({
      resourceReplacements: [create(ResourceReplacementSchema, { resource: "disk", paths: ["size"] })],
    });
    bench.provisioner.onGraph = async (_, source) => ({
      resources: [create(ResourceSchema, { name: source })],
      aiTasks: [create(AITaskSchema, { id: "ai", appId: "app" })],
    });
    const result = await bench.run(buildJob());
    const value = completed(bench, "workspaceBuild");
    expect(value).toMatchObject({
      state: bytes(stateOf("applied")),
      resources: [{ name: "state" }],
      modules: [{ key: "m" }],
      resourceReplacements: [{ resource: "disk", paths: ["size"] }],
      aiTasks: [{ id: "ai" }],
    });
    expect(value.timings.map((entry) => entry.stage)).toEqual(["init", "plan", "apply", "graph"]);
    expect(result).toMatchObject({ status: "succeeded", error: undefined, rescue: false });
  });

  test("02#22 a DESTROY without state runs nothing at all and completes with an empty state", async () => {
    const bench = new JobBench();
    await bench.run(buildJob({ state: new Uint8Array() }, WorkspaceTransition.DESTROY));
    expect(bench.steps).toEqual([]);
    expect(completed(bench, "workspaceBuild")).toMatchObject({ resources: [], timings: [] });
    expect(completed(bench, "workspaceBuild").state.length).toBe(0);
    expect(bench.plane.markers).toEqual(["Setting up", "Destroying workspace", "Cleaning Up"]);
    const nothing = bench.plane.logs.filter((log) => log.output.includes("nothing to do"));
    expect(nothing).toMatchObject([{ level: INFO, stage: "Destroying workspace" }]);
  });

  test("02#23 two AI tasks fail a build before quota and apply", async () => {
    const bench = new JobBench();
    bench.provisioner.onPlan = async () => ({ aiTaskCount: 2, dailyCost: 5 });
    await bench.run(buildJob());
    expect(bench.plane.kinds).toEqual(["fail"]);
    expect(bench.plane.failed?.error).toContain("2 AI tasks");
    expect(bench.steps).not.toContain("apply");
  });

  test("02#24 a cost of 0 makes no CommitQuota call, and a DESTROY none with any cost", async () => {
    const free = new JobBench();
    await free.run(buildJob());
    expect(free.plane.kinds).toEqual(["complete"]);
    const destroyed = new JobBench();
    destroyed.provisioner.onPlan = async () => ({ dailyCost: 50 });
    await destroyed.run(buildJob({}, WorkspaceTransition.DESTROY));
    expect(destroyed.plane.kinds).toEqual(["complete"]);
  });

  test("quota: one call with the plan's cost before the marker of the apply, and three lines", async () => {
    for (const transition of [WorkspaceTransition.START, WorkspaceTransition.STOP]) {
      const bench = new JobBench();
      bench.provisioner.onPlan = async () => ({ dailyCost: 7 });
      bench.plane.quota = { ok: true, creditsConsumed: 7, budget: 1000 };
      await bench.run(buildJob({}, transition));
      expect(bench.plane.calls.filter((call) => call.kind === "quota")).toMatchObject([{ dailyCost: 7 }]);
      const lines = bench.plane.logs.filter((log) => log.stage === "Commit quota");
      expect(lines.map((log) => [log.source, log.level, log.output.replace(/\s+/g, " ")])).toEqual([
        [1, INFO, "Build cost — 7"],
        [1, INFO, "Budget — 1000"],
        [1, INFO, "Credits consumed — 7"],
      ]);
    }
  });

  test("02#25 a refused quota fails with its code, the type, no state and no apply", async () => {
    const bench = new JobBench();
    bench.provisioner.onPlan = async () => ({ dailyCost: 50 });
    bench.plane.quota = { ok: false, creditsConsumed: 90, budget: 100 };
    await bench.run(buildJob());
    expect(bench.plane.failed).toMatchObject({
      error: "insufficient quota",
      errorCode: "INSUFFICIENT_QUOTA",
      type: { case: "workspaceBuild" },
    });
    expect(bench.plane.failedState).toBe("");
    expect(bench.steps).toEqual(["open", "init", "plan", "disposed"]);
    const lines = bench.plane.logs.filter((log) => log.stage === "Commit quota");
    expect(lines.map((log) => log.level)).toEqual([INFO, INFO, INFO, 3]);
  });

  test("an error of CommitQuota fails with its text and one ERROR line; a repeated call is said", async () => {
    const bench = new JobBench();
    bench.provisioner.onPlan = async () => ({ dailyCost: 50 });
    bench.plane.refusals.quota = ["database is down"];
    bench.plane.repeated = true;
    await bench.run(buildJob());
    expect(bench.plane.failed).toMatchObject({
      error: "commit quota: database is down",
      type: { case: "workspaceBuild" },
    });
    const lines = bench.plane.logs.filter((log) => log.stage === "Commit quota");
    expect(lines.map((log) => log.level)).toEqual([3, 4]);
    expect(lines[0]?.output).toContain("asked twice");
    expect(lines[1]?.output).toContain("database is down");
  });

  test("02#26 a plan error that contains the words insufficient quota, or any other code's text, has no code", async () => {
    for (const text of ["provider: insufficient quota", "missing parameter x", "required template variables"]) {
      const bench = new JobBench();
      bench.provisioner.onPlan = async () => Promise.reject(new JobError(text));
      await bench.run(buildJob());
      expect(bench.plane.failed).toMatchObject({ error: text, errorCode: "" });
    }
  });

  test("02#28 a plan error fails with the type, the timings of init and plan, and no state", async () => {
    const bench = new JobBench();
    bench.provisioner.onPlan = async () =>
      Promise.reject(new StepError("terraform plan: exit status 1", { timings: [timing("plan")] }));
    await bench.run(buildJob());
    const type = bench.plane.failed?.type;
    expect(bench.plane.failed?.error).toBe("terraform plan: exit status 1");
    expect(type?.case === "workspaceBuild" && type.value.timings.map((entry) => entry.stage)).toEqual(["init", "plan"]);
    expect(bench.plane.failedState).toBe("");
  });

  test("02#29 an apply error fails with the apply's state and three groups of timings", async () => {
    const bench = new JobBench();
    bench.provisioner.onApply = async () => ({ state: stateOf("half"), error: "terraform apply: exit status 1" });
    await bench.run(buildJob());
    const type = bench.plane.failed?.type;
    expect(bench.plane.failed?.error).toBe("terraform apply: exit status 1");
    expect(bench.plane.failedState).toBe(stateOf("half"));
    expect(type?.case === "workspaceBuild" && type.value.timings.map((entry) => entry.stage)).toEqual([
      "init",
      "plan",
      "apply",
    ]);
    expect(bench.steps).not.toContain("graph");
  });

  test("02#30 a graph error after a good apply fails with the apply's state and all timings", async () => {
    const bench = new JobBench();
    bench.provisioner.onGraph = async () =>
      Promise.reject(new StepError("graph: cycle", { timings: [timing("graph")] }));
    await bench.run(buildJob());
    const type = bench.plane.failed?.type;
    expect(bench.plane.failed?.error).toBe("graph: cycle");
    expect(bench.plane.failedState).toBe(stateOf("applied"));
    expect(type?.case === "workspaceBuild" && type.value.timings.map((entry) => entry.stage)).toEqual([
      "init",
      "plan",
      "apply",
      "graph",
    ]);
  });

  test("02#33 the id of a module file leads to one download, and Init gets the archive", async () => {
    const bench = new JobBench();
    bench.plane.modules = bytes("module tar");
    const templateVersionModulesFile = "1b1cdf5e-d419-4673-98bc-5f41954cc03c";
    await bench.run(buildJob({ metadata: create(MetadataSchema, { templateVersionModulesFile }) }));
    expect(bench.plane.calls.filter((call) => call.kind === "download")).toMatchObject([
      { fileId: templateVersionModulesFile },
    ]);
    expect(bench.provisioner.given.init?.moduleArchive).toEqual(bytes("module tar"));
  });

  test("02#34 a failed download, or an id that is none, doesn't fail the build: a warning, and Init without the cache", async () => {
    for (const templateVersionModulesFile of ["1b1cdf5e-d419-4673-98bc-5f41954cc03c", "not a uuid"]) {
      const bench = new JobBench();
      bench.plane.refusals.download = ["file is not a modules file"];
      const result = await bench.run(buildJob({ metadata: create(MetadataSchema, { templateVersionModulesFile }) }));
      expect(result.status).toBe("succeeded");
      expect(bench.provisioner.given.init?.moduleArchive.length).toBe(0);
      expect(bench.plane.logs.filter((log) => log.output.startsWith("cached modules:"))).toMatchObject([{ level: 3 }]);
    }
  });

  test("a session that can't be opened fails the job in words", async () => {
    const bench = new JobBench();
    bench.provisioner.onOpen = async () => Promise.reject(new Error("no sandbox"));
    await bench.run(buildJob());
    expect(bench.plane.failed).toMatchObject({ error: "open session: no sandbox", type: { case: "workspaceBuild" } });
    expect(bench.plane.markers).toEqual(["Setting up", "Cleaning Up"]);
  });

  test("an apply doesn't begin when the journal can't note that it does", async () => {
    const bench = new JobBench();
    bench.journal.broken.add("applying");
    await bench.run(buildJob());
    expect(bench.steps).not.toContain("apply");
    expect(bench.plane.failed?.error).toContain("the journal can't be written: no space left on device");
    expect(bench.plane.failedState).toBe("");
  });

  test("the journal gets each phase before its step, each state, and the terminal message before it is sent", async () => {
    const bench = new JobBench();
    bench.provisioner.onApply = async (_, onState) => {
      await onState(stateOf("one"));
      return { state: stateOf("two") };
    };
    await bench.run(buildJob());
    expect(bench.journal.entries).toEqual([
      "accepted",
      "initializing",
      "planning",
      "applying",
      `state ${stateOf("one")}`,
      `state ${stateOf("two")}`,
      "applied",
      "reporting",
      "terminal completed",
    ]);
  });
});

describe("every job", () => {
  test("02#37 the last UpdateJob before the terminal call has the marker Cleaning Up, and nothing comes after that call", async () => {
    for (const acquired of [importJob(), dryRunJob(), buildJob()]) {
      const bench = new JobBench();
      await bench.run(acquired);
      const last = bench.plane.calls.at(-1);
      expect(last?.kind).toBe("complete");
      const update = bench.plane.calls.at(-2);
      expect(update?.kind === "update" && update.request.logs.some((log) => log.stage === "Cleaning Up")).toBe(true);
    }
  });

  test("the first line is there within a second of the acquire, and says who runs the job", async () => {
    const bench = new JobBench();
    bench.provisioner.onOpen = () => new Promise((resolve) => void bench.clock.after(60_000, resolve));
    bench.begin(buildJob());
    await bench.clock.advance(1_000);
    const [marker, intro] = bench.plane.logs;
    expect(marker).toMatchObject({ stage: "Setting up", output: "" });
    expect(intro?.output).toBe("outpost 0.1.0, Terraform 1.11.4, isolation none, credentials none");
    await bench.end();
  });

  test("a failed job's log ends with what failed, where, and what to do", async () => {
    const bench = new JobBench();
    bench.provisioner.onApply = async () => ({ state: stateOf("half"), error: "terraform apply: exit status 1" });
    await bench.run(buildJob());
    const last = bench.plane.logs.at(-1);
    expect(last).toMatchObject({ level: 4, stage: "Cleaning Up" });
    const [what, where, next, state] = (last?.output ?? "").split("\n");
    expect(what).toBe("failed: terraform apply: exit status 1");
    expect(where).toBe("in: Starting workspace (apply)");
    expect(next).toMatch(/^next: .+/);
    expect(state).toContain(`${stateOf("half").length} bytes`);
  });

  test("02#32 no error text is ever empty, not even where nobody gave a reason", async () => {
    for (const fail of [
      (bench: JobBench) => {
        bench.provisioner.onPlan = async () => Promise.reject(new JobError(""));
      },
      (bench: JobBench) => {
        bench.provisioner.onApply = async () => ({ error: "" });
      },
      (bench: JobBench) => {
        bench.provisioner.onGraph = async () => Promise.reject(new Error(""));
      },
      (bench: JobBench) => {
        bench.plane.refusals.complete = [""];
      },
    ]) {
      const bench = new JobBench();
      fail(bench);
      await bench.run(buildJob());
      expect(bench.plane.failed?.error).toMatch(/\S/);
    }
  });

  test("nothing is left running: no timer, and the session is disposed", async () => {
    for (const acquired of [importJob(), buildJob()]) {
      const bench = new JobBench();
      await bench.run(acquired);
      expect(bench.provisioner.trace.at(-1)).toBe("disposed");
      expect(bench.clock.pending).toBe(0);
    }
  });

  test("a listener that throws disturbs nothing", async () => {
    const bench = new JobBench();
    bench.events.push = () => {
      throw new Error("screen is gone");
    };
    expect((await bench.run(buildJob())).status).toBe("succeeded");
  });

  test("events tell steps, progress, lines and the result", async () => {
    const bench = new JobBench();
    bench.provisioner.onPlan = async (stage) => stage.log("Plan: 1 to add, 1 to change, 0 to destroy.");
    bench.provisioner.onApply = async (stage) => {
      stage.log("a.b: Creation complete after 1s [id=1]");
      stage.log("a.c: Modifications complete after 1s [id=2]");
      return {};
    };
    const result = await bench.run(buildJob());
    const began = bench.events.flatMap((event) => (event.kind === "step-began" ? [event.step] : []));
    expect(began).toEqual(["open", "init", "plan", "apply", "graph"]);
    const progress = bench.events.flatMap((event) =>
      event.kind === "progress" ? [`${event.done}/${event.total}`] : [],
    );
    expect(progress).toEqual(["0/2", "1/2", "2/2"]);
    expect(bench.events.at(-1)).toEqual({ kind: "result", result });
  });
});
