import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { LogLevel, PrebuiltWorkspaceBuildStage, WorkspaceTransition } from "../gen/provisioner_pb.ts";
import { planFacts } from "../graph/plan-facts.ts";
import { JobError, messageOf } from "../kit/errors.ts";
import type { PlanFacts, PlanInput } from "../session/types.ts";
import { planArguments, showPlanArguments, showPlanForPeopleArguments } from "./arguments.ts";
import { type Bench, failureText } from "./bench.ts";
import { basicEnvironment, jobEnvironment } from "./environment.ts";
import type { GraphText } from "./graph-text.ts";
import { LineSplitter } from "./lines.ts";
import { stderrEntries } from "./records.ts";
import { refuseShadowed } from "./tfvars.ts";
import { stageRow, TimingCollector } from "./timings.ts";

/** True for a destroy of a workspace that has no state: nothing is run for it (spec/03 §3.7). */
export const isNothingToDo = ({ metadata, state }: PlanInput): boolean =>
  metadata.workspaceTransition === WorkspaceTransition.DESTROY && state.length === 0;

/** The line that says so; people and programs look for its last three words. */
export const nothingToDo = "the workspace has no state and is to be destroyed: nothing to do";

/** State into the folder, `plan`, then the plan as JSON (spec/03 §3.4). */
export async function plan(bench: Bench, input: PlanInput, graph: GraphText, signal: AbortSignal): Promise<PlanFacts> {
  const { settings, folder, clock, log } = bench;
  const { metadata } = input;
  bench.begin();
  if (isNothingToDo(input)) {
    log.info(nothingToDo);
    return { plan: new Uint8Array(), dailyCost: 0, aiTaskCount: 0, resourceReplacements: [], timings: [] };
  }
  if (input.state.length > 0) await writeState(folder.state, input.state);
  await refuseShadowed(folder.path, input.variableValues);

  const collector = new TimingCollector("plan");
  const startMs = clock.now();
  const destroy = metadata.workspaceTransition === WorkspaceTransition.DESTROY;
  const { variables: environment, labels } = jobEnvironment(settings, folder, log.options.logLevel, input);
  const args = planArguments(folder.plan, destroy, input.variableValues);
  const run = await bench.runLogged(args, { environment, labels }, collector, signal);
  if (run.end !== undefined) throw new JobError(`terraform plan: ${run.end}`);

  // Imports and dry runs ask for the graph next; a build can have it made while it applies.
  if (metadata.workspaceBuildId === "") graph.start();
  const basic = { environment: basicEnvironment(settings, folder) };
  const shown = await bench.runCollected(showPlanArguments(folder.plan), basic, signal);
  if (shown.end !== undefined) throw new JobError(`show terraform plan file: ${failureText(shown)}`);

  const { dailyCost, aiTaskCount, resourceReplacements, replacementLog, replaces } = planFacts(shown.stdout);
  const isClaim = metadata.prebuiltWorkspaceBuildStage === PrebuiltWorkspaceBuildStage.CLAIM && !destroy;
  if (!isClaim) replacementLog.forEach(log.entry);
  else if (replaces) await showForPeople(bench, signal);
  const timings = [...collector.rows(), stageRow("plan", startMs, clock.now(), true)];
  return { plan: shown.stdout, dailyCost, aiTaskCount, resourceReplacements, timings };
}

/** Mode 0600, whatever was there before; no link is followed, since the template's own programs may have run. */
async function writeState(path: string, state: Uint8Array): Promise<void> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
  try {
    const file = await open(path, flags, 0o600);
    try {
      await file.chmod(0o600);
      await file.writeFile(state);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new JobError(`write statefile "${path}": ${messageOf(error)}`, { cause: error });
  }
}

/** The plan as people read it, into the log of a prebuild claim that replaces something; fails nothing (spec/03 §5.7). */
async function showForPeople(bench: Bench, signal: AbortSignal): Promise<void> {
  const { settings, folder, log } = bench;
  const input = { environment: basicEnvironment(settings, folder) };
  const shown = await bench.runCollected(showPlanForPeopleArguments(folder.plan), input, signal);
  const onLine = (output: string) =>
    log.entry({ level: output.includes("# forces replacement") ? LogLevel.WARN : LogLevel.INFO, output });
  const lines = new LineSplitter({ onLine, onCut: ({ head }) => onLine(`${head} … (cut)`) });
  lines.push(shown.stdout);
  lines.end();
  for (const line of shown.stderr.split("\n")) stderrEntries(line).forEach(log.entry);
}
