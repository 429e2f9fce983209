import type { Resource } from "./documents.ts";
import type { DotGraph } from "./dot.ts";
import { append } from "./groups.ts";

/**
 * Agents or devcontainers to which other resources belong (spec/04 §3.2): by equal ids, or, where both ids are still unknown,
 * by a direct edge between nodes of the root module. Owners keep the order in which they were added.
 */
export class Owners<T> {
  readonly #byId = new Map<string, T[]>();
  readonly #byNode = new Map<number, Array<{ rank: number; owner: T }>>();
  readonly #found = new Map<number, T[]>();
  #size = 0;

  constructor(private readonly graph: DotGraph) {}

  add(owner: T, id: string, type: string, name: string): void {
    const rank = this.#size++;
    const node = this.graph.node(nodeName(type, name));
    if (id !== "") append(this.#byId, id, owner);
    else if (node !== undefined) append(this.#byNode, node, { rank, owner });
  }

  /** All owners of a resource whose attribute names the owner with `ownerId`. Called when all owners have been added. */
  of(resource: Resource, ownerId: string): readonly T[] {
    if (ownerId !== "") return this.#byId.get(ownerId) ?? [];
    const node = this.graph.node(nodeName(resource.type, resource.name));
    if (node === undefined) return [];
    let owners = this.#found.get(node);
    if (!owners) {
      const near = new Set(this.graph.dependencies[node]);
      const found = [...near].flatMap((next) => this.#byNode.get(next) ?? []);
      owners = found.sort((a, b) => a.rank - b.rank).map(({ owner }) => owner);
      // Instances of a counted resource share a node: it is looked at once.
      this.#found.set(node, owners);
    }
    return owners;
  }
}

/** The node's whole name, without a module path: so nothing in a module is found this way. */
function nodeName(type: string, name: string): string {
  return `[root] ${type}.${name} (expand)`;
}
