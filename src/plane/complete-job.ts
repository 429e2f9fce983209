import { create, fromBinary, type Message } from "@bufbuild/protobuf";
import { serverTexts } from "../contract/methods.ts";
import {
  type ExternalAuthProviderResource,
  ExternalAuthProviderResourceSchema,
  type Module,
  ModuleSchema,
} from "../gen/provisioner_pb.ts";
import type { CompletedJob, CompletedJob_TemplateDryRun, CompletedJob_TemplateImport } from "../gen/provisionerd_pb.ts";
import { RefusedError } from "../kit/errors.ts";
import { completeBuild } from "./complete-build.ts";
import { storeFile } from "./files.ts";
import { ownedJob } from "./owned-job.ts";
import { checkParameters, checkResources } from "./resource-rules.ts";
import type { Job } from "./rows.ts";
import { mustGet, type World } from "./world.ts";

/**
 * CompleteJob (spec/02 §5.7). `digest` is the SHA-256 of the message's bytes: the same message again after a lost answer
 * succeeds and stores nothing twice (spec/01#118); another one for a job that is over is refused. In the exact form the
 * server looks at neither. Every check comes before the first write: a refusal leaves the job as it was.
 */
export function completeJob(world: World, workerId: string, completed: CompletedJob, digest: string): void {
  const job = ownedJob(world, workerId, completed.jobId);
  if (job.completedAt !== undefined && !world.exact) {
    if (job.completedBy === digest) return;
    throw new RefusedError(serverTexts.alreadyCompleted);
  }
  const { type } = completed;
  let error: string | undefined;
  switch (type.case) {
    case "workspaceBuild":
      completeBuild(world, job, type.value);
      break;
    case "templateImport":
      error = completeImport(world, job, type.value);
      break;
    case "templateDryRun":
      completeDryRun(world, job, type.value);
      break;
    case undefined:
      throw new RefusedError("unknown job type: the message names none");
  }
  const now = world.clock.now();
  world.store.jobs.update(job.id, {
    completedAt: now,
    updatedAt: now,
    error,
    errorCode: undefined,
    completedBy: digest,
  });
  world.jobChanged.ring();
}

/** Returns the error with which the job is recorded although the call succeeds, if there is one. */
function completeImport(world: World, job: Job, value: CompletedJob_TemplateImport): string | undefined {
  const { store } = world;
  if (job.input.kind !== "template_import") throw wrongKind("template import", job);
  const version = mustGet(store.versions, job.input.versionId, "template version");
  if (job.completedBy !== undefined && (version.parameters.length > 0 || version.plan.length > 0)) {
    throw new RefusedError("insert parameter: duplicate key value violates unique constraint");
  }
  checkResources([...value.startResources, ...value.stopResources], () => false);
  checkParameters(value.richParameters);
  const moduleFileId = moduleFileOf(world, value);
  const externalAuth = externalAuthOf(value);
  const isKnown = (id: string) => world.anyExternalAuth || world.externalAuthProviders.has(id);
  const unknown = externalAuth.find(({ id }) => !isKnown(id));
  store.versions.update(version.id, {
    startResources: value.startResources,
    stopResources: value.stopResources,
    startModules: value.startModules,
    stopModules: world.apiVersion.minor <= 14 ? stopModulesOf(value) : [],
    parameters: value.richParameters,
    presets: value.presets,
    externalAuth,
    hasAiTasks: value.hasAiTasks,
    hasExternalAgents: value.hasExternalAgents,
    plan: value.plan.slice(),
    ...(moduleFileId === undefined ? {} : { moduleFileId }),
  });
  if (unknown) return `external auth provider "${unknown.id}" is not configured`;
  store.templates.update(version.templateId, { activeVersionId: version.id });
  return undefined;
}

/** The archive that came along, or the one that was uploaded before; its hash counts only beside a plan (spec/01 §4.15). */
function moduleFileOf(world: World, value: CompletedJob_TemplateImport): string | undefined {
  if (value.moduleFiles.length > 0) return storeFile(world, value.moduleFiles).id;
  if (value.moduleFilesHash.length === 0 || value.plan.length === 0) return undefined;
  const hash = Buffer.from(value.moduleFilesHash).toString("hex");
  const file = world.store.files.find((row) => row.hash === hash);
  if (!file) throw new RefusedError("get file by hash, it should have been uploaded: no rows in result set");
  return file.id;
}

/** Agents at API 1.0 send names only; later ones both (spec/01 §5.5). */
const externalAuthOf = (value: CompletedJob_TemplateImport): ExternalAuthProviderResource[] =>
  value.externalAuthProviders.length > 0
    ? value.externalAuthProviders
    : value.externalAuthProvidersNames.map((id) => create(ExternalAuthProviderResourceSchema, { id }));

/** Field 7, which our schema knows only as reserved (spec/01 §5.4). */
function stopModulesOf(value: Message): Module[] {
  return (value.$unknown ?? [])
    .filter(({ no, wireType }) => no === 7 && wireType === 2)
    .map(({ data }) => fromBinary(ModuleSchema, withoutLength(data)));
}

/** An unknown field is kept with its length in front. */
function withoutLength(data: Uint8Array): Uint8Array {
  const start = data.findIndex((byte) => byte < 0x80) + 1;
  return data.subarray(start);
}

function completeDryRun(world: World, job: Job, value: CompletedJob_TemplateDryRun): void {
  if (job.input.kind !== "template_dry_run") throw wrongKind("template dry run", job);
  checkResources(value.resources, () => false);
  world.store.jobs.update(job.id, { dryRun: { resources: value.resources, modules: value.modules } });
}

const wrongKind = (message: string, job: Job) =>
  new RefusedError(`complete job "${job.id}": the message is of a ${message}, the job is a ${job.input.kind}`);
