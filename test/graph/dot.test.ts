import fc from "fast-check";
import { expect, test } from "vitest";
import { type DotGraph, readDot } from "../../src/graph/dot.ts";
import { limits } from "../../src/graph/limits.ts";
import { nearestCandidates } from "../../src/graph/nearest.ts";
import { agents, dot, graphError, plan, printed, resource, state } from "../support/graph-documents.ts";

/** Edges by name. A name that the text uses is found again under it. */
function edges(graph: DotGraph, names: string[]): string[] {
  const name = (node: number) => names.find((one) => graph.node(one) === node) ?? "?";
  return graph.dependencies.flatMap((to, from) => to.map((node) => `${name(from)}>${name(node)}`)).sort();
}

test("04#11 statements of every kind", () => {
  const names = ["a", "b", "c", "-1.5", "x y"];
  for (const text of [
    "digraph{a->b b->c}",
    "graph { a -- b; b -- c }",
    "STRICT DIGRAPH name { a -> b -> c }",
    'strict graph "a name" { subgraph x { a -> b } subgraph { b } { b -> c; } ; }',
    "digraph 7 { rankdir = LR; node [x = y] edge [x] graph [a = b, c = d; e] [f = g] a -> b -> c [label = no] }",
    "// first\ndigraph { # not here\n".replace("# not here", "") +
      "# a line\na -> b /* x -> y */ b -> c // c -> a\n}\n# end",
  ]) {
    expect(edges(readDot(text), names), text).toEqual(["a>b", "b>c"]);
  }
  const graph = readDot(
    'digraph { "x y" -> -1.5; Node [label = q]; "node" [label = w] a [label = one, label = two] a [shape = box] b [label = x] b [label = "y"] .5 c7 é }',
  );
  expect(edges(graph, names)).toEqual(["x y>-1.5"]);
  const label = (name: string) => graph.label(graph.node(name) ?? -1);
  expect([label("node"), label("Node"), label("a"), label("b")]).toEqual(["w", undefined, "two", "y"]);
  for (const name of [".5", "c7", "é"]) expect(graph.node(name)).toBeDefined();
});

test("04#11 a backslash takes the next character with it; quotes do not belong to the name", () => {
  const graph = readDot(String.raw`digraph { "a\"b\\" [label = "x\"]" ] abc -> "abc" }`);
  expect(graph.label(graph.node(String.raw`a\"b\\`) ?? -1)).toBe(String.raw`x\"]`);
  expect(edges(graph, ["abc"])).toEqual(["abc>abc"]);
});

test("04#9 04#10 what is no DOT", () => {
  for (const text of [
    "",
    " \n",
    "digraph",
    "digraph {",
    "digraph }",
    "digraph a b {}",
    "{}",
    "digraph {}}",
    "digraph {} x",
    "digraph {{}",
    "strict {}",
    "digraph { a -> }",
    "digraph { -> a }",
    "digraph { a = }",
    "digraph { a [ }",
    "digraph { a [b = ] }",
    "digraph { [a = b] }",
    'digraph { "a }',
    'digraph { "a\\" }',
    "digraph { a - b }",
    "digraph { ( }",
    "digraph { /* }",
    "digraph { a # b\n}",
    "digraph { node }",
    "digraph { subgraph }",
    "digraph { . }",
    "digraph { - }",
    "digraph { a -> { b } }",
    "digraph { a:n -> b }",
    '"digraph" {}',
    "digraphs {}",
    "digraph { a @ b }",
  ]) {
    const error = graphError(() => readDot(text));
    expect(error.category, text).toBe("parse_graph");
    expect(error.message).toMatch(/^parse graph: line \d+, at /);
  }
  expect(readDot("digraph {}").size).toBe(0);
});

test("nested braces, statements and edges have their bounds, and nothing recurses", () => {
  const nested = (depth: number) => `digraph ${"{".repeat(depth)}a -> b${"}".repeat(depth)}`;
  expect(edges(readDot(nested(60_000)), ["a", "b"])).toEqual(["a>b"]);
  expect(graphError(() => readDot(nested(100_000))).category).toBe("too_big");
  expect(graphError(() => readDot(`digraph {${"subgraph {".repeat(1_000_000)}`)).category).toBe("too_big");
  const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);
  expect(graphError(() => readDot(`digraph {${numbers(limits.dotNodes + 1).join(" ")}}`)).category).toBe("too_big");
  expect(graphError(() => readDot(`digraph { a${" -> a".repeat(limits.dotEdges + 1)} }`)).category).toBe("too_big");
  expect(readDot(`digraph { ${"a [x=y][z=w];;".repeat(100_000)} }`).size).toBe(1);
  expect(graphError(() => readDot(`digraph { ${"\n".repeat(1_000_000)} ?`)).message).toContain("line 1000001");
});

const nodeName = fc.oneof(
  fc.constantFrom("strict", "node", "Edge", "a", "a->b", "[root] x (expand)", '"', "\\", "#", "//", "é", "", "{", "-1"),
  fc.string({ unit: "binary", maxLength: 8 }),
);

test("property: what is printed as DOT is read again", () => {
  const quoted = (name: string) => `"${name.replace(/[\\"]/g, "\\$&")}"`;
  const raw = (name: string) => name.replace(/[\\"]/g, "\\$&");
  const blank = fc.constantFrom(" ", "\n", "\t", "/* x */", "// c\n", "\n# c\n", ";\n");
  const model = fc.record({
    labels: fc.array(fc.tuple(nodeName, nodeName), { maxLength: 6 }),
    chains: fc.array(fc.array(nodeName, { minLength: 2, maxLength: 4 }), { maxLength: 6 }),
    wraps: fc.nat({ max: 3 }),
    blanks: fc.array(blank, { minLength: 1, maxLength: 5 }),
  });
  fc.assert(
    fc.property(model, ({ labels, chains, wraps, blanks }) => {
      const statements = [
        ...labels.map(([name, label]) => `${quoted(name)} [shape = box, label = ${quoted(label)}]`),
        ...chains.map((chain) => chain.map(quoted).join(" -> ")),
      ];
      const body = statements.map((one, index) => one + blanks[index % blanks.length]).join("");
      const graph = readDot(`digraph {${"subgraph s {".repeat(wraps)}${body}${"}".repeat(wraps)}}`);
      const names = [...new Set([...labels.map(([name]) => name), ...chains.flat()])];
      expect(graph.size).toBe(names.length);
      for (const [name, label] of new Map(labels)) expect(graph.label(graph.node(raw(name)) ?? -1)).toBe(raw(label));
      const expected = chains.flatMap((chain) =>
        chain.slice(1).map((to, index) => `${raw(chain[index] ?? "")}>${raw(to)}`),
      );
      expect(edges(graph, names.map(raw))).toEqual(expected.sort());
    }),
    { numRuns: 500 },
  );
});

/** The rule of spec/04 §3.1 word for word: depth first over all ways without a repeated node, then compared. */
function depthFirst(
  graph: DotGraph,
  along: "dependants" | "dependencies",
  candidates: Set<string>,
  start: number,
): string | undefined {
  let best: { distance: number; label: string } | undefined;
  const walk = (node: number, distance: number, way: Set<number>) => {
    for (const next of graph[along][node] ?? []) {
      if (way.has(next)) continue;
      const label = graph.label(next);
      if (label !== undefined && candidates.has(label)) {
        if (!best || distance < best.distance || (distance === best.distance && label < best.label))
          best = { distance, label };
      }
      walk(next, distance + 1, new Set([...way, next]));
    }
  };
  walk(start, 0, new Set([start]));
  return best?.label;
}

test("property: breadth first finds what depth first over all ways finds", () => {
  const size = 7;
  const node = fc.nat({ max: size - 1 });
  const model = fc.record({
    pairs: fc.array(fc.tuple(node, node), { maxLength: 14 }),
    labels: fc.array(fc.constantFrom("a", "b", "c", "d", "e", undefined), { minLength: size, maxLength: size }),
    candidates: fc.uniqueArray(fc.constantFrom("a", "b", "c")),
    along: fc.constantFrom("dependants" as const, "dependencies" as const),
  });
  fc.assert(
    fc.property(model, ({ pairs, labels, candidates, along }) => {
      const statements = [
        ...labels.map((label, index) => (label === undefined ? `${index}` : `${index} [label = ${label}]`)),
        ...pairs.map(([from, to]) => `${from} -> ${to}`),
      ];
      const graph = readDot(`digraph { ${statements.join(" ; ")} }`);
      const wanted = new Set<string>(candidates);
      const nearest = nearestCandidates(graph, along, wanted);
      for (let start = 0; start < size; start++) {
        // Only agents and metadata ask, and those are never candidates themselves.
        if (wanted.has(labels[start] ?? "")) continue;
        expect(nearest(start)).toBe(depthFirst(graph, along, wanted, start));
      }
    }),
    { numRuns: 2_000 },
  );
});

test("property: the order of resources in a document does not matter to what is sorted", () => {
  const graph = dot([
    "aws_instance.r -> coder_agent.a",
    "aws_instance.r -> coder_agent.b",
    "null_resource.n -> coder_agent.c",
    "coder_app.x -> coder_agent.a",
    "coder_metadata.m -> aws_instance.r",
  ]);
  const resources = [
    ...["a", "b", "c"].map((name) => resource(`coder_agent.${name}`, { id: "" })),
    ...[0, 1, 2, 10].map((index) => resource(`aws_instance.r[${index}]`, { id: `i-${index}`, instance_type: "t" })),
    resource("null_resource.n"),
    ...[0, 1, 10].map((index) => resource(`coder_app.x[${index}]`, { slug: `s${index}` })),
    resource("coder_env.e", { name: "E" }),
    resource("coder_metadata.m", { icon: "i" }),
    resource("data.coder_external_auth.g", { id: "g" }),
  ];
  const expected = printed(plan(resources, graph));
  expect(agents(plan(resources, graph)).length).toBe(9);
  fc.assert(
    fc.property(fc.shuffledSubarray(resources, { minLength: resources.length }), (shuffled) => {
      expect(printed(plan(shuffled, graph))).toEqual(expected);
      expect(printed(state(shuffled, graph))).toEqual(expected);
    }),
    { numRuns: 100 },
  );
});
