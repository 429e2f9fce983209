import { create } from "@bufbuild/protobuf";
import {
  LogLevel,
  type Prebuild,
  PrebuildSchema,
  type Preset,
  PresetSchema,
  type Scheduling,
  SchedulingSchema,
} from "../gen/provisioner_pb.ts";
import { Attributes } from "./attributes.ts";
import type { Resource } from "./documents.ts";
import { GraphError } from "./errors.ts";
import { compareBytes } from "./order.ts";
import type { Note, Template } from "./table.ts";

/**
 * Lists the presets in visiting order (spec/04 §5.3). Equal names, and values for parameters that do not exist, are no
 * errors.
 * @throws GraphError `decode_preset`, `multiple_default_presets`
 */
export function listPresets({ table, note }: Template, parameterNames: ReadonlySet<string>): Preset[] {
  const presets = table.visited("coder_workspace_preset").map((resource) => {
    const preset = decodePreset(resource, note);
    const unknown = preset.parameters.filter(({ name }) => !parameterNames.has(name)).map(({ name }) => name);
    if (unknown.length > 0) note(LogLevel.WARN, `preset "${preset.name}": no such parameter: ${unknown.join(", ")}`);
    return preset;
  });
  const defaults = presets.filter((preset) => preset.default).length;
  if (defaults > 1) {
    const message = `a maximum of 1 coder_workspace_preset can be marked as default, but ${defaults} are set`;
    throw new GraphError("multiple_default_presets", message);
  }
  return presets;
}

function decodePreset(resource: Resource, note: Note): Preset {
  const values = new Attributes(resource.values(), "decode_preset", "decode preset attributes");
  const prebuilds = values.blocks("prebuilds").map(decodePrebuild);
  if (prebuilds.length > 1) note(LogLevel.WARN, `${resource.address}: more than one prebuilds block: the first counts`);
  return create(PresetSchema, {
    name: values.string("name"),
    description: values.string("description"),
    icon: values.string("icon"),
    default: values.bool("default"),
    parameters: values
      .strings("parameters")
      .map(([name, value]) => ({ name, value }))
      .sort((a, b) => compareBytes(a.name, b.name)),
    prebuild: prebuilds[0] ?? create(PrebuildSchema),
  });
}

function decodePrebuild(block: Attributes): Prebuild {
  const [expirationPolicy] = block.blocks("expiration_policy").map((policy) => ({ ttl: policy.int32("ttl") }));
  const [scheduling] = block.blocks("scheduling").map(decodeScheduling);
  return create(PrebuildSchema, {
    instances: block.int32("instances"),
    ...(expirationPolicy && { expirationPolicy }),
    ...(scheduling && { scheduling }),
  });
}

function decodeScheduling(block: Attributes): Scheduling {
  return create(SchedulingSchema, {
    timezone: block.string("timezone"),
    schedule: block.blocks("schedule").map((one) => ({ cron: one.string("cron"), instances: one.int32("instances") })),
  });
}
