import type { MessageInitShape } from "@bufbuild/protobuf";
import type { CompletedJob_TemplateImportSchema, UpdateJobRequestSchema } from "../../src/gen/provisionerd_pb.ts";
import type { StartedBuild } from "../../src/plane/builds.ts";
import type { PlaneOptions } from "../../src/plane/options.ts";
import { type Plane, startPlane } from "../../src/plane/plane.ts";
import type { StartedImport } from "../../src/plane/templates.ts";
import { ScriptedAgent } from "./plane-agent.ts";

/** A plane with one scripted agent on it. */
export interface Scene extends AsyncDisposable {
  plane: Plane;
  key: string;
  agent: ScriptedAgent;
}

export async function scene(options: PlaneOptions = {}): Promise<Scene> {
  const plane = await startPlane({ rateLimitPerMinute: 0, ...options });
  const key = plane.createKey("k").secret;
  const version = options.apiVersion;
  const agent = await ScriptedAgent.connect(plane.url, key, "d1", undefined, version && `1.${version.minor}`);
  return {
    plane,
    key,
    agent,
    [Symbol.asyncDispose]: async () => {
      await agent[Symbol.asyncDispose]();
      await plane.close();
    },
  };
}

export const archive = new TextEncoder().encode("a tar, as far as anybody here looks");

/** Imports a template by the agent's hand. */
export async function importTemplate(
  { plane, agent }: Scene,
  value: MessageInitShape<typeof CompletedJob_TemplateImportSchema> = {},
  update?: MessageInitShape<typeof UpdateJobRequestSchema>,
  input: Partial<Parameters<Plane["importTemplate"]>[0]> = {},
): Promise<StartedImport> {
  const started = plane.importTemplate({ template: "t", archive, ...input });
  const { jobId } = await agent.acquire();
  if (update) await agent.update({ ...update, jobId });
  await agent.complete({ jobId, type: { case: "templateImport", value } });
  return started;
}

/** Starts a workspace's first build and acquires its job. */
export async function startWorkspace(scene: Scene, name = "w"): Promise<StartedBuild> {
  const { template } = await importTemplate(scene);
  const started = scene.plane.createWorkspace({ templateId: template.id, name });
  await scene.agent.acquire();
  return started;
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (data: Uint8Array): string => new TextDecoder().decode(data);
