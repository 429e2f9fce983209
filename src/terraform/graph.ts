import { convertPlan, convertState, type GraphFacts } from "../graph/convert.ts";
import { JobError } from "../kit/errors.ts";
import type { Graph } from "../session/types.ts";
import { showStateArguments } from "./arguments.ts";
import { type Bench, failureText } from "./bench.ts";
import { basicEnvironment } from "./environment.ts";
import type { Dot, GraphText } from "./graph-text.ts";
import { stageRow } from "./timings.ts";

/** What a job without state has (spec/03 §3.7). */
export const emptyGraph = (): Graph => ({
  resources: [],
  parameters: [],
  externalAuthProviders: [],
  presets: [],
  hasAiTasks: false,
  aiTasks: [],
  hasExternalAgents: false,
  timings: [],
});

/** Resources and parameters of a plan, given as JSON. */
export async function graphOfPlan(
  bench: Bench,
  plan: Uint8Array,
  graph: GraphText,
  signal: AbortSignal,
): Promise<Graph> {
  bench.begin();
  const dot = await graph.get(signal);
  return withTiming(convertPlan(plan, dot.text, note(bench)), dot);
}

/** Resources of the state in the folder; the state is shown while the graph is made, unless that is there already. */
export async function graphOfState(bench: Bench, graph: GraphText, signal: AbortSignal): Promise<Graph> {
  const { settings, folder } = bench;
  bench.begin();
  const input = { environment: basicEnvironment(settings, folder) };
  const [shown, dot] = await Promise.allSettled([
    bench.runCollected(showStateArguments(), input, signal),
    graph.get(signal),
  ]);
  if (shown.status === "rejected") throw shown.reason;
  if (shown.value.end !== undefined) {
    throw new JobError(`load tfstate for graph: terraform show state: ${failureText(shown.value)}`);
  }
  if (dot.status === "rejected") throw dot.reason;
  return withTiming(convertState(shown.value.stdout, dot.value.text, note(bench)), dot.value);
}

const note = (bench: Bench) => (level: Parameters<Bench["log"]["entry"]>[0]["level"], output: string) =>
  bench.log.entry({ level, output });

/** The row tells when the graph was made, which may be before it was asked for. */
const withTiming = (facts: GraphFacts, { startMs, endMs }: Dot): Graph => ({
  ...facts,
  timings: [stageRow("graph", startMs, endMs, true)],
});
