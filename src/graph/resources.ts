import { create, toBinary } from "@bufbuild/protobuf";
import { type Agent, LogLevel, type Resource, ResourceSchema } from "../gen/provisioner_pb.ts";
import { invalidAddress, modulePath } from "./address.ts";
import { GraphError } from "./errors.ts";
import { MachineIds, machineOf } from "./instance-ids.ts";
import { limits } from "./limits.ts";
import type { ResourceMetadata } from "./metadata.ts";
import type { Template } from "./table.ts";

/** Types that are only parts of others (spec/04 §4). */
const parts = new Set(["coder_agent", "coder_agent_instance", "coder_app", "coder_script", "coder_metadata"]);

/**
 * Lists the resources in address order, each with the agents and the metadata of its label; agents get the instance ids of
 * the machines they run on (spec/04 §3.4, §4).
 * @throws GraphError `too_big`
 */
export function listResources(
  { table, note }: Template,
  agentsByLabel: ReadonlyMap<string, readonly Agent[]>,
  metadataByLabel: ReadonlyMap<string, ResourceMetadata>,
): Resource[] {
  const listed = table.sorted.filter(({ mode, type }) => mode !== "data" && !parts.has(type));
  const machineIds = new MachineIds();
  const repeated = new Repetition();
  return listed.map((resource) => {
    const { label, address } = resource;
    const agents = agentsByLabel.get(label) ?? [];
    const metadata = metadataByLabel.get(label);
    const machine = machineOf(resource);
    if (machine.id !== undefined) machineIds.assign(label, agents, machine.id);
    if (agents.length > 0 || metadata) repeated.check(label, agents, metadata);
    const path = modulePath(address);
    if (path === invalidAddress) note(LogLevel.ERROR, `resource ${JSON.stringify(address)}: ${invalidAddress}`);
    return create(ResourceSchema, {
      name: resource.name,
      type: resource.type,
      agents: [...agents],
      instanceType: machine.type ?? "",
      modulePath: path,
      ...metadata,
    });
  });
}

/** Counts what the further instances of a counted resource repeat, before it is repeated. */
class Repetition {
  readonly #bytes = new Map<string, number>();
  #total = 0;

  check(label: string, agents: readonly Agent[], metadata: ResourceMetadata | undefined): void {
    const known = this.#bytes.get(label);
    if (known === undefined) {
      // Measured when a second instance comes, since most have none.
      this.#bytes.set(label, -1);
      return;
    }
    const bytes =
      known >= 0
        ? known
        : toBinary(ResourceSchema, create(ResourceSchema, { agents: [...agents], ...metadata })).length;
    this.#bytes.set(label, bytes);
    this.#total += bytes;
    if (this.#total > limits.repeatedBytes) {
      const bound = `at most ${limits.repeatedBytes} bytes of agents and metadata may be repeated`;
      throw new GraphError("too_big", `list resource ${JSON.stringify(label)}: too many instances: ${bound}`);
    }
  }
}
