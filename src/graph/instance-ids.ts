import type { Agent } from "../gen/provisioner_pb.ts";
import type { Resource } from "./documents.ts";
import { append } from "./groups.ts";
import type { Template } from "./table.ts";

/** Which attributes of a machine hold its instance id and type (spec/04 §3.4). */
const machines = new Map([
  ["google_compute_instance", { id: "instance_id", type: "machine_type" }],
  ["aws_instance", { id: "id", type: "instance_type" }],
  ["aws_spot_instance_request", { id: "spot_instance_id", type: "instance_type" }],
  ["azurerm_linux_virtual_machine", { id: "virtual_machine_id", type: "size" }],
  ["azurerm_windows_virtual_machine", { id: "virtual_machine_id", type: "size" }],
]);

/** What a resource says about its machine; undefined for an attribute that is no string, and for other resources. */
export function machineOf(resource: Resource): { id: string | undefined; type: string | undefined } {
  const attributes = machines.get(resource.type);
  if (!attributes) return { id: undefined, type: undefined };
  const values = resource.values();
  const id = values.get(attributes.id);
  const type = values.get(attributes.type);
  return { id: typeof id === "string" ? id : undefined, type: typeof type === "string" ? type : undefined };
}

/**
 * Sets the instance ids that a template assigns by `coder_agent_instance`, of several the last; an agent that uses a token
 * keeps it (spec/04 §2.8, §3.4).
 */
export function assignInstanceIds({ table }: Template, agents: readonly Agent[]): void {
  const byId = new Map<string, Agent[]>();
  for (const agent of agents) append(byId, agent.id, agent);
  const assigned = new Map<string, string>();
  for (const resource of table.ofType("coder_agent_instance")) {
    const values = resource.values();
    const agentId = values.get("agent_id");
    const instanceId = values.get("instance_id");
    if (typeof agentId === "string" && typeof instanceId === "string") assigned.set(agentId, instanceId);
  }
  for (const [agentId, instanceId] of assigned) {
    for (const { auth } of byId.get(agentId) ?? []) if (auth.case === "instanceId") auth.value = instanceId;
  }
}

/**
 * Gives the agents of one label the instance ids of its machines: the first that is known, to agents that have neither a
 * token nor an instance id (spec/04 §3.4).
 */
export class MachineIds {
  readonly #settled = new Map<string, "empty" | "known">();

  assign(label: string, agents: readonly Agent[], instanceId: string): void {
    // A machine whose id adds nothing is passed over without a look at the agents: there may be many of both.
    const settled = this.#settled.get(label);
    if (settled === "known" || (settled === "empty" && instanceId === "")) return;
    this.#settled.set(label, instanceId === "" ? "empty" : "known");
    for (const agent of agents) {
      if ((agent.auth.value ?? "") === "") agent.auth = { case: "instanceId", value: instanceId };
    }
  }
}
