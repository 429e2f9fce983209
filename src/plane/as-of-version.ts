import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { isReflectMessage, type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";

/**
 * Fields by the minor version that brought them (spec/01 §5.4). What came within a version's range counts as there from the
 * start of the range: a plane that poses as 1.1 is the newest release that spoke it.
 */
const since: Readonly<Record<string, number>> = {
  "provisionerd.AcquiredJob.WorkspaceBuild.previous_parameter_values": 6,
  "provisionerd.UpdateJobRequest.workspace_tags": 1,
  "provisionerd.FailedJob.WorkspaceBuild.timings": 1,
  "provisionerd.CompletedJob.WorkspaceBuild.timings": 1,
  "provisionerd.CompletedJob.WorkspaceBuild.modules": 1,
  "provisionerd.CompletedJob.WorkspaceBuild.resource_replacements": 5,
  "provisionerd.CompletedJob.WorkspaceBuild.ai_tasks": 7,
  "provisionerd.CompletedJob.TemplateImport.external_auth_providers": 1,
  "provisionerd.CompletedJob.TemplateImport.start_modules": 1,
  "provisionerd.CompletedJob.TemplateImport.presets": 3,
  "provisionerd.CompletedJob.TemplateImport.plan": 4,
  "provisionerd.CompletedJob.TemplateImport.module_files": 6,
  "provisionerd.CompletedJob.TemplateImport.module_files_hash": 7,
  "provisionerd.CompletedJob.TemplateImport.has_ai_tasks": 7,
  "provisionerd.CompletedJob.TemplateImport.has_external_agents": 9,
  "provisionerd.CompletedJob.TemplateDryRun.modules": 1,
  "provisioner.RichParameter.form_type": 7,
  "provisioner.Prebuild.expiration_policy": 6,
  "provisioner.Prebuild.scheduling": 7,
  "provisioner.Preset.prebuild": 5,
  "provisioner.Preset.default": 7,
  "provisioner.Preset.description": 8,
  "provisioner.Preset.icon": 8,
  "provisioner.App.order": 1,
  "provisioner.App.hidden": 1,
  "provisioner.App.open_in": 2,
  "provisioner.App.group": 6,
  "provisioner.App.id": 7,
  "provisioner.App.tooltip": 10,
  "provisioner.Env.merge_strategy": 16,
  "provisioner.Devcontainer.id": 15,
  "provisioner.Devcontainer.subagent_id": 15,
  "provisioner.Devcontainer.apps": 15,
  "provisioner.Devcontainer.scripts": 15,
  "provisioner.Devcontainer.envs": 15,
  "provisioner.Agent.order": 1,
  "provisioner.Agent.resources_monitoring": 3,
  "provisioner.Agent.devcontainers": 4,
  "provisioner.Agent.api_key_scope": 5,
  "provisioner.Agent.Metadata.order": 1,
  "provisioner.Resource.module_path": 1,
  "provisioner.Module.dir": 6,
  "provisioner.AITask.app_id": 11,
  "provisioner.Metadata.workspace_owner_groups": 1,
  "provisioner.Metadata.workspace_owner_ssh_public_key": 1,
  "provisioner.Metadata.workspace_owner_ssh_private_key": 1,
  "provisioner.Metadata.workspace_build_id": 1,
  "provisioner.Metadata.workspace_owner_login_type": 1,
  "provisioner.Metadata.workspace_owner_rbac_roles": 4,
  "provisioner.Metadata.prebuilt_workspace_build_stage": 5,
  "provisioner.Metadata.running_agent_auth_tokens": 5,
  "provisioner.Metadata.task_id": 11,
  "provisioner.Metadata.task_prompt": 11,
  "provisioner.Metadata.template_version_id": 12,
  "provisioner.Metadata.template_version_modules_file": 14,
};

/** Removes, in place, every field that a server of that minor version does not know. Returns the message. */
export function asOfVersion<Desc extends DescMessage>(
  desc: Desc,
  message: MessageShape<Desc>,
  minor: number,
): MessageShape<Desc> {
  strip(reflect(desc, message), minor);
  return message;
}

function strip(message: ReflectMessage, minor: number): void {
  for (const field of message.fields) {
    if (!message.isSet(field)) continue;
    if ((since[`${message.desc.typeName}.${field.name}`] ?? 0) > minor) {
      message.clear(field);
    } else if (field.fieldKind === "message") {
      strip(message.get(field), minor);
    } else if (field.fieldKind === "list" && field.listKind === "message") {
      for (const item of message.get(field)) if (isReflectMessage(item)) strip(item, minor);
    }
  }
}
