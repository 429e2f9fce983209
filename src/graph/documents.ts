import { GraphError } from "./errors.ts";
import { type Budget, type Json, type JsonObject, readJson, type Shape, Span } from "./json.ts";
import { limits } from "./limits.ts";

/** A resource object of a plan or a state (spec/04 §1.2). `module` is the address of its module, "" for the root. */
export interface Resource {
  readonly address: string;
  /** The address up to its first bracket: the name by which the DOT graph knows it (spec/04 §1.4). */
  readonly label: string;
  readonly mode: string;
  readonly type: string;
  readonly name: string;
  readonly module: string;
  /** Its attributes, built at each call; empty where there are none. @throws GraphError `too_big` */
  values(): JsonObject;
}

/** One entry of `resource_changes`, as far as replacements need it (spec/04 appendix A). */
export interface ResourceChange {
  readonly address: string;
  readonly type: string;
  readonly actions: readonly Json[];
  /** A member of `change`, built when first asked for. @throws GraphError `too_big` */
  part(name: "replace_paths" | ChangeTree): Json | undefined;
}

export type ChangeTree = "before" | "after" | "before_sensitive" | "after_sensitive" | "after_unknown";

/** A plan: the resources in visiting order (prior data sources first), and the planned changes. */
export interface PlanDocument {
  readonly resources: readonly Resource[];
  readonly changes: readonly ResourceChange[];
}

/**
 * Reads a plan out of `terraform show -json PLANFILE`.
 * @throws GraphError `parse_json`, `too_big`
 */
export function readPlan(bytes: Uint8Array): PlanDocument {
  const { root, source } = readDocument(bytes, planShape);
  const prior = member(member(root, "prior_state"), "values");
  const resources: Resource[] = [];
  visit(member(prior, "root_module"), source, (resource) => {
    // What is only in the prior state may be about to go; its data sources were read for this plan (spec/04 §1.3).
    if (resource.mode === "data") resources.push(resource);
  });
  visit(member(member(root, "planned_values"), "root_module"), source, (resource) => resources.push(resource));
  return { resources, changes: list(root, "resource_changes").flatMap((entry) => changeOf(entry, source)) };
}

/**
 * Reads the resources of a state out of `terraform show -json`, in visiting order.
 * @throws GraphError `parse_json`, `too_big`
 */
export function readState(bytes: Uint8Array): readonly Resource[] {
  const { root, source } = readDocument(bytes, stateShape);
  const resources: Resource[] = [];
  visit(member(member(root, "values"), "root_module"), source, (resource) => resources.push(resource));
  return resources;
}

/** The bytes that spans point into, and the budget that is left for building from them. */
interface Source {
  readonly bytes: Uint8Array;
  readonly budget: Budget;
}

const resourceShape: Shape = members({
  address: "string",
  mode: "string",
  type: "string",
  name: "string",
  values: "object",
});
const moduleMembers = new Map<string, Shape>([
  ["address", "string"],
  ["resources", { items: resourceShape }],
]);
moduleMembers.set("child_modules", { items: { members: moduleMembers } });
const valuesShape: Shape = members({ root_module: { members: moduleMembers } });
const changeShape: Shape = members({
  actions: { items: "string" },
  replace_paths: "later",
  before: "later",
  after: "later",
  before_sensitive: "later",
  after_sensitive: "later",
  after_unknown: "later",
});
const planShape = members({
  format_version: "string",
  prior_state: members({ values: valuesShape }),
  planned_values: valuesShape,
  resource_changes: { items: members({ address: "string", type: "string", change: changeShape }) },
});
const stateShape = members({ format_version: "string", values: valuesShape });

function members(shapes: Record<string, Shape>): Shape {
  return { members: new Map(Object.entries(shapes)) };
}

function readDocument(bytes: Uint8Array, shape: Shape): { root: Json; source: Source } {
  if (bytes.length > limits.documentBytes) {
    throw new GraphError("too_big", `read JSON: ${bytes.length} bytes: at most ${limits.documentBytes} are read`);
  }
  const source: Source = { bytes, budget: { left: limits.jsonValues } };
  const root = readJson(bytes, shape, source.budget);
  checkFormat(text(root, "format_version"));
  return { root, source };
}

/** At least 0.1 and below 2.0, else the document is of a kind that we do not know (spec/04 §1.1). */
function checkFormat(version: string): void {
  if (version === "") throw new GraphError("parse_json", "read JSON: format_version is missing");
  const parts = version.length < 64 ? /^v?(\d+)(?:\.(\d+))?(?:\.\d+)*(?:\+[0-9A-Za-z.~-]+)?$/.exec(version) : null;
  const major = Number(parts?.[1] ?? Number.NaN);
  const known = major === 1 || (major === 0 && Number(parts?.[2] ?? 0) >= 1);
  if (!known) {
    throw new GraphError(
      "parse_json",
      `read JSON: format_version ${JSON.stringify(version)}: expected 0.1 to below 2.0`,
    );
  }
}

/** First the child modules, in list order and each in this same way, then the module's own resources (spec/04 §1.3). */
function visit(root: Json | undefined, source: Source, found: (resource: Resource) => void): void {
  const path: Array<{ module: Json | undefined; children: readonly Json[]; next: number }> = [];
  const enter = (module: Json | undefined) => path.push({ module, children: list(module, "child_modules"), next: 0 });
  enter(root);
  for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
    if (top.next < top.children.length) {
      enter(top.children[top.next++]);
      continue;
    }
    path.pop();
    const module = text(top.module, "address");
    for (const entry of list(top.module, "resources")) if (entry !== null) found(resourceOf(entry, module, source));
  }
}

function resourceOf(entry: Json, module: string, source: Source): Resource {
  const address = text(entry, "address");
  const bracket = address.indexOf("[");
  const values = member(entry, "values");
  return {
    address,
    label: bracket < 0 ? address : address.slice(0, bracket),
    mode: text(entry, "mode"),
    type: text(entry, "type"),
    name: text(entry, "name"),
    module,
    values: () => {
      const built = build(values, source);
      return built instanceof Map ? built : new Map();
    },
  };
}

function changeOf(entry: Json, source: Source): ResourceChange[] {
  const change = member(entry, "change");
  if (!(change instanceof Map)) return [];
  return [
    {
      address: text(entry, "address"),
      type: text(entry, "type"),
      actions: list(change, "actions"),
      part: (name) => {
        const built = build(change.get(name), source);
        if (built !== undefined) change.set(name, built);
        return built;
      },
    },
  ];
}

function build(value: Json | undefined, source: Source): Json | undefined {
  return value instanceof Span ? readJson(source.bytes, "whole", source.budget, value) : value;
}

function member(value: Json | undefined, key: string): Json | undefined {
  return value instanceof Map ? value.get(key) : undefined;
}

function list(value: Json | undefined, key: string): readonly Json[] {
  const found = member(value, key);
  return Array.isArray(found) ? found : [];
}

function text(value: Json | undefined, key: string): string {
  const found = member(value, key);
  return typeof found === "string" ? found : "";
}
