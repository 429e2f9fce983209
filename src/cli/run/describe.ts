import type { Resource } from "../../gen/provisioner_pb.ts";
import type { Describe } from "../../local/life.ts";
import type { TemplateVersion } from "../../plane/rows.ts";
import type { Terminal } from "../terminal.ts";

/** temporary */
export function describe(_terminal: Terminal): Describe {
  return {
    version: (version: TemplateVersion) => version.parameters.map((p) => `parameter ${p.name}`),
    resources: (resources: readonly Resource[]) => resources.map((r) => `${r.type}.${r.name}`),
  };
}
