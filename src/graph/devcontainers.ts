import { create } from "@bufbuild/protobuf";
import { type Agent, type Devcontainer, DevcontainerSchema } from "../gen/provisioner_pb.ts";
import { Attributes } from "./attributes.ts";
import { GraphError } from "./errors.ts";
import { limits } from "./limits.ts";
import { Owners } from "./owners.ts";
import type { Template } from "./table.ts";

/**
 * Puts each `coder_devcontainer` under every agent that it belongs to (spec/04 §2.6, §3.3).
 * @throws GraphError `decode_devcontainer`, `too_big`
 */
export function attachDevcontainers({ table, graph }: Template, agents: readonly Agent[]): void {
  const owners = new Owners<Agent>(graph);
  for (const agent of agents) owners.add(agent, agent.id, "coder_agent", agent.name);
  let count = 0;
  for (const resource of table.ofType("coder_devcontainer")) {
    const values = new Attributes(resource.values(), "decode_devcontainer", "decode devcontainer attributes");
    const init = {
      id: values.string("id"),
      name: resource.name,
      workspaceFolder: values.string("workspace_folder"),
      configPath: values.string("config_path"),
      subagentId: values.string("subagent_id"),
    };
    for (const agent of owners.of(resource, values.string("agent_id"))) {
      if (++count > limits.devcontainers) {
        throw new GraphError("too_big", `attach devcontainers: more than ${limits.devcontainers} over all agents`);
      }
      agent.devcontainers.push(create(DevcontainerSchema, init));
    }
  }
}

/** Where apps, envs and scripts go: an agent or a devcontainer. */
export type Home = { kind: "agent"; agent: Agent } | { kind: "devcontainer"; devcontainer: Devcontainer };

/** Agents in address order, each followed by its devcontainers: the first that something belongs to gets it (spec/04 §3.3). */
export function homesOf({ graph }: Template, agents: readonly Agent[]): Owners<Home> {
  const homes = new Owners<Home>(graph);
  for (const agent of agents) {
    homes.add({ kind: "agent", agent }, agent.id, "coder_agent", agent.name);
    for (const devcontainer of agent.devcontainers) {
      const home: Home = { kind: "devcontainer", devcontainer };
      homes.add(home, devcontainer.subagentId, "coder_devcontainer", devcontainer.name);
    }
  }
  return homes;
}
