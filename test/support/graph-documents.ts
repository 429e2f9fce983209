import type { Agent, LogLevel, Resource } from "../../src/gen/provisioner_pb.ts";
import { convertPlan, convertState, type GraphFacts } from "../../src/graph/convert.ts";
import { GraphError } from "../../src/graph/errors.ts";
import { printGraph } from "../../src/graph/print.ts";

/** Plans, states and graphs as Terraform prints them, written down as little as a test needs. */
export interface ResourceJson {
  address: string;
  mode: string;
  type: string;
  name: string;
  values?: unknown;
}

export interface ModuleJson {
  address?: string;
  resources?: ResourceJson[];
  child_modules?: ModuleJson[];
}

/** A resource whose type, name and mode are read off its address; `extra` overwrites. */
export function resource(address: string, values?: unknown, extra: Partial<ResourceJson> = {}): ResourceJson {
  const local = address.replace(/^(module\.[^.[]+(\[[^\]]*\])?\.)*/, "");
  const mode = local.startsWith("data.") ? "data" : "managed";
  const [type = "", name = ""] = local.replace(/^data\./, "").split(".");
  return { address, mode, type, name: name.replace(/\[.*$/, ""), ...(values !== undefined && { values }), ...extra };
}

export function bytes(document: unknown): Uint8Array {
  return new TextEncoder().encode(typeof document === "string" ? document : JSON.stringify(document));
}

export function planJson(planned: ModuleJson | ResourceJson[], prior?: ModuleJson | ResourceJson[]): unknown {
  return {
    format_version: "1.2",
    planned_values: { root_module: moduleOf(planned) },
    ...(prior && { prior_state: { format_version: "1.0", values: { root_module: moduleOf(prior) } } }),
  };
}

export function stateJson(root: ModuleJson | ResourceJson[]): unknown {
  return { format_version: "1.0", values: { root_module: moduleOf(root) } };
}

function moduleOf(module: ModuleJson | ResourceJson[]): ModuleJson {
  return Array.isArray(module) ? { resources: module } : module;
}

/** Names of nodes as in Terraform: a resource gets a label, what ends in `!` (locals, brackets of modules) gets none. */
export function dot(edges: string[], alone: string[] = []): string {
  const pairs = edges.flatMap((chain) => {
    const nodes = chain.split(" -> ");
    return nodes.slice(1).map((to, index) => [nodes[index] as string, to] as const);
  });
  const names = [...new Set([...pairs.flat(), ...alone])].sort();
  const quoted = (name: string) => JSON.stringify(`[root] ${name.replace(/!$/, "")} (expand)`);
  const lines = [
    ...names
      .filter((name) => !name.endsWith("!"))
      .map((n) => `\t\t${quoted(n)} [label = ${JSON.stringify(n)}, shape = "box"]`),
    ...pairs.map(([from, to]) => `\t\t${quoted(from)} -> ${quoted(to)}`),
  ];
  return `digraph {\n\tcompound = "true"\n\tnewrank = "true"\n\tsubgraph "root" {\n${lines.join("\n")}\n\t}\n}\n`;
}

export interface Notes {
  level: LogLevel;
  text: string;
}

export function plan(
  planned: ModuleJson | ResourceJson[],
  graph: string,
  prior?: ModuleJson | ResourceJson[],
): GraphFacts {
  return convertPlan(bytes(planJson(planned, prior)), graph, () => undefined);
}

export function state(root: ModuleJson | ResourceJson[], graph: string, notes: Notes[] = []): GraphFacts {
  return convertState(bytes(stateJson(root)), graph, (level, text) => notes.push({ level, text }));
}

/** The error that `work` ends with; anything but a GraphError, also success, fails the test. */
export function graphError(work: () => unknown): GraphError {
  try {
    work();
  } catch (error) {
    if (error instanceof GraphError) return error;
    throw error;
  }
  throw new Error("expected a GraphError, but the work succeeded");
}

/** One agent `main` on `null_resource.a`, in a state, with these attributes; or the agents of that resource. */
export function agentOf(values: Record<string, unknown>, more: ResourceJson[] = [], edges: string[] = []): Agent {
  const resources = [resource("coder_agent.main", { id: "agent-1", ...values }), resource("null_resource.a"), ...more];
  const [agent] = agents(state(resources, dot(["null_resource.a -> coder_agent.main", ...edges])));
  if (!agent) throw new Error("expected an agent");
  return agent;
}

export function agents(facts: GraphFacts): Agent[] {
  return facts.resources.flatMap((one: Resource) => one.agents);
}

/** `type.name` of each resource with the names of its agents. */
export function placed(facts: GraphFacts): Record<string, string[]> {
  return Object.fromEntries(
    facts.resources.map((one) => [
      `${one.modulePath && `${one.modulePath}.`}${one.type}.${one.name}`,
      one.agents.map((a) => a.name),
    ]),
  );
}

export function printed(facts: GraphFacts): Record<string, unknown> {
  return printGraph(facts) as Record<string, unknown>;
}
