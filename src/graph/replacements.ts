import { create } from "@bufbuild/protobuf";
import { type ResourceReplacement, ResourceReplacementSchema } from "../gen/provisioner_pb.ts";
import type { ChangeTree, ResourceChange } from "./documents.ts";
import { GraphError } from "./errors.ts";
import { append } from "./groups.ts";
import type { Json } from "./json.ts";
import { JsonPrinter } from "./json-text.ts";
import { limits } from "./limits.ts";
import { compareBytes } from "./order.ts";

/** Replacements with the paths that force them, by address; what the plan's answer reports (spec/03 §7.3 set A). */
export function reportedReplacements(changes: readonly ResourceChange[]): ResourceReplacement[] {
  const paths = new Map<string, string[]>();
  for (const change of changes) {
    const isNoOp = change.actions.length === 1 && change.actions[0] === "no-op";
    if (isNoOp || change.type.startsWith("coder_")) continue;
    for (const path of replacePaths(change)) append(paths, change.address, pathText(path));
  }
  return [...paths]
    .sort(([a], [b]) => compareBytes(a, b))
    .map(([resource, found]) => create(ResourceReplacementSchema, { resource, paths: found }));
}

/** The planned replacements, with a path or without; what the log tells about (spec/03 §7.3 set B). */
export function plannedReplacements(changes: readonly ResourceChange[]): ResourceChange[] {
  return changes.filter(({ type, actions }) => {
    const [first, second] = actions;
    const replaces = (first === "delete" && second === "create") || (first === "create" && second === "delete");
    return replaces && actions.length === 2 && !type.startsWith("coder_");
  });
}

/** The lines about replacements; none where there is none. Values that are secret or not known yet are masked (spec/03 §7.3). */
export function replacementLines(replacements: readonly ResourceChange[]): string[] {
  const byAddress = new Map<string, ResourceChange[]>();
  for (const replacement of replacements) append(byAddress, replacement.address, replacement);
  const printer = new JsonPrinter(limits.logValueChars);
  const lines: string[] = byAddress.size > 0 ? ["Resource replacements:"] : [];
  for (const [address, changes] of [...byAddress].sort(([a], [b]) => compareBytes(a, b))) {
    lines.push(`  -/+ ${address} (replace)`);
    const paths = changes.flatMap((change) => {
      const values = new ChangeValues(change, printer);
      return replacePaths(change).map((path) => ({ path, text: pathText(path), values }));
    });
    if (paths.length === 0) lines.push("      ~ replacement reason unavailable");
    for (const { path, text, values } of paths.sort((a, b) => compareBytes(a.text, b.text))) {
      if (lines.length >= limits.logLines) return [...lines, "  … and more"];
      lines.push(`      ~ ${text}${values.difference(path)} (forces replacement)`);
    }
    if (lines.length >= limits.logLines) return [...lines, "  … and more"];
  }
  return lines;
}

function replacePaths(change: ResourceChange): readonly Json[] {
  const paths = change.part("replace_paths") ?? null;
  if (paths === null) return [];
  if (!Array.isArray(paths)) {
    throw new GraphError("parse_json", `replace_paths of ${JSON.stringify(change.address)}: expected an array`);
  }
  return paths;
}

/** Segments joined with dots, numbers in plain decimal; a path that is no list as it is. */
function pathText(path: Json): string {
  return Array.isArray(path) ? path.map(segmentText).join(".") : segmentText(path);
}

function segmentText(segment: Json): string {
  if (typeof segment === "string") return segment;
  if (typeof segment === "number" && Number.isInteger(segment)) return BigInt(segment).toString();
  return new JsonPrinter(limits.logValueChars).print(segment);
}

/** The values of one change, before and after, with what must not be shown of them. */
class ChangeValues {
  readonly #trees = new Map<ChangeTree, Json | undefined>();
  /** Containers in the trees of marks that hold a `true`, at any depth. */
  readonly #marked = new Set<Json>();
  #readable = true;

  constructor(
    private readonly change: ResourceChange,
    private readonly printer: JsonPrinter,
  ) {}

  /** `: BEFORE -> AFTER` at a path; empty where neither side has a value there. */
  difference(path: Json): string {
    const segments = Array.isArray(path) ? path : [path];
    const before = this.#side(segments, "before", "before_sensitive");
    const after = this.#side(segments, "after", "after_sensitive", "after_unknown");
    if (!this.#readable || (before === undefined && after === undefined)) return "";
    return `: ${before ?? "(unavailable)"} -> ${after ?? "(unavailable)"}`;
  }

  #side(path: readonly Json[], tree: ChangeTree, sensitive: ChangeTree, unknown?: ChangeTree): string | undefined {
    if (this.#isMarked(sensitive, path)) return "(sensitive value)";
    if (unknown && this.#isMarked(unknown, path)) return "(known after apply)";
    let value = this.#tree(tree);
    for (const segment of path) value = child(value, segment);
    return value === undefined ? undefined : this.printer.print(value);
  }

  /** True if the path, something above it or anything below it is marked true. */
  #isMarked(tree: ChangeTree, path: readonly Json[]): boolean {
    let mark = this.#tree(tree);
    for (const segment of path) {
      if (typeof mark === "boolean") break;
      mark = child(mark, segment);
    }
    return mark === true || (typeof mark === "object" && mark !== null && this.#marked.has(mark));
  }

  #tree(name: ChangeTree): Json | undefined {
    if (!this.#trees.has(name)) {
      let tree: Json | undefined;
      try {
        tree = this.change.part(name);
      } catch (error) {
        if (!(error instanceof GraphError)) throw error;
        // Too much to build: the line goes without values rather than the plan without an answer.
        this.#readable = false;
      }
      this.#trees.set(name, tree);
      if (tree !== undefined && name !== "before" && name !== "after") collectMarked(tree, this.#marked);
    }
    return this.#trees.get(name);
  }
}

/** A member of an object by a string, an element of an array by an integer. */
function child(value: Json | undefined, segment: Json): Json | undefined {
  if (value instanceof Map) return typeof segment === "string" ? value.get(segment) : undefined;
  if (Array.isArray(value)) return typeof segment === "number" ? value[segment] : undefined;
  return undefined;
}

/** Adds all containers that hold a `true`, at any depth: once for a tree, so that no path has to search it. */
function collectMarked(root: Json, marked: Set<Json>): void {
  const parents = new Map<Json, Json>();
  const pending: Json[] = [root];
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (!Array.isArray(value) && !(value instanceof Map)) continue;
    for (const below of value.values() as Iterable<Json>) {
      if (below === true) {
        let holder: Json | undefined = value;
        for (; holder !== undefined && !marked.has(holder); holder = parents.get(holder)) marked.add(holder);
      } else if (typeof below === "object" && below !== null) {
        parents.set(below, value);
        pending.push(below);
      }
    }
  }
}
