import { Graph_Source, type GraphDone } from "../gen/session_pb.ts";
import { findAgents } from "./agents.ts";
import { listAiTasks } from "./ai-tasks.ts";
import { attachApps } from "./apps.ts";
import { attachDevcontainers, homesOf } from "./devcontainers.ts";
import { type Resource, readPlan, readState } from "./documents.ts";
import { type DotGraph, readDot } from "./dot.ts";
import { attachEnvs } from "./envs.ts";
import { GraphError, within } from "./errors.ts";
import { listExternalAuth } from "./external-auth.ts";
import { assignInstanceIds } from "./instance-ids.ts";
import { findMetadata } from "./metadata.ts";
import { listParameters } from "./parameters.ts";
import { listPresets } from "./presets.ts";
import { listResources } from "./resources.ts";
import { attachScripts } from "./scripts.ts";
import { boundedNote, type Note, ResourceTable, type Template } from "./table.ts";

/** All that a graph request finds out, but for its timings: plain lists of messages (spec/04 §5.7). */
export type GraphFacts = Omit<GraphDone, "$typeName" | "$unknown" | "timings">;

/**
 * Converts a plan (`terraform show -json PLANFILE`) and the text of `terraform graph -type=plan`. `note` hears what is worth
 * telling and fails nothing.
 * @throws GraphError its message begins with the step that failed: `parse plan for graph: `, `convert state for graph: `
 */
export function convertPlan(plan: Uint8Array, dot: string, note: Note): GraphFacts {
  const { resources } = within("parse plan for graph: ", () => readPlan(plan));
  return convert(resources, dot, note);
}

/**
 * Converts a state (`terraform show -json`) and the text of `terraform graph -type=plan`.
 * @throws GraphError its message begins with the step that failed: `load tfstate for graph: `, `convert state for graph: `
 */
export function convertState(state: Uint8Array, dot: string, note: Note): GraphFacts {
  const resources = within("load tfstate for graph: ", () => readState(state));
  return convert(resources, dot, note);
}

/** Converts what a graph request names as its source. @throws GraphError as the two above; `unknown_source` for any other */
export function convertSource(source: Graph_Source, document: Uint8Array, dot: string, note: Note): GraphFacts {
  if (source === Graph_Source.PLAN) return convertPlan(document, dot, note);
  if (source === Graph_Source.STATE) return convertState(document, dot, note);
  throw new GraphError("unknown_source", `unknown graph source: "${Graph_Source[source] ?? source}"`);
}

/** The order of work is the order in which errors are found (spec/04 §3). */
function convert(resources: readonly Resource[], dot: string, note: Note): GraphFacts {
  return within("convert state for graph: ", () => {
    const template: Template = {
      table: new ResourceTable(resources),
      graph: readDot(dot),
      note: boundedNote(note),
    };
    const agents = findAgents(template);
    attachDevcontainers(template, agents.all);
    assignInstanceIds(template, agents.all);
    const homes = homesOf(template, agents.all);
    attachApps(template, homes);
    attachEnvs(template, homes);
    attachScripts(template, homes);
    const metadata = findMetadata(template);
    const listed = listResources(template, agents.byLabel, metadata);
    const parameters = listParameters(template);
    const presets = listPresets(template, new Set(parameters.map(({ name }) => name)));
    const aiTasks = listAiTasks(template);
    return {
      resources: listed,
      parameters,
      presets,
      aiTasks,
      hasAiTasks: aiTasks.length > 0,
      externalAuthProviders: listExternalAuth(template),
      hasExternalAgents: hasExternalAgents(template.graph),
    };
  });
}

/** Told by the graph, so that a block without instances counts too (spec/04 §5.6). */
function hasExternalAgents(graph: DotGraph): boolean {
  for (const label of graph.labels()) {
    if (label.startsWith("coder_external_agent.") || label.includes(".coder_external_agent.")) return true;
  }
  return false;
}
