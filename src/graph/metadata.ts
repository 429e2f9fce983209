import { create } from "@bufbuild/protobuf";
import { type Resource_Metadata, Resource_MetadataSchema } from "../gen/provisioner_pb.ts";
import { Attributes } from "./attributes.ts";
import type { Resource } from "./documents.ts";
import { GraphError } from "./errors.ts";
import { nearestCandidates } from "./nearest.ts";
import type { Template } from "./table.ts";

/** What a `coder_metadata` adds to a resource. */
export interface ResourceMetadata {
  hide: boolean;
  icon: string;
  dailyCost: number;
  metadata: Resource_Metadata[];
}

/**
 * Gives each `coder_metadata` to the nearest resource that it depends on, by label (spec/04 §3.5). One without a node or
 * without such a resource is left out.
 * @throws GraphError `decode_metadata`, `duplicate_metadata`
 */
export function findMetadata({ table, graph }: Template): Map<string, ResourceMetadata> {
  const nearest = nearestCandidates(graph, "dependencies", table.candidates());
  const found = new Map<string, ResourceMetadata>();
  for (const resource of table.ofType("coder_metadata")) {
    const metadata = decodeMetadata(resource);
    const node = graph.labelled(resource.label);
    const label = node === undefined ? undefined : nearest(node);
    if (label === undefined) continue;
    if (found.has(label)) throw new GraphError("duplicate_metadata", `duplicate metadata resource: ${label}`);
    found.set(label, metadata);
  }
  return found;
}

/** A `coder_metadata` by the table of spec/04 §2.7. @throws GraphError `decode_metadata` */
export function decodeMetadata(resource: Resource): ResourceMetadata {
  const values = new Attributes(resource.values(), "decode_metadata", "decode metadata attributes");
  // Checked for its type and never used: the graph decides.
  values.string("resource_id");
  return {
    hide: values.bool("hide"),
    icon: values.string("icon"),
    dailyCost: values.int32("daily_cost"),
    metadata: values.blocks("item").map((item) =>
      create(Resource_MetadataSchema, {
        key: item.string("key"),
        value: item.string("value"),
        sensitive: item.bool("sensitive"),
        isNull: item.bool("is_null"),
      }),
    ),
  };
}
