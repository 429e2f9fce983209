import { stages } from "../contract/stages.ts";
import type { Completion } from "./completion.ts";
import { within } from "./failures.ts";
import type { DryRunJob } from "./job.ts";
import { notePhase, type Pipeline } from "./pipeline.ts";

/** Plans a template with somebody's parameters, to show what a workspace would be made of (spec/02 §2.4). */
export async function runDryRun(job: DryRunJob, pipeline: Pipeline): Promise<Completion> {
  const { steps, provisioner } = pipeline;
  const { templateArchive, metadata, variableValues, richParameterValues } = job;
  const session = await steps.open(provisioner, { logLevel: "", templateId: "", templateVersionId: "" });

  await notePhase(pipeline, "initializing");
  // Nobody wants the module archive of a dry run (W34).
  const init = { templateArchive, moduleArchive: new Uint8Array(), omitModuleFiles: true };
  const initializing = steps.run("init", stages.init, (signal) => session.init(init, signal));
  const initialized = await within("template dry-run init error", initializing);

  await notePhase(pipeline, "planning");
  const input = {
    metadata,
    variableValues,
    richParameterValues,
    previousParameterValues: [],
    externalAuthProviders: [],
    state: new Uint8Array(),
  };
  const prefix = "run dry-run provision job";
  const planning = steps.run("plan", stages.persistent, (signal) => initialized.plan(input, signal));
  const planned = await within(`${prefix}: plan during template import provision error`, planning);
  const graphing = steps.run("graph", stages.graph, (signal) => planned.graph(signal));
  const { resources } = await within(`${prefix}: graph during template import provision error`, graphing);
  return { kind: "dry-run", resources, modules: initialized.facts.modules };
}
