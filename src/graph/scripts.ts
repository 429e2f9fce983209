import { create } from "@bufbuild/protobuf";
import { ScriptSchema } from "../gen/provisioner_pb.ts";
import { Attributes } from "./attributes.ts";
import type { Home } from "./devcontainers.ts";
import type { Owners } from "./owners.ts";
import type { Template } from "./table.ts";

/**
 * Puts each `coder_script` under the first agent or devcontainer that it belongs to, after the agent's own scripts
 * (spec/04 §2.4, §3.3).
 * @throws GraphError `decode_script`
 */
export function attachScripts({ table }: Template, homes: Owners<Home>): void {
  for (const resource of table.ofType("coder_script")) {
    const values = new Attributes(resource.values(), "decode_script", "decode script attributes");
    const script = create(ScriptSchema, {
      displayName: values.string("display_name"),
      icon: values.string("icon"),
      script: values.string("script"),
      cron: values.string("cron"),
      logPath: values.string("log_path"),
      startBlocksLogin: values.bool("start_blocks_login"),
      runOnStart: values.bool("run_on_start"),
      runOnStop: values.bool("run_on_stop"),
      timeoutSeconds: values.int32("timeout"),
    });
    const [home] = homes.of(resource, values.string("agent_id"));
    if (home?.kind === "agent") home.agent.scripts.push(script);
    else home?.devcontainer.scripts.push(script);
  }
}
