import { toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { AgentSchema } from "../../src/gen/provisioner_pb.ts";
import { convertPlan, convertState } from "../../src/graph/convert.ts";
import { limits } from "../../src/graph/limits.ts";
import { planFacts } from "../../src/graph/plan-facts.ts";
import {
  agentOf,
  agents,
  bytes,
  dot,
  graphError,
  plan,
  planJson,
  resource,
  state,
  stateJson,
} from "../support/graph-documents.ts";

// Each takes well under a second or two; with quadratic work or with recursion it would take minutes, or not come back.
const none = () => undefined;
const empty = "digraph {}";

describe("big documents", () => {
  test("10,000 nested modules", () => {
    const depth = 10_000;
    const inner = `{"resources":[${JSON.stringify(resource("data.coder_parameter.p", { name: "deep" }))}]}`;
    const root = `{"child_modules":[`.repeat(depth) + inner + "]}".repeat(depth);
    const document = `{"format_version":"1.0","values":{"root_module":${root}}}`;
    expect(convertState(bytes(document), empty, none).parameters.map(({ name }) => name)).toEqual(["deep"]);
    const asPlan = bytes(`{"format_version":"1.2","planned_values":{"root_module":${root}}}`);
    expect(planFacts(asPlan).dailyCost).toBe(0);
  });

  test("brackets beyond the depth limit, where something is kept and where nothing is", () => {
    const deep = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
    const skipped = (depth: number) => bytes(`{"format_version":"1.0","configuration":${deep(depth)}}`);
    expect(convertState(skipped(limits.jsonDepth - 1), empty, none).resources).toEqual([]);
    expect(graphError(() => convertState(skipped(limits.jsonDepth + 1), empty, none)).category).toBe("too_big");
    expect(graphError(() => convertState(skipped(10_000_000), empty, none)).category).toBe("too_big");
    const attribute = JSON.stringify(stateJson([resource("coder_agent.main", { x: 1 })])).replace(
      '"x":1',
      `"x":${deep(500_000)}`,
    );
    expect(graphError(() => convertState(bytes(attribute), empty, none)).category).toBe("too_big");
    const modules = '{"child_modules":['.repeat(40_000);
    expect(graphError(() => convertState(bytes(`{"values":{"root_module":${modules}`), empty, none)).category).toBe(
      "too_big",
    );
  });

  const bomb = (megabytes: number) => `[{}${",{}".repeat((megabytes * 1024 * 1024) / 3)}]`;

  test("a list of empty objects is cut off where it matters and costs nothing where it does not", () => {
    const objects = bomb(100);
    for (const section of [`"resources":${objects}`, `"child_modules":${objects}`]) {
      const document = bytes(`{"format_version":"1.0","values":{"root_module":{${section}}}}`);
      expect(graphError(() => convertState(document, empty, none)).category).toBe("too_big");
    }
    const before = process.memoryUsage().heapUsed;
    const values = JSON.stringify(stateJson([resource("null_resource.a", { x: 1 })])).replace(
      '"x":1',
      `"x":${objects}`,
    );
    expect(convertState(bytes(values), empty, none).resources).toHaveLength(1);
    const configuration = bytes(`{"format_version":"1.2","configuration":${objects}}`);
    expect(convertPlan(configuration, empty, none).resources).toEqual([]);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(600 * 1024 * 1024);
  });

  test("a plan of 100 MB: converted, with little memory beyond the document", () => {
    const values = { text: "x".repeat(10_000), list: Array.from({ length: 100 }, (_, key) => ({ key, value: null })) };
    const count = 7_500;
    const resources = Array.from({ length: count }, (_, index) => resource(`null_resource.r${index}`, values));
    const document = bytes(planJson([...resources, resource("coder_metadata.m", { daily_cost: 3 })]));
    expect(document.length).toBeGreaterThan(90_000_000);
    const before = process.memoryUsage();
    expect(convertPlan(document, empty, none).resources).toHaveLength(count);
    expect(planFacts(document).dailyCost).toBe(3);
    const after = process.memoryUsage();
    expect(after.heapUsed - before.heapUsed).toBeLessThan(64 * 1024 * 1024);
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(16 * 1024 * 1024);
  });

  test("a document above the limit is refused unread", () => {
    const error = graphError(() => convertPlan(new Uint8Array(limits.documentBytes + 1), empty, none));
    expect(error.message).toMatch(/^parse plan for graph: .* at most 134217728 are read$/);
    expect(error.category).toBe("too_big");
    expect(graphError(() => state([], " ".repeat(limits.dotChars + 1))).category).toBe("too_big");
  });

  test("5,000 resources in modules 30 deep, 50,000 edges with cycles, duplicate labels", () => {
    const path = (depth: number) => Array.from({ length: depth }, (_, index) => `module.m${index}.`).join("");
    const names = Array.from({ length: 5_000 }, (_, index) => `${path(index % 31)}null_resource.r${index}`);
    const agentNames = Array.from({ length: 2_000 }, (_, index) => `coder_agent.a${index}`);
    const all = [...names, ...agentNames];
    const edges = Array.from(
      { length: 50_000 },
      (_, index) => `${all[(index * 7919) % all.length]} -> ${all[(index * 104_729 + 1) % all.length]}`,
    );
    const copies = names.map((name) => `"copy of ${name}" [label = "${name}"]\n`).join("");
    const graph = dot(edges, all).replace(/\}\n\}\n$/, `${copies}}\n}\n`);
    const facts = state(
      all.map((name) => resource(name, {})),
      graph,
    );
    expect(facts.resources).toHaveLength(5_000);
    expect(agents(facts).length).toBeGreaterThan(1_000);
  });

  test("2,500 agents that no resource depends on, each seeing 50,000 edges", () => {
    const locals = Array.from({ length: 50_000 }, (_, index) => `local.l${index + 1}! -> local.l${index}!`);
    const names = Array.from({ length: 2_500 }, (_, index) => `coder_agent.a${index}`);
    const graph = dot([...locals, ...names.map((name) => `local.l0! -> ${name}`)]);
    expect(
      state(
        names.map((name) => resource(name, {})),
        graph,
      ).resources,
    ).toEqual([]);
  });

  test("thousands of instances on one node with thousands of edges", () => {
    const edges = Array.from({ length: 20_000 }, (_, index) => `coder_app.x -> local.l${index}!`);
    const apps = Array.from({ length: 20_000 }, (_, index) => resource(`coder_app.x[${index}]`, { slug: `s${index}` }));
    const facts = plan(
      [resource("coder_agent.main", {}), resource("null_resource.a"), ...apps],
      dot(["null_resource.a -> coder_agent.main", "coder_app.x -> coder_agent.main", ...edges]),
    );
    expect(agents(facts)[0]?.apps).toHaveLength(20_000);
  });
});

describe("inputs that multiply", () => {
  test("agents × instances are bounded, by bytes", () => {
    const names = Array.from({ length: 2_000 }, (_, index) => `coder_agent.a${index}`);
    const instances = Array.from({ length: 10_000 }, (_, index) => resource(`aws_instance.r[${index}]`, { id: "" }));
    const graph = dot(names.map((name) => `aws_instance.r -> ${name}`));
    const error = graphError(() => state([...names.map((name) => resource(name, {})), ...instances], graph));
    expect(error.category).toBe("too_big");
    expect(error.message).toContain('list resource "aws_instance.r": too many instances');
  });

  test("one big script × instances is bounded, by bytes", () => {
    const instances = Array.from({ length: 100 }, (_, index) => resource(`null_resource.r[${index}]`));
    const agent = resource("coder_agent.main", { startup_script: "x".repeat(1_000_000) });
    expect(graphError(() => state([agent, ...instances], dot(["null_resource.r -> coder_agent.main"]))).category).toBe(
      "too_big",
    );
  });

  test("devcontainers × agents of one id are bounded", () => {
    const names = Array.from({ length: 1_000 }, (_, index) => `coder_agent.a${index}`);
    const containers = Array.from({ length: 1_000 }, (_, index) =>
      resource(`coder_devcontainer.d${index}`, { agent_id: "same" }),
    );
    const resources = [
      ...names.map((name) => resource(name, { id: "same" })),
      resource("null_resource.r"),
      ...containers,
    ];
    expect(graphError(() => state(resources, dot(names.map((name) => `null_resource.r -> ${name}`)))).category).toBe(
      "too_big",
    );
  });

  test("the replacement log has a bound on lines and on values, and sorts and searches each tree once", () => {
    const big = Object.fromEntries(Array.from({ length: 50_000 }, (_, index) => [`key${index}`, index]));
    const paths = Array.from({ length: 20_000 }, () => ["big"]);
    const sensitive = { big: Object.fromEntries(Object.keys(big).map((key) => [key, false])) };
    const change = {
      actions: ["delete", "create"],
      replace_paths: paths,
      before: { big },
      after: { big },
      before_sensitive: sensitive,
      after_sensitive: sensitive,
    };
    const { replacementLog } = planFacts(
      bytes({ format_version: "1.2", resource_changes: [{ address: "r", type: "t", change }] }),
    );
    expect(replacementLog).toHaveLength(limits.logLines + 1);
    expect(replacementLog.at(-1)?.output).toBe("  … and more");
    for (const { output } of replacementLog) expect(output.length).toBeLessThan(3 * limits.logValueChars);
  });

  test("values too many to build go unprinted, and the plan is still answered", () => {
    const list = Array.from({ length: limits.jsonValues + 1 }, () => 0);
    const change = { actions: ["delete", "create"], replace_paths: [["list"]], before: { list }, after: { list: [] } };
    const facts = planFacts(bytes({ format_version: "1.2", resource_changes: [{ address: "r", type: "t", change }] }));
    expect(facts.replacementLog.map(({ output }) => output)).toEqual([
      "Resource replacements:",
      "  -/+ r (replace)",
      "      ~ list (forces replacement)",
    ]);
    expect(facts.resourceReplacements).toMatchObject([{ resource: "r", paths: ["list"] }]);
  });

  test("an error or a note quotes a long name, but not all of it", () => {
    const name = "a".repeat(20_000_000);
    const bad = graphError(() => state([resource("coder_agent.x", {}, { name: `${name}-` })], empty));
    expect(bad.category).toBe("agent_name_regex");
    expect(bad.message.length).toBeLessThan(2 * limits.messageChars);
    const good = state(
      [resource("coder_agent.x", {}, { name }), resource("null_resource.a")],
      dot(["null_resource.a -> coder_agent.x"]),
    );
    expect(agents(good)[0]?.name).toHaveLength(name.length);
    const notes: Array<{ level: number; text: string }> = [];
    state([resource("x.y", {}, { address: `${name}.${name}["${name}` })], empty, notes);
    expect(notes.map(({ text }) => text.length <= limits.messageChars + 1)).toEqual([true]);
  });
});

describe("texts", () => {
  test("__proto__, constructor and the like are keys like any other", () => {
    const values = JSON.parse('{"env":{"__proto__":"p","constructor":"c","toString":"t"},"__proto__":{"os":"linux"}}');
    const agent = agentOf(values);
    expect(Object.entries(agent.env)).toEqual([
      ["__proto__", "p"],
      ["constructor", "c"],
      ["toString", "t"],
    ]);
    expect(agent.operatingSystem).toBe("");
    expect(Object.getPrototypeOf(agent.env)).toBe(Object.prototype);
    expect(Buffer.from(toBinary(AgentSchema, agent)).includes("__proto__")).toBe(true);
    for (const name of ["__proto__", "constructor", "hasOwnProperty"]) {
      const facts = state(
        [resource(`${name}.${name}`), resource(`data.coder_parameter.${name}`, { name })],
        dot([], [name]),
      );
      expect(facts.resources).toHaveLength(1);
      expect(facts.parameters).toMatchObject([{ name }]);
    }
  });

  test("of equal keys the last counts", () => {
    const json =
      '{"format_version":"1.0","format_version":"1.0","values":null,"values":{"root_module":{"resources":[{"address":"x.y","address":"coder_agent.main","type":"coder_agent","name":"main","mode":"managed","values":{"os":1,"os":"linux"}},{"address":"null_resource.a","type":"null_resource","name":"a","mode":"managed"}]}}}';
    expect(
      agents(convertState(bytes(json), dot(["null_resource.a -> coder_agent.main"]), none))[0]?.operatingSystem,
    ).toBe("linux");
  });

  test("lone surrogates and bad UTF-8 become U+FFFD, pairs stay", () => {
    const json = JSON.stringify(
      stateJson([resource("data.coder_parameter.p", { name: "p", description: "D", default: "E" })]),
    );
    const text = json.replace('"D"', '"\\ud800x\\udfff\\ud83d\\ude00"').replace('"E"', '"\xff\xfe"');
    const facts = convertState(
      Uint8Array.from(text, (unit) => unit.charCodeAt(0)),
      empty,
      none,
    );
    expect(facts.parameters[0]).toMatchObject({ description: "\ufffdx\ufffd\u{1f600}", defaultValue: "\ufffd\ufffd" });
  });

  test("numbers beyond every range are clamped", () => {
    const json = JSON.stringify(
      stateJson([resource("coder_agent.main", { order: 1, connection_timeout: 2 }), resource("null_resource.a")]),
    );
    const order = (number: string) => {
      const text = json
        .replace('"order":1', `"order":${number}`)
        .replace('"connection_timeout":2', `"connection_timeout":${number}`);
      const [agent] = agents(convertState(bytes(text), dot(["null_resource.a -> coder_agent.main"]), none));
      return [agent?.order, agent?.connectionTimeoutSeconds];
    };
    expect(order("1e999")).toEqual([2n ** 63n - 1n, 2 ** 31 - 1]);
    expect(order("-1e999")).toEqual([-(2n ** 63n), -(2 ** 31)]);
    expect(order("9223372036854775807")).toEqual([2n ** 63n - 1n, 2 ** 31 - 1]);
    expect(order("-9.3e18")).toEqual([-(2n ** 63n), -(2 ** 31)]);
    expect(order("-0")).toEqual([0n, 0]);
    expect(graphError(() => order("1".repeat(5_000_000))).category).toBe("parse_json");
  });
});
