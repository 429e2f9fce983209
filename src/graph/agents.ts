import { create } from "@bufbuild/protobuf";
import {
  type Agent,
  type Agent_Metadata,
  Agent_MetadataSchema,
  AgentSchema,
  type DisplayApps,
  DisplayAppsSchema,
  MemoryResourceMonitorSchema,
  type ResourcesMonitoring,
  ResourcesMonitoringSchema,
  type Script,
  ScriptSchema,
  VolumeResourceMonitorSchema,
} from "../gen/provisioner_pb.ts";
import { Attributes } from "./attributes.ts";
import type { Resource } from "./documents.ts";
import { GraphError } from "./errors.ts";
import { append } from "./groups.ts";
import { agentNames } from "./names.ts";
import { nearestCandidates } from "./nearest.ts";
import type { Template } from "./table.ts";

/** The agents that found a resource: in address order, and under the label of their resource. */
export interface FoundAgents {
  readonly all: readonly Agent[];
  readonly byLabel: ReadonlyMap<string, readonly Agent[]>;
}

/**
 * Decodes and checks all agents, and gives each to the nearest resource that depends on it. An agent without one is left
 * out, though its name stays taken (spec/04 §3.1).
 * @throws GraphError `decode_agent`, `agent_name_…`, `duplicate_agent_name`, `agent_not_in_graph`
 */
export function findAgents({ table, graph }: Template): FoundAgents {
  const checkName = agentNames();
  const nearest = nearestCandidates(graph, "dependants", table.candidates());
  const all: Agent[] = [];
  const byLabel = new Map<string, Agent[]>();
  for (const resource of table.ofType("coder_agent")) {
    const agent = decodeAgent(resource);
    checkName(agent.name);
    const node = graph.labelled(resource.label);
    if (node === undefined) {
      throw new GraphError("agent_not_in_graph", `couldn't find node on graph: ${JSON.stringify(resource.label)}`);
    }
    const label = nearest(node);
    if (label === undefined) continue;
    all.push(agent);
    append(byLabel, label, agent);
  }
  return { all, byLabel };
}

/** A `coder_agent` by the table of spec/04 §2.2, without what others attach. @throws GraphError `decode_agent` */
function decodeAgent(resource: Resource): Agent {
  const values = new Attributes(resource.values(), "decode_agent", "decode agent attributes");
  const byToken = values.string("auth") === "token";
  const token = values.string("token");
  return create(AgentSchema, {
    id: values.string("id"),
    name: resource.name,
    env: Object.fromEntries(values.strings("env")),
    operatingSystem: values.string("os"),
    architecture: values.string("arch"),
    directory: values.string("dir"),
    connectionTimeoutSeconds: values.int32("connection_timeout"),
    troubleshootingUrl: values.string("troubleshooting_url"),
    motdFile: values.string("motd_file"),
    order: values.int64("order"),
    apiKeyScope: values.string("api_key_scope"),
    auth: byToken ? { case: "token", value: token } : { case: "instanceId", value: "" },
    metadata: values.blocks("metadata").map(agentMetadata),
    displayApps: displayApps(values.blocks("display_apps")),
    resourcesMonitoring: resourcesMonitoring(values.blocks("resources_monitoring")),
    scripts: legacyScripts(values),
  });
}

function agentMetadata(block: Attributes): Agent_Metadata {
  return create(Agent_MetadataSchema, {
    key: block.string("key"),
    displayName: block.string("display_name"),
    script: block.string("script"),
    interval: block.int64("interval"),
    timeout: block.int64("timeout"),
    order: block.int64("order"),
  });
}

/** The first block alone, without defaults inside; only without any block the provider's defaults count. */
function displayApps(blocks: Attributes[]): DisplayApps {
  const [first] = blocks.map((block) =>
    create(DisplayAppsSchema, {
      vscode: block.bool("vscode"),
      vscodeInsiders: block.bool("vscode_insiders"),
      webTerminal: block.bool("web_terminal"),
      sshHelper: block.bool("ssh_helper"),
      portForwardingHelper: block.bool("port_forwarding_helper"),
    }),
  );
  const defaults = { vscode: true, webTerminal: true, sshHelper: true, portForwardingHelper: true };
  return first ?? create(DisplayAppsSchema, defaults);
}

/** The last memory block wins; volumes add up. */
function resourcesMonitoring(blocks: Attributes[]): ResourcesMonitoring {
  const monitoring = create(ResourcesMonitoringSchema);
  for (const block of blocks) {
    for (const memory of block.blocks("memory")) {
      const monitor = { enabled: memory.bool("enabled"), threshold: memory.int32("threshold") };
      monitoring.memory = create(MemoryResourceMonitorSchema, monitor);
    }
    for (const volume of block.blocks("volume")) {
      const monitor = {
        path: volume.string("path"),
        enabled: volume.bool("enabled"),
        threshold: volume.int32("threshold"),
      };
      monitoring.volumes.push(create(VolumeResourceMonitorSchema, monitor));
    }
  }
  return monitoring;
}

/** Scripts that are attributes of the agent itself: they come before every `coder_script`. */
function legacyScripts(values: Attributes): Script[] {
  const scripts: Script[] = [];
  const startup = values.string("startup_script");
  const shutdown = values.string("shutdown_script");
  const behavior = values.string("startup_script_behavior");
  const loginFirst = values.bool("login_before_ready");
  const blocks = behavior === "" ? values.has("login_before_ready") && !loginFirst : behavior === "blocking";
  if (startup !== "") {
    const script = {
      displayName: "Startup Script",
      icon: "/emojis/25b6-fe0f.png",
      logPath: "coder-startup-script.log",
      script: startup,
      runOnStart: true,
      startBlocksLogin: blocks,
    };
    scripts.push(create(ScriptSchema, script));
  }
  if (shutdown !== "") {
    const script = {
      displayName: "Shutdown Script",
      icon: "/emojis/25c0.png",
      logPath: "coder-shutdown-script.log",
      script: shutdown,
      runOnStop: true,
    };
    scripts.push(create(ScriptSchema, script));
  }
  return scripts;
}
