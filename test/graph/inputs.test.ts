import { expect, test } from "vitest";
import { Graph_Source } from "../../src/gen/session_pb.ts";
import { modulePath } from "../../src/graph/address.ts";
import { convertPlan, convertSource, convertState } from "../../src/graph/convert.ts";
import {
  agents,
  bytes,
  dot,
  graphError,
  placed,
  plan,
  planJson,
  printed,
  resource,
  state,
} from "../support/graph-documents.ts";

const none = () => undefined;
const empty = "digraph {}";
const twoNodes = dot(["null_resource.a -> coder_agent.main"]);
const main = resource("coder_agent.main", {});

test("04#1 plan JSON without format_version", () => {
  const error = graphError(() => convertPlan(bytes({ planned_values: { root_module: {} } }), empty, none));
  expect(error.message).toMatch(/^parse plan for graph: .*format_version is missing/);
  expect(graphError(() => convertState(bytes({}), empty, none)).message).toMatch(/^load tfstate for graph: /);
});

test("04#2 plan JSON with format_version 2.0, and its neighbours", () => {
  const run = (version: unknown) => convertPlan(bytes({ format_version: version }), empty, none);
  for (const bad of ["2.0", "2", "10.1", "0.0", "0.0.9", "", "1.x", "1.0-beta", "one", "-1.0", 1, true, null, " 1.0"]) {
    expect(graphError(() => run(bad)).category, String(bad)).toBe("parse_json");
  }
  for (const good of ["0.1", "0.2", "1", "1.0", "1.2", "1.99", "1.2.3"]) expect(run(good).resources).toEqual([]);
});

test("04#3 a state without values is empty, not broken", () => {
  const facts = convertState(bytes('{"format_version":"1.0"}'), empty, none);
  expect(facts).toEqual({
    resources: [],
    parameters: [],
    presets: [],
    aiTasks: [],
    externalAuthProviders: [],
    hasAiTasks: false,
    hasExternalAgents: false,
  });
});

test("04#4 a plan without prior_state: only planned values", () => {
  expect(placed(plan([main, resource("null_resource.a")], twoNodes))).toEqual({ "null_resource.a": ["main"] });
});

test("04#4 missing or null sections are empty: prior_state, values, planned_values, root_module", () => {
  for (const document of [
    { prior_state: null, planned_values: null, resource_changes: null },
    { prior_state: { values: null }, planned_values: { root_module: null } },
    { prior_state: {}, planned_values: { root_module: { resources: null, child_modules: [null, {}] } } },
    {},
  ]) {
    expect(convertPlan(bytes({ format_version: "1.2", ...document }), empty, none).resources).toEqual([]);
  }
});

test("04#5 a managed resource of the prior state that is not planned is not in the result", () => {
  const prior = {
    resources: [main, resource("null_resource.a")],
    child_modules: [{ resources: [resource("module.m.null_resource.b")] }],
  };
  expect(plan([], twoNodes, prior).resources).toEqual([]);
});

test("04#6 parameters of the prior state come before the planned ones", () => {
  const facts = plan([resource("data.coder_parameter.a", { name: "planned" })], empty, [
    resource("data.coder_parameter.b", { name: "prior" }),
  ]);
  expect(facts.parameters.map(({ name }) => name)).toEqual(["prior", "planned"]);
});

test("04#7 of one address in both sections the planned object counts", () => {
  const auth = (id: string) => resource("data.coder_external_auth.a", { id });
  const facts = plan([auth("planned")], empty, [auth("prior")]);
  expect(facts.externalAuthProviders.map(({ id }) => id)).toEqual(["planned"]);
  // In a state too the last listed stays: a deposed object and the current one have one address.
  const deposed = state(
    [resource("aws_instance.a", { instance_type: "old" }), resource("aws_instance.a", { instance_type: "new" })],
    empty,
  );
  expect(deposed.resources.map(({ instanceType }) => instanceType)).toEqual(["new"]);
});

test("04#8 a graph request with an unknown source names it", () => {
  const unknown = graphError(() => convertSource(Graph_Source.UNKNOWN, bytes({}), empty, none));
  expect(unknown.message).toBe('unknown graph source: "UNKNOWN"');
  expect(graphError(() => convertSource(7 as Graph_Source, bytes({}), empty, none)).message).toContain("7");
  const plan = bytes(planJson([resource("null_resource.a")]));
  expect(convertSource(Graph_Source.PLAN, plan, empty, none).resources).toHaveLength(1);
  expect(convertSource(Graph_Source.STATE, bytes('{"format_version":"1.0"}'), empty, none).resources).toEqual([]);
});

test("04#9 empty DOT", () => {
  expect(graphError(() => state([], "")).message).toMatch(/^convert state for graph: parse graph: /);
  expect(graphError(() => state([], "")).category).toBe("parse_graph");
});

test("04#10 DOT that is Terraform's error text", () => {
  const text = '\u001b[31m╷\u001b[0m\n│ Error: Inconsistent dependency lock file\n│ \n│ run "terraform init"\n╵\n';
  expect(graphError(() => state([], text)).message).toContain("parse graph: ");
  expect(graphError(() => state([], "Error: No configuration files\n")).message).toContain("parse graph: ");
});

test("04#11 DOT with comments, semicolons, a name and a chain of edges", () => {
  const graph = `
# a line of its own
strict Digraph "the graph" {
  // names
  "x" [label = "coder_agent.main"]; /* two
  lines */ "z" [label="null_resource.a", shape=box];
  node [shape = "box"]; edge []; graph [rankdir = LR]; rankdir = LR;
  "z" -> y -> "x" [color = "red"];
}
`;
  expect(placed(state([main, resource("null_resource.a")], graph))).toEqual({ "null_resource.a": ["main"] });
});

test("04#12 a node known only from an edge is walked through", () => {
  const graph = dot(["null_resource.a -> local.l! -> coder_agent.main"]);
  expect(graph).not.toContain('label = "local.l');
  expect(placed(state([main, resource("null_resource.a")], graph))).toEqual({ "null_resource.a": ["main"] });
});

test("04#13 instances by number and by key have one label", () => {
  const graph = dot(["null_resource.a -> coder_agent.main"]);
  const facts = state([main, resource("null_resource.a[0]"), resource('null_resource.a["k"]')], graph);
  expect(facts.resources.map((one) => one.agents.length)).toEqual([1, 1]);
});

test("04#14 a key that holds a bracket and a dot: the label ends at the first bracket", () => {
  const key = resource('null_resource.a["k.x[1]"]', {}, { type: "null_resource", name: "a" });
  const facts = state([main, key], twoNodes);
  expect(agents(facts).map(({ name }) => name)).toEqual(["main"]);
  expect(facts.resources[0]?.modulePath).toBe("");
});

test("04#15 an agent in a module without count attaches to its dependants", () => {
  const graph = dot(["module.m.null_resource.a -> module.m.coder_agent.main"]);
  const inModule = {
    child_modules: [
      {
        address: "module.m",
        resources: [resource("module.m.coder_agent.main", {}), resource("module.m.null_resource.a")],
      },
    ],
  };
  expect(placed(state(inModule, graph))).toEqual({ "module.m.null_resource.a": ["main"] });
});

test("04#16 an agent in a module with count fails the conversion", () => {
  const graph = dot(["module.m.null_resource.a -> module.m.coder_agent.main"]);
  const counted = {
    child_modules: [{ address: "module.m[0]", resources: [resource("module.m[0].coder_agent.main", {})] }],
  };
  const error = graphError(() => state(counted, graph));
  expect(error.message).toBe(`convert state for graph: couldn't find node on graph: "module.m"`);
  expect(error.category).toBe("agent_not_in_graph");
});

test("04#17 a resource in a module with count takes no agent, and is listed", () => {
  const graph = dot(["module.m.null_resource.a -> coder_agent.main"]);
  const facts = state(
    {
      resources: [main],
      child_modules: [{ address: "module.m[0]", resources: [resource("module.m[0].null_resource.a")] }],
    },
    graph,
  );
  expect(placed(facts)).toEqual({ "module.m[0].null_resource.a": [] });
});

test("04#18 module_path keeps the indexes of nested modules", () => {
  const facts = state(
    [resource('module.q["k.1"].module.r[3].null_resource.a[2]', {}, { type: "null_resource", name: "a" })],
    empty,
  );
  expect(facts.resources[0]?.modulePath).toBe('module.q["k.1"].module.r[3]');
  for (const [address, path] of [
    ["null_resource.a", ""],
    ["module.m.null_resource.a[-1]", "module.m"],
    ['module.m["a\\"]b\\\\"].t.n["[x"]', 'module.m["a\\"]b\\\\"]'],
    ["module.m[007].t.n", "module.m[7]"],
    ["module.-a_.t.n-1", "module.-a_"],
  ] as const) {
    expect(modulePath(address)).toBe(path);
  }
});

test("04#19 an address that does not parse gives a value, a note and no error", () => {
  const notes: Array<{ level: number; text: string }> = [];
  const facts = state([resource("invalid", {}, { type: "invalid", name: "invalid" })], empty, notes);
  expect(facts.resources[0]).toMatchObject({
    name: "invalid",
    type: "invalid",
    modulePath: "invalid terraform address",
  });
  expect(notes).toEqual([{ level: 4, text: expect.stringContaining("invalid terraform address") }]);
  for (const address of [
    "",
    "a",
    "a.",
    ".b",
    "a.b.c",
    "a.b[",
    "a.b[]",
    "a.b[x]",
    'a.b["]',
    "a.b[1]c",
    "module.m",
    "ä.b",
    "1a.b",
    "a.b[1][2]",
    "module.m[1.t.n",
    'a.b["\\x"]',
    "a b.c",
  ]) {
    const expected = address === "module.m" ? "" : "invalid terraform address";
    expect(modulePath(address), address).toBe(expected);
  }
});

test("the printed form leaves zeros out and keeps what is set", () => {
  expect(printed(state([main, resource("null_resource.a")], twoNodes))).toEqual({
    resources: [
      {
        name: "a",
        type: "null_resource",
        agents: [
          {
            name: "main",
            display_apps: { vscode: true, web_terminal: true, ssh_helper: true, port_forwarding_helper: true },
            resources_monitoring: {},
            auth_kind: "instance_id",
          },
        ],
      },
    ],
    parameters: [],
    external_auth_providers: [],
    presets: [],
    ai_tasks: [],
    has_ai_tasks: false,
    has_external_agents: false,
  });
});
