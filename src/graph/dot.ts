import { DotLexer } from "./dot-lexer.ts";
import { GraphError } from "./errors.ts";
import { limits } from "./limits.ts";

/** Terraform's dependency graph: nodes by number, in the order in which they were met. X -> Y: X depends on Y (spec/04 §1.5). */
export class DotGraph {
  readonly #numbers = new Map<string, number>();
  readonly #labels: Array<string | undefined> = [];
  readonly #byLabel = new Map<string, number>();
  /** What each node depends on. */
  readonly dependencies: number[][] = [];
  /** What depends on each node. */
  readonly dependants: number[][] = [];
  #edges = 0;

  /** The number of nodes. */
  get size(): number {
    return this.#labels.length;
  }

  /** The number of a node by its name. */
  node(name: string): number | undefined {
    return this.#numbers.get(name);
  }

  label(node: number): string | undefined {
    return this.#labels[node];
  }

  /** The node with this label; of several the one met first. Known after `index`. */
  labelled(label: string): number | undefined {
    return this.#byLabel.get(label);
  }

  labels(): IterableIterator<string> {
    return this.#byLabel.keys();
  }

  /** Adds a node, or finds it. @throws GraphError `too_big` */
  add(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    const node = this.#labels.length;
    if (node >= limits.dotNodes) throw tooBig(`more than ${limits.dotNodes} nodes`);
    this.#numbers.set(name, node);
    this.#labels.push(undefined);
    this.dependencies.push([]);
    this.dependants.push([]);
    return node;
  }

  setLabel(node: number, label: string): void {
    this.#labels[node] = label;
  }

  /** Adds the edge `from` -> `to`. @throws GraphError `too_big` */
  connect(from: number, to: number): void {
    if (++this.#edges > limits.dotEdges) throw tooBig(`more than ${limits.dotEdges} edges`);
    this.dependencies[from]?.push(to);
    this.dependants[to]?.push(from);
  }

  /** Makes `labelled` and `labels` work; called once, when all nodes are there. */
  index(): void {
    this.#labels.forEach((label, node) => {
      if (label !== undefined && !this.#byLabel.has(label)) this.#byLabel.set(label, node);
    });
  }
}

/**
 * Reads DOT text: subgraphs are flattened, and only nodes, their labels and the edges are kept (spec/04 §1.5). Edges to a
 * subgraph and ports, which Terraform never prints, are refused.
 * @throws GraphError `parse_graph`, `too_big`
 */
export function readDot(text: string): DotGraph {
  if (text.length > limits.dotChars) throw tooBig(`${text.length} characters: at most ${limits.dotChars} are read`);
  const graph = new DotGraph();
  const lexer = new DotLexer(text);
  lexer.takeWord("strict");
  if (!lexer.takeWord("digraph") && !lexer.takeWord("graph")) lexer.fail('expected "digraph"');
  if (lexer.kind === "id") lexer.next();
  lexer.expect("{");
  let depth = 1;
  while (depth > 0) {
    if (lexer.take("}")) depth--;
    else if (readOpening(lexer)) depth++;
    else if (!lexer.take(";")) readStatement(lexer, graph);
    if (depth > limits.dotDepth) throw tooBig(`subgraphs are nested more than ${limits.dotDepth} deep`);
  }
  if (lexer.kind !== "end") lexer.fail("expected the end of the text");
  graph.index();
  return graph;
}

function tooBig(what: string): GraphError {
  return new GraphError("too_big", `parse graph: ${what}`);
}

/** The start of a subgraph, with its name or bare. */
function readOpening(lexer: DotLexer): boolean {
  if (lexer.takeWord("subgraph")) {
    if (lexer.kind === "id") lexer.next();
    lexer.expect("{");
    return true;
  }
  return lexer.take("{");
}

function readStatement(lexer: DotLexer, graph: DotGraph): void {
  if (lexer.takeWord("node") || lexer.takeWord("edge") || lexer.takeWord("graph")) {
    if (lexer.kind !== "[") lexer.fail('expected "["');
    readAttributes(lexer);
    return;
  }
  const name = lexer.id();
  if (lexer.take("=")) {
    lexer.id();
    return;
  }
  let node = graph.add(name);
  if (lexer.kind !== "->") {
    const label = readAttributes(lexer);
    if (label !== undefined) graph.setLabel(node, label);
    return;
  }
  while (lexer.take("->")) {
    const next = graph.add(lexer.id());
    graph.connect(node, next);
    node = next;
  }
  readAttributes(lexer);
}

/** Reads any number of attribute lists; the last `label` in them. */
function readAttributes(lexer: DotLexer): string | undefined {
  let label: string | undefined;
  while (lexer.take("[")) {
    while (!lexer.take("]")) {
      const key = lexer.id();
      const value = lexer.take("=") ? lexer.id() : "true";
      if (key === "label") label = value;
      if (!lexer.take(",")) lexer.take(";");
    }
  }
  return label;
}
