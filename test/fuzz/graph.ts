import { toBinary } from "@bufbuild/protobuf";
import { ResourceSchema } from "../../src/gen/provisioner_pb.ts";
import { convertPlan, convertState } from "../../src/graph/convert.ts";
import { readDot } from "../../src/graph/dot.ts";
import { GraphError } from "../../src/graph/errors.ts";
import { planFacts } from "../../src/graph/plan-facts.ts";
import { printGraph } from "../../src/graph/print.ts";
import { bytes, dot, type ResourceJson, resource } from "../support/graph-documents.ts";

/** The graph's readers on damaged documents: the DOT reader, the JSON reader and every attribute decoder. A result or a GraphError. */
export const graphFuzz = {
  name: "graph",
  async run(random: () => number, count: number): Promise<void> {
    for (let n = 0; n < count; n++) {
      onlyGraphErrors(() => readDot(damage(random, graph)));
      onlyGraphErrors(() => readDot(soup(random)));
      const document = structuredClone(n % 2 ? planDocument : stateDocument);
      for (let changes = upTo(random, 4); changes >= 0; changes--) replaceSomething(random, document);
      const text = JSON.stringify(document);
      convertAll(bytes(upTo(random, 3) ? text : damage(random, text)), upTo(random, 4) ? graph : damage(random, graph));
    }
  },
};

const kinds: ResourceJson[] = [
  resource("coder_agent.main", {
    id: "agent-1",
    auth: "token",
    token: "t",
    env: { A: "1" },
    metadata: [{ key: "k", interval: 1 }],
    display_apps: [{ vscode: true }],
    resources_monitoring: [{ memory: [{ enabled: true, threshold: 1 }], volume: [{ path: "/" }] }],
    startup_script: "up",
    startup_script_behavior: "blocking",
    login_before_ready: null,
    connection_timeout: 120,
    order: 1,
  }),
  resource("coder_agent.other", { auth: "aws-instance-identity" }),
  resource("coder_agent_instance.i", { agent_id: "agent-1", instance_id: "i-1" }),
  resource("coder_app.app", {
    agent_id: "agent-1",
    slug: "app",
    share: "public",
    healthcheck: [{ url: "u", interval: 1 }],
  }),
  resource("coder_env.e", { agent_id: "agent-1", name: "E", value: "v" }),
  resource("coder_script.s", { agent_id: "sub-1", display_name: "S", timeout: 1, run_on_start: true }),
  resource("coder_devcontainer.d", { agent_id: "agent-1", subagent_id: "sub-1", workspace_folder: "/w" }),
  resource("coder_metadata.m", { daily_cost: 1, item: [{ key: "k", value: "v" }] }),
  resource("coder_ai_task.t", { app_id: "", sidebar_app: [{ id: "x" }] }),
  resource("coder_external_agent.x", {}),
  resource("aws_instance.r[0]", { id: "i-2", instance_type: "t" }),
  resource("data.coder_parameter.p", {
    name: "p",
    form_type: "radio",
    option: [{ name: "o" }],
    validation: [{ min: 1, max: 2, min_disabled: false }],
  }),
  resource("data.coder_workspace_preset.p", {
    name: "p",
    parameters: { p: "v" },
    prebuilds: [
      {
        instances: 1,
        expiration_policy: [{ ttl: 1 }],
        scheduling: [{ timezone: "UTC", schedule: [{ cron: "*", instances: 1 }] }],
      },
    ],
  }),
  resource("data.coder_external_auth.g", { id: "g", optional: true }),
  resource("data.coder_git_auth.g", { id: "g" }),
];

const root = {
  resources: kinds,
  child_modules: [{ address: "module.m", resources: [resource('module.m["k"].coder_metadata.m', {})] }],
};
const stateDocument = { format_version: "1.0", values: { root_module: root } };
const planDocument = {
  format_version: "1.2",
  prior_state: { values: { root_module: root } },
  planned_values: { root_module: root },
  resource_changes: [
    {
      address: "aws_instance.r",
      type: "aws_instance",
      change: {
        actions: ["delete", "create"],
        replace_paths: [["a", 0, "b"], ["c"]],
        before: { a: [{ b: 1 }], c: "x" },
        after: { a: [{ b: 2 }], c: null },
        before_sensitive: { c: true },
        after_sensitive: false,
        after_unknown: { a: [{ b: true }] },
      },
    },
  ],
};
const graph = dot(
  [
    "aws_instance.r -> coder_agent.main",
    "coder_external_agent.x -> local.l! -> coder_agent.other",
    "coder_metadata.m -> aws_instance.r",
    "coder_env.e -> coder_agent.other",
  ],
  ["coder_ai_task.t"],
);

function convertAll(document: Uint8Array, text: string): void {
  for (const convert of [convertPlan, convertState]) {
    onlyGraphErrors(() => {
      const facts = convert(document, text, () => undefined);
      JSON.stringify(printGraph(facts));
      for (const one of facts.resources) toBinary(ResourceSchema, one);
    });
  }
  onlyGraphErrors(() => planFacts(document));
}

function onlyGraphErrors(work: () => unknown): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof GraphError)) throw error;
  }
}

const upTo = (random: () => number, limit: number) => Math.floor(random() * limit);
const pick = <T>(random: () => number, values: readonly T[]): T => values[upTo(random, values.length)] as T;

const oddValues: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  12.9,
  1e300,
  -2147483649,
  "",
  "x",
  "agent-1",
  "coder_agent.main",
  "bad_name",
  "\ud800",
  "__proto__",
  [],
  [null],
  [[]],
  [{}],
  {},
  { __proto: 1 },
  [1, "x"],
];

/** Walks down a random way and replaces, repeats or removes what is there. */
function replaceSomething(random: () => number, document: unknown): void {
  let holder = document as Record<string, unknown>;
  for (;;) {
    const keys = Object.keys(holder);
    const key = keys.length === 0 ? "x" : pick(random, keys);
    const value = holder[key];
    if (typeof value === "object" && value !== null && upTo(random, 8) > 0) {
      holder = value as Record<string, unknown>;
      continue;
    }
    if (Array.isArray(holder) && upTo(random, 2)) holder.push(structuredClone(value));
    else if (upTo(random, 4)) holder[key] = structuredClone(pick(random, oddValues));
    else delete holder[key];
    return;
  }
}

/** Sets, cuts or repeats pieces of a text. */
function damage(random: () => number, text: string): string {
  let damaged = text;
  for (let changes = upTo(random, 4); changes >= 0; changes--) {
    const at = upTo(random, damaged.length + 1);
    const end = at + upTo(random, pick(random, [2, 2, 20, 200]));
    const middle = pick(random, ["", pick(random, tokens), damaged.slice(at, end).repeat(2)]);
    damaged = damaged.slice(0, at) + middle + damaged.slice(end);
  }
  return damaged;
}

const tokens = [
  "digraph",
  "strict",
  "subgraph",
  "node",
  "graph",
  "{",
  "}",
  "[",
  "]",
  "=",
  ";",
  ",",
  "->",
  "--",
  '"',
  "\\",
  "a",
  "-1.5",
  ".",
  "label",
  "# c\n",
  "// c\n",
  "/*",
  "*/",
  "\n",
  "\0",
  "\ud800",
  ":",
  "é",
];

function soup(random: () => number): string {
  return `digraph {${Array.from({ length: upTo(random, 30) }, () => pick(random, tokens)).join(pick(random, ["", " "]))}}`;
}
