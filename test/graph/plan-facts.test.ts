import { expect, test } from "vitest";
import { planFacts } from "../../src/graph/plan-facts.ts";
import { bytes, graphError, planJson, resource } from "../support/graph-documents.ts";

const metadata = (address: string, daily_cost: unknown) => resource(`${address}coder_metadata.m`, { daily_cost });
const facts = (...args: Parameters<typeof planJson>) => planFacts(bytes(planJson(...args)));
const changed = (...changes: unknown[]) => planFacts(bytes({ format_version: "1.2", resource_changes: changes }));
const change = (address: string, more: object = {}, type = "t", actions: unknown = ["delete", "create"]) => ({
  address,
  type,
  change: { actions, ...more },
});
const lines = (...changes: unknown[]) => changed(...changes).replacementLog.map(({ output }) => output);

test("03#82 04#110 daily cost: all planned metadata, modules included, prior ones not", () => {
  const modules = [
    {
      address: "module.a",
      resources: [metadata("module.a.", 5)],
      child_modules: [{ address: "module.a.module.b", resources: [metadata("module.a.module.b.", 10)] }],
    },
    {
      address: "module.c[0]",
      resources: [metadata("module.c[0].", null), resource("module.c[0].coder_metadata.n", {})],
    },
  ];
  expect(facts({ resources: [metadata("", 1.9)], child_modules: modules }).dailyCost).toBe(16);
  expect(facts([], [metadata("", 7)]).dailyCost).toBe(0);
  expect(facts([], [metadata("data.", 7)]).dailyCost).toBe(7);
  expect(facts([metadata("", -3), metadata("", 5)]).dailyCost).toBe(2);
  expect(facts([metadata("", 2 ** 31), metadata("", 1)]).dailyCost).toBe(2 ** 31 - 1);
  expect(facts([]).dailyCost).toBe(0);
});

test("04#110 a bad value fails the plan and names the module", () => {
  const module = { address: "module.a", resources: [metadata("module.a.", "5")] };
  const error = graphError(() => facts({ child_modules: [module] }));
  expect(error.message).toMatch(/parse plan: in module module\.a: decode metadata attributes: /);
  expect(error.category).toBe("decode_metadata");
  for (const values of [
    { resource_id: 1 },
    { hide: "x" },
    { icon: 1 },
    { item: {} },
    { item: [{ key: 1 }] },
    { item: [{ is_null: "x" }] },
  ]) {
    expect(graphError(() => facts([resource("coder_metadata.m", values)])).category).toBe("decode_metadata");
  }
  expect(graphError(() => planFacts(bytes("{}"))).message).toMatch(
    /^show terraform plan file: decode terraform json: /,
  );
});

test("03#83 04#111 the number of planned AI tasks, child modules included", () => {
  const task = (module: string, index: number) => resource(`${module}coder_ai_task.t[${index}]`, {});
  const child = { address: "module.m", resources: [task("module.m.", 0)] };
  expect(facts({ resources: [task("", 0), task("", 1)], child_modules: [child] }, [task("", 2)]).aiTaskCount).toBe(3);
  expect(facts([]).aiTaskCount).toBe(0);
});

test("03#84 04#112 what is reported: paths of resources that are not coder_, whatever the actions", () => {
  const paths = {
    replace_paths: [
      ["a", "b", 0],
      ["c", 1000000],
    ],
  };
  const { resourceReplacements } = changed(
    change("z", paths),
    change("a", paths, "t", ["update"]),
    change("no-op", paths, "t", ["no-op"]),
    change("no-actions", paths, "t", null),
    change("without", { replace_paths: [] }),
    change("coder", paths, "coder_agent"),
    change("z", { replace_paths: ["bare", 7, [true, null]] }),
    { address: "no-change", type: "t" },
    null,
  );
  expect(resourceReplacements.map(({ resource, paths }) => [resource, paths])).toEqual([
    ["a", ["a.b.0", "c.1000000"]],
    ["no-actions", ["a.b.0", "c.1000000"]],
    ["z", ["a.b.0", "c.1000000", "bare", "7", "true.null"]],
  ]);
});

test("a replacement is exactly a delete and a create, in either order", () => {
  const replaces = (actions: unknown, type = "t") => changed(change("x", {}, type, actions)).replaces;
  expect(replaces(["delete", "create"])).toBe(true);
  expect(replaces(["create", "delete"])).toBe(true);
  for (const actions of [
    ["create"],
    ["delete"],
    ["delete", "create", "create"],
    ["delete", "delete"],
    ["no-op"],
    [],
    null,
  ])
    expect(replaces(actions)).toBe(false);
  expect(replaces(["delete", "create"], "coder_app")).toBe(false);
  expect(lines(change("x", {}, "t", ["update"]))).toEqual([]);
});

test("03#85 04#113 the log: sorted by address, then path; all lines are warnings", () => {
  const { replacementLog } = changed(
    change("b", { replace_paths: [["z"], ["a", 0]], before: { z: 1, a: [true] }, after: { z: null, a: [] } }),
    change("a"),
  );
  expect(replacementLog.map(({ output }) => output)).toEqual([
    "Resource replacements:",
    "  -/+ a (replace)",
    "      ~ replacement reason unavailable",
    "  -/+ b (replace)",
    "      ~ a.0: true -> (unavailable) (forces replacement)",
    "      ~ z: 1 -> null (forces replacement)",
  ]);
  expect(new Set(replacementLog.map(({ level }) => level))).toEqual(new Set([3]));
});

test("04#113 values as compact JSON with sorted keys and the escapes of JSON in HTML", () => {
  const before = { x: { b: [1, 1.5, 1e-7, 1e21, -0], a: '<&>\u2028"', "\u{1f600}": 1, "\uff5e": 2 } };
  const [, , line] = lines(change("r", { replace_paths: [["x"]], before, after: { x: [] } }));
  expect(line).toBe(
    '      ~ x: {"a":"\\u003c\\u0026\\u003e\\u2028\\"","b":[1,1.5,1e-7,1e+21,0],"\uff5e":2,"\u{1f600}":1} -> [] (forces replacement)',
  );
});

const side = (more: object, path: unknown[] = ["x", "y"]) => {
  const [, , line] = lines(
    change("r", { replace_paths: [path], before: { x: { y: "B" } }, after: { x: { y: "A" } }, ...more }),
  );
  return line?.replace(/^ {6}~ [^:]*: /, "").replace(" (forces replacement)", "");
};

test("04#113 sensitive: the path, an ancestor, or any descendant; it comes before unknown", () => {
  for (const mark of [
    true,
    { x: true },
    { x: { y: true } },
    { x: { y: { deep: [false, { deeper: true }] } } },
    { x: { y: [true] } },
  ]) {
    expect(side({ before_sensitive: mark }), JSON.stringify(mark)).toBe('(sensitive value) -> "A"');
    expect(side({ after_sensitive: mark, after_unknown: mark })).toBe('"B" -> (sensitive value)');
    expect(side({ after_unknown: mark })).toBe('"B" -> (known after apply)');
  }
  for (const mark of [
    false,
    { x: false },
    { x: { y: false } },
    { x: { z: true } },
    { z: true },
    {},
    null,
    { x: { y: [] } },
  ]) {
    expect(side({ before_sensitive: mark, after_sensitive: mark, after_unknown: mark }), JSON.stringify(mark)).toBe(
      '"B" -> "A"',
    );
  }
  // A mask on a side without a value is still a side.
  expect(side({ before: null, before_sensitive: true })).toBe('(sensitive value) -> "A"');
});

test("04#113 nothing is found by a path that does not fit, nor on an object's prototype", () => {
  for (const path of [
    ["x", 0],
    ["x", "y", "length"],
    ["__proto__"],
    ["constructor"],
    ["x", "y", 0],
    [0],
    [0.5],
    [null],
  ]) {
    const [, , line] = lines(
      change("r", { replace_paths: [path], before: { x: { y: "B" } }, after: { x: { y: "A" } } }),
    );
    expect(line).toMatch(/^ {6}~ [^ :]+ \(forces replacement\)$/);
  }
  expect(side({ before: null, after: ["A"] }, [0])).toBe('(unavailable) -> "A"');
});
