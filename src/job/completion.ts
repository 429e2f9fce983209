import { create } from "@bufbuild/protobuf";
import type { Features } from "../contract/versions.ts";
import type {
  AITask,
  ExternalAuthProviderResource,
  Module,
  Preset,
  Resource,
  ResourceReplacement,
  RichParameter,
  Timing,
} from "../gen/provisioner_pb.ts";
import {
  type CompletedJob,
  CompletedJob_TemplateDryRunSchema,
  CompletedJob_TemplateImportSchema,
  CompletedJob_WorkspaceBuildSchema,
  CompletedJobSchema,
} from "../gen/provisionerd_pb.ts";
import { bothAppIds, providerNames, stopModulesField } from "./compat.ts";

/** What a job that worked has made, before it is put into words for a certain server. */
export type Completion =
  | {
      kind: "import";
      startResources: Resource[];
      stopResources: Resource[];
      richParameters: RichParameter[];
      presets: Preset[];
      externalAuthProviders: ExternalAuthProviderResource[];
      modules: Module[];
      plan: Uint8Array;
      moduleFiles: Uint8Array;
      hasAiTasks: boolean;
      hasExternalAgents: boolean;
    }
  | { kind: "dry-run"; resources: Resource[]; modules: Module[] }
  | {
      kind: "build";
      state: Uint8Array;
      resources: Resource[];
      aiTasks: AITask[];
      modules: Module[];
      resourceReplacements: ResourceReplacement[];
      timings: Timing[];
    };

/** The terminal message of a job that worked (spec/02 §2.3–2.5), readable by every server (spec/01 §5.5). */
export function completedJob(jobId: string, completion: Completion, features: Features): CompletedJob {
  switch (completion.kind) {
    case "import": {
      const { kind: _, modules, ...fields } = completion;
      const value = create(CompletedJob_TemplateImportSchema, {
        ...fields,
        startModules: modules,
        externalAuthProvidersNames: providerNames(completion.externalAuthProviders),
      });
      if (features.stopModules) value.$unknown = modules.map(stopModulesField);
      return create(CompletedJobSchema, { jobId, type: { case: "templateImport", value } });
    }
    case "dry-run": {
      const { kind: _, ...fields } = completion;
      const value = create(CompletedJob_TemplateDryRunSchema, fields);
      return create(CompletedJobSchema, { jobId, type: { case: "templateDryRun", value } });
    }
    case "build": {
      const { kind: _, ...fields } = completion;
      const aiTasks = fields.aiTasks.map(bothAppIds);
      const value = create(CompletedJob_WorkspaceBuildSchema, { ...fields, aiTasks });
      return create(CompletedJobSchema, { jobId, type: { case: "workspaceBuild", value } });
    }
  }
}
