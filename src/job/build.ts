import { applyStage, stages } from "../contract/stages.ts";
import { StepError } from "../contract/step-error.ts";
import { LogLevel, WorkspaceTransition } from "../gen/provisioner_pb.ts";
import { JobError } from "../kit/errors.ts";
import type { Applied, Planned } from "../session/types.ts";
import { cachedModules } from "./cached-modules.ts";
import type { Completion } from "./completion.ts";
import { Interrupted } from "./interruption.ts";
import type { BuildJob } from "./job.ts";
import { noteApplying, notePhase, noteState, type Pipeline } from "./pipeline.ts";
import { commitQuota } from "./quota.ts";
import { timed } from "./steps.ts";

/** Starts, stops or destroys a workspace (spec/02 §2.5). */
export async function runBuild(job: BuildJob, pipeline: Pipeline): Promise<Completion> {
  const { steps, updates, ledger } = pipeline;
  const { templateId, templateVersionId, workspaceTransition } = job.metadata;
  const destroying = workspaceTransition === WorkspaceTransition.DESTROY;
  if (destroying && job.state.length === 0) return nothingToDestroy(job, pipeline);
  const { logLevel } = job;
  const session = await steps.open(pipeline.provisioner, { logLevel, templateId, templateVersionId });

  const moduleArchive = await cachedModules(job, pipeline);
  await notePhase(pipeline, "initializing");
  const init = { templateArchive: job.templateArchive, moduleArchive, omitModuleFiles: true };
  const initializing = steps.run("init", stages.init, (signal) => session.init(init, signal));
  const initialized = await timed(ledger.timings.init, initializing);
  ledger.timings.init = initialized.facts.timings;

  await notePhase(pipeline, "planning");
  const { metadata, variableValues, richParameterValues, previousParameterValues, externalAuthProviders, state } = job;
  const input = {
    metadata,
    variableValues,
    richParameterValues,
    previousParameterValues,
    externalAuthProviders,
    state,
  };
  const planning = steps.run("plan", stages.plan, (signal) => initialized.plan(input, signal));
  const planned = await timed(ledger.timings.plan, planning);
  const { aiTaskCount, dailyCost, resourceReplacements } = planned.facts;
  ledger.timings.plan = planned.facts.timings;
  if (aiTaskCount > 1) throw new JobError(`plan: ${aiTaskCount} AI tasks: a workspace has at most one coder_ai_task`);

  if (!destroying && dailyCost !== 0) {
    await steps.run("quota", stages.quota, (signal) => commitQuota(job.id, dailyCost, pipeline, signal));
  }

  await noteApplying(pipeline);
  pipeline.interruption.check();
  updates.marker(applyStage(workspaceTransition));
  const applied = await apply(job, planned, pipeline);
  // Without resources there is no completion, and no further step begins: the state travels with a failure.
  const { reason } = pipeline.interruption;
  if (reason)
    throw new Interrupted(reason.reason, `${reason.message}, after the apply had ended well: its state is saved`);
  const graphing = steps.run("graph", stages.graph, (signal) => applied.graph(signal));
  const graph = await timed(ledger.timings.graph, graphing);
  ledger.timings.graph = graph.timings;

  return {
    kind: "build",
    state: applied.state,
    resources: graph.resources,
    aiTasks: graph.aiTasks,
    modules: initialized.facts.modules,
    resourceReplacements,
    timings: ledger.allTimings,
  };
}

/** Applies a plan. From its first moment on the ledger knows of every state; a failed apply is thrown after that. */
async function apply(job: BuildJob, planned: Planned, pipeline: Pipeline): Promise<Applied> {
  const { steps, ledger } = pipeline;
  const onState = (state: Uint8Array) => noteState(pipeline, state);
  const applying = steps.run("apply", applyStage(job.metadata.workspaceTransition), (signal) => {
    ledger.applyBegins();
    return planned.apply(job.metadata, onState, signal);
  });
  const applied = await timed(ledger.timings.apply, applying);
  ledger.timings.apply = applied.timings;
  await noteState(pipeline, applied.state);
  await notePhase(pipeline, "applied");
  if (applied.error !== undefined) throw new StepError(applied.error || "apply failed without a word");
  return applied;
}

/**
 * A workspace without state has nothing that could be destroyed: nothing runs, so that a template that can't even be
 * initialized doesn't keep its workspaces alive (02#22, spec/03 §3.7 [ours]).
 */
function nothingToDestroy(job: BuildJob, { steps, updates }: Pipeline): Completion {
  const stage = applyStage(job.metadata.workspaceTransition);
  updates.marker(stage);
  steps.say(LogLevel.INFO, stage, "nothing to do: the workspace has no state");
  const none = { resources: [], aiTasks: [], modules: [], resourceReplacements: [], timings: [] };
  return { kind: "build", state: new Uint8Array(), ...none };
}
