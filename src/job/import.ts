import { create } from "@bufbuild/protobuf";
import { stages } from "../contract/stages.ts";
import type { VariableValue } from "../gen/provisioner_pb.ts";
import { MetadataSchema, WorkspaceTransition } from "../gen/provisioner_pb.ts";
import type { Graph, Initialized, PlanFacts } from "../session/types.ts";
import type { Completion } from "./completion.ts";
import { within } from "./failures.ts";
import type { ImportJob } from "./job.ts";
import { notePhase, type Pipeline } from "./pipeline.ts";
import { sensitiveOf } from "./secrets.ts";
import { declareVariables } from "./variables.ts";

/** Imports a template: what it declares, and what it makes when a workspace starts and stops (spec/02 §2.3). */
export async function runImport(job: ImportJob, pipeline: Pipeline): Promise<Completion> {
  const { steps, updates, provisioner, redactor } = pipeline;
  const { templateId, templateVersionId } = job.metadata;
  const session = await steps.open(provisioner, { logLevel: "", templateId, templateVersionId });

  await notePhase(pipeline, "initializing");
  const init = { templateArchive: job.templateArchive, moduleArchive: new Uint8Array(), omitModuleFiles: false };
  const initializing = steps.run("init", stages.init, (signal) => session.init(init, signal));
  const initialized = await within("template import init error", initializing);

  updates.marker(stages.parsing);
  const parsing = steps.run("parse", stages.parse, (signal) => initialized.parse(signal));
  const parsed = await within("run parse: parse error", parsing);
  redactor.add(
    parsed.templateVariables.filter((declared) => declared.sensitive).map((declared) => declared.defaultValue),
  );

  const declare = (signal: AbortSignal) => declareVariables(job, parsed, pipeline, signal);
  const variableValues = await within("update job", steps.run("variables", stages.parse, declare));
  redactor.add(sensitiveOf(variableValues));

  await notePhase(pipeline, "planning");
  updates.marker(stages.persistent);
  const start = await detect(job, initialized, variableValues, WorkspaceTransition.START, pipeline);
  updates.marker(stages.ephemeral);
  const stop = await detect(job, initialized, variableValues, WorkspaceTransition.STOP, pipeline);

  const { resources, parameters, presets, externalAuthProviders, hasAiTasks, hasExternalAgents } = start.graph;
  return {
    kind: "import",
    startResources: resources,
    stopResources: stop.graph.resources,
    richParameters: parameters,
    presets,
    externalAuthProviders,
    modules: initialized.facts.modules,
    plan: start.facts.plan,
    moduleFiles: initialized.facts.moduleFiles,
    hasAiTasks,
    hasExternalAgents,
  };
}

/** One round: plan and graph for one transition, with no more metadata than spec/02 §2.2 gives an import. */
async function detect(
  job: ImportJob,
  initialized: Initialized,
  variableValues: VariableValue[],
  transition: WorkspaceTransition.START | WorkspaceTransition.STOP,
  { steps }: Pipeline,
): Promise<{ facts: PlanFacts; graph: Graph }> {
  const { coderUrl, workspaceOwnerGroups } = job.metadata;
  const metadata = create(MetadataSchema, { coderUrl, workspaceOwnerGroups, workspaceTransition: transition });
  const input = {
    metadata,
    variableValues,
    richParameterValues: [],
    previousParameterValues: [],
    externalAuthProviders: [],
    state: new Uint8Array(),
  };
  const [name, stage] =
    transition === WorkspaceTransition.START ? ["start", stages.persistent] : ["stop", stages.ephemeral];
  const prefix = `template import provision for ${name}`;
  const planning = steps.run("plan", stage, (signal) => initialized.plan(input, signal));
  const planned = await within(`${prefix}: plan during template import provision error`, planning);
  const graphing = steps.run("graph", stages.graph, (signal) => planned.graph(signal));
  const graph = await within(`${prefix}: graph during template import provision error`, graphing);
  return { facts: planned.facts, graph };
}
