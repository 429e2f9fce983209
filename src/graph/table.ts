import type { LogLevel } from "../gen/provisioner_pb.ts";
import type { Resource } from "./documents.ts";
import type { DotGraph } from "./dot.ts";
import { clip } from "./errors.ts";
import { append } from "./groups.ts";
import { limits } from "./limits.ts";
import { compareBytes } from "./order.ts";

/** Something worth telling that fails nothing. */
export type Note = (level: LogLevel, text: string) => void;

/** What all kinds of resources are converted out of. */
export interface Template {
  readonly table: ResourceTable;
  readonly graph: DotGraph;
  readonly note: Note;
}

/** The same note with its text bounded: it quotes what a template holds. */
export function boundedNote(note: Note): Note {
  return (level, text) => note(level, clip(text, limits.messageChars));
}

/** A document's resources, as found (`visited`) and by address, of equal addresses the last (spec/04 §1.3). */
export class ResourceTable {
  readonly #visited = new Map<string, Resource[]>();
  readonly #byType = new Map<string, Resource[]>();
  /** All resources, sorted by address. */
  readonly sorted: readonly Resource[];

  constructor(resources: readonly Resource[]) {
    const byAddress = new Map<string, Resource>();
    for (const resource of resources) {
      append(this.#visited, resource.type, resource);
      byAddress.set(resource.address, resource);
    }
    this.sorted = [...byAddress.values()].sort((a, b) => compareBytes(a.address, b.address));
    for (const resource of this.sorted) append(this.#byType, resource.type, resource);
  }

  /** The resources of a type, sorted by address. */
  ofType(type: string): readonly Resource[] {
    return this.#byType.get(type) ?? [];
  }

  /** Every resource object of a type in visiting order, none left out. */
  visited(type: string): readonly Resource[] {
    return this.#visited.get(type) ?? [];
  }

  /** The labels that may hold agents and metadata (spec/04 §3.1 step 4). */
  candidates(): Set<string> {
    return new Set(this.sorted.filter(isCandidate).map((resource) => resource.label));
  }
}

function isCandidate({ mode, type }: Resource): boolean {
  return mode === "managed" && (!type.startsWith("coder_") || type === "coder_external_agent");
}
