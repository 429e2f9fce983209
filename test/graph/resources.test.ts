import { expect, test } from "vitest";
import { dot, graphError, placed, plan, resource, state } from "../support/graph-documents.ts";

const metadata = (name: string, values: object = {}) => resource(`coder_metadata.${name}`, values);
const a = resource("null_resource.a");
const b = resource("null_resource.b");
const icons = (facts: ReturnType<typeof state>) =>
  Object.fromEntries(facts.resources.map((one) => [one.name, one.icon]));

test("04#78 metadata: hide, icon, cost and items in order", () => {
  const items = [
    { key: "z", value: "1", sensitive: true },
    { key: "a", value: null, is_null: true },
  ];
  const facts = state(
    [metadata("m", { hide: true, icon: "i", daily_cost: 29, item: items, resource_id: "x" }), a],
    dot(["coder_metadata.m -> null_resource.a"]),
  );
  expect(facts.resources).toMatchObject([
    {
      name: "a",
      hide: true,
      icon: "i",
      dailyCost: 29,
      metadata: [
        { key: "z", value: "1", sensitive: true, isNull: false },
        { key: "a", value: "", sensitive: false, isNull: true },
      ],
    },
  ]);
});

test("04#79 two direct dependencies: the smaller label, whatever resource_id says", () => {
  const graph = dot(["coder_metadata.m -> null_resource.b", "coder_metadata.m -> null_resource.a"]);
  const withIds = [resource("null_resource.a", { id: "id-a" }), resource("null_resource.b", { id: "id-b" })];
  expect(icons(state([metadata("m", { icon: "i", resource_id: "id-b" }), ...withIds], graph))).toEqual({
    a: "i",
    b: "",
  });
});

test("04#80 through a local", () => {
  expect(
    icons(state([metadata("m", { icon: "i" }), a], dot(["coder_metadata.m -> local.x! -> null_resource.a"]))),
  ).toEqual({ a: "i" });
});

test("04#81 two metadata on one resource", () => {
  const graph = dot(["coder_metadata.m -> null_resource.a", "coder_metadata.n -> null_resource.a"]);
  const error = graphError(() => state([metadata("m"), metadata("n"), a], graph));
  expect(error.message).toBe("convert state for graph: duplicate metadata resource: null_resource.a");
  expect(error.category).toBe("duplicate_metadata");
});

test("04#82 one metadata with count 2", () => {
  const error = graphError(() =>
    state([metadata("m[0]"), metadata("m[1]"), a], dot(["coder_metadata.m -> null_resource.a"])),
  );
  expect(error.message).toContain("duplicate metadata resource: null_resource.a");
});

test("04#83 metadata on a counted resource is on every instance", () => {
  const facts = state(
    [metadata("m", { icon: "i" }), resource("null_resource.a[0]"), resource("null_resource.a[1]")],
    dot(["coder_metadata.m -> null_resource.a"]),
  );
  expect(facts.resources.map(({ icon }) => icon)).toEqual(["i", "i"]);
});

test("04#84 metadata on an agent only, or without a node, is ignored; on an external agent it counts", () => {
  const graph = dot(["coder_metadata.m -> coder_agent.main", "null_resource.a -> coder_agent.main"]);
  expect(
    icons(
      state(
        [metadata("m", { icon: "i" }), metadata("no_node", { icon: "j" }), resource("coder_agent.main", {}), a],
        graph,
      ),
    ),
  ).toEqual({ a: "" });
  const external = state(
    [metadata("m", { icon: "i" }), resource("coder_external_agent.x")],
    dot(["coder_metadata.m -> coder_external_agent.x"]),
  );
  expect(icons(external)).toEqual({ x: "i" });
  expect(graphError(() => state([metadata("no_node", { icon: 1 })], "digraph {}")).category).toBe("decode_metadata");
});

test("04#85 a null value: is_null is what the document says", () => {
  const graph = dot(["coder_metadata.m -> null_resource.a"]);
  const item = (values: object) => [metadata("m", { item: [{ key: "k", value: null, ...values }] }), a];
  expect(plan(item({}), graph).resources[0]?.metadata[0]?.isNull).toBe(false);
  expect(state(item({ is_null: true }), graph).resources[0]?.metadata[0]?.isNull).toBe(true);
});

test("04#86 which resources are listed", () => {
  const listed = [
    "coder_env",
    "coder_devcontainer",
    "coder_ai_task",
    "coder_external_agent",
    "null_resource",
    "coder_future",
  ];
  const parts = ["coder_agent", "coder_agent_instance", "coder_app", "coder_script", "coder_metadata"];
  const resources = [...listed, ...parts].map((type) => resource(`${type}.x`, {}));
  const facts = state(
    [...resources, resource("data.null_data_source.d"), resource("data.coder_env.d", {})],
    dot([], ["coder_agent.x"]),
  );
  expect(facts.resources.map(({ type }) => type)).toEqual([...listed].sort());
});

test("04#87 order by the bytes of the address", () => {
  const addresses = [
    "null_resource.b",
    "null_resource.a[2]",
    "null_resource.a[1]",
    "null_resource.a[10]",
    "module.m.z.z",
    "kubernetes_pod.p",
    "coder_env.e",
    'x.y["\u{1f600}"]',
    'x.y["\uff5e"]',
  ];
  const facts = state({ resources: addresses.map((one) => resource(one, {}, { type: "t", name: one })) }, "digraph {}");
  expect(facts.resources.map(({ name }) => name)).toEqual([
    "coder_env.e",
    "kubernetes_pod.p",
    "module.m.z.z",
    "null_resource.a[10]",
    "null_resource.a[1]",
    "null_resource.a[2]",
    "null_resource.b",
    'x.y["\uff5e"]',
    'x.y["\u{1f600}"]',
  ]);
  expect(facts.resources.map(({ name }) => name)).toEqual(
    [...addresses].sort((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y))),
  );
});

test("metadata in a plain module works; nearer beats smaller", () => {
  const graph = dot(["module.m.coder_metadata.m -> module.m.null_resource.z -> module.m.null_resource.a"]);
  const module = {
    resources: ["coder_metadata.m", "null_resource.a", "null_resource.z"].map((one) =>
      resource(`module.m.${one}`, { icon: "i" }),
    ),
  };
  const facts = state({ child_modules: [module] }, graph);
  expect(icons(facts)).toEqual({ a: "", z: "i" });
  expect(placed(facts)).toEqual({ "module.m.null_resource.a": [], "module.m.null_resource.z": [] });
  expect(
    icons(state([metadata("m", { icon: "i" }), a, b], dot(["coder_metadata.m -> null_resource.b -> null_resource.a"]))),
  ).toEqual({ a: "", b: "i" });
});
