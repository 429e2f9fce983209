import { create } from "@bufbuild/protobuf";
import { EnvSchema } from "../gen/provisioner_pb.ts";
import { Attributes } from "./attributes.ts";
import type { Home } from "./devcontainers.ts";
import type { Owners } from "./owners.ts";
import type { Template } from "./table.ts";

/**
 * Puts each `coder_env` under the first agent or devcontainer that it belongs to. Equal names are all sent: the server merges
 * them by their strategies (spec/04 §2.5).
 * @throws GraphError `decode_env`
 */
export function attachEnvs({ table }: Template, homes: Owners<Home>): void {
  for (const resource of table.ofType("coder_env")) {
    const values = new Attributes(resource.values(), "decode_env", "decode env attributes");
    const env = create(EnvSchema, {
      name: values.string("name"),
      value: values.string("value"),
      mergeStrategy: values.string("merge_strategy"),
    });
    const [home] = homes.of(resource, values.string("agent_id"));
    if (home?.kind === "agent") home.agent.extraEnvs.push(env);
    else home?.devcontainer.envs.push(env);
  }
}
