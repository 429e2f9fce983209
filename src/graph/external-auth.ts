import { create } from "@bufbuild/protobuf";
import { type ExternalAuthProviderResource, ExternalAuthProviderResourceSchema } from "../gen/provisioner_pb.ts";
import { GraphError } from "./errors.ts";
import { compareBytes } from "./order.ts";
import type { Template } from "./table.ts";

/**
 * Lists the external auth providers by id: a `coder_external_auth` wins over a `coder_git_auth`, and the greater address
 * within a type (spec/04 §5.4).
 * @throws GraphError `external_auth_id`
 */
export function listExternalAuth({ table }: Template): ExternalAuthProviderResource[] {
  const byId = new Map<string, boolean>();
  for (const type of ["coder_git_auth", "coder_external_auth"]) {
    for (const resource of table.ofType(type)) {
      const values = resource.values();
      const id = values.get("id");
      if (typeof id !== "string") throw new GraphError("external_auth_id", "external auth id is not a string");
      byId.set(id, values.get("optional") === true);
    }
  }
  return [...byId]
    .sort(([a], [b]) => compareBytes(a, b))
    .map(([id, optional]) => create(ExternalAuthProviderResourceSchema, { id, optional }));
}
