import { create } from "@bufbuild/protobuf";
import { serverTexts } from "../contract/methods.ts";
import { type VariableValue, VariableValueSchema } from "../gen/provisioner_pb.ts";
import { type UpdateJobRequest, type UpdateJobResponse, UpdateJobResponseSchema } from "../gen/provisionerd_pb.ts";
import { RefusedError } from "../kit/errors.ts";
import { hasNul, takeLogs } from "./logs.ts";
import { runningJob } from "./owned-job.ts";
import type { Job, StoredVariable, TemplateVersion } from "./rows.ts";
import { mustGet, type World } from "./world.ts";

/**
 * UpdateJob, step by step in the server's order and without a transaction around it: what was done before a refusal stays
 * done (spec/02 §5.5). A job that is over still takes logs and heartbeats.
 */
export function updateJob(world: World, workerId: string, request: UpdateJobRequest): UpdateJobResponse {
  const { store } = world;
  const { id, canceledAt } = runningJob(world, workerId, request.jobId);
  const job = store.jobs.update(id, { updatedAt: world.clock.now() });
  storeLogs(world, job, request);
  if (Object.keys(request.workspaceTags).length > 0) storeWorkspaceTags(world, job, request.workspaceTags);
  if (request.readme.length > 0) {
    store.versions.update(importedVersion(world, job).id, { readme: new TextDecoder().decode(request.readme) });
  }
  const variables = request.templateVariables.length > 0 ? storeVariables(world, job, request) : [];
  return create(UpdateJobResponseSchema, {
    canceled: canceledAt !== undefined,
    variableValues: variables.map(toValue),
  });
}

function storeLogs(world: World, job: Job, { logs }: UpdateJobRequest): void {
  if (logs.length === 0) return;
  const { stored, logsLength, logsOverflowed } = takeLogs(job, logs);
  world.store.jobs.update(job.id, { logsLength, logsOverflowed });
  if (hasNul(stored)) throw new RefusedError('insert job logs: invalid byte sequence for encoding "UTF8": 0x00');
  world.store.appendLogs(job.id, stored);
  world.jobChanged.ring();
}

/** The version that an import is making. Throws RefusedError for any other job. */
function importedVersion(world: World, { input }: Job): TemplateVersion {
  if (input.kind !== "template_import") throw new RefusedError("get template version by job id: no rows in result set");
  return mustGet(world.store.versions, input.versionId, "template version");
}

function storeWorkspaceTags(world: World, job: Job, tags: Readonly<Record<string, string>>): void {
  const { id, workspaceTags } = importedVersion(world, job);
  if (world.exact && Object.keys(tags).some((key) => Object.hasOwn(workspaceTags, key))) {
    throw new RefusedError("update template version workspace tags: duplicate key value violates unique constraint");
  }
  world.store.versions.update(id, { workspaceTags: { ...workspaceTags, ...tags } });
}

function storeVariables(world: World, job: Job, request: UpdateJobRequest): StoredVariable[] {
  const version = importedVersion(world, job);
  const given = new Map(request.userVariableValues.map(({ name, value }) => [name, value]));
  const known = new Set(version.variables.map(({ variable }) => variable.name));
  if (world.exact && request.templateVariables.some(({ name }) => known.has(name))) {
    throw new RefusedError("insert parameter schema: duplicate key value violates unique constraint");
  }
  const variables = request.templateVariables.map((variable) => ({
    variable,
    value: given.get(variable.name) ?? variable.defaultValue,
  }));
  world.store.versions.update(version.id, { variables });
  const missing = variables.filter(({ variable, value }) => variable.required && value === "");
  if (missing.length > 0) {
    const names = missing.map(({ variable }) => variable.name).join(", ");
    throw new RefusedError(`${serverTexts.requiredVariables} need values: ${names}`);
  }
  return variables;
}

const toValue = ({ variable, value }: StoredVariable): VariableValue =>
  create(VariableValueSchema, { name: variable.name, value, sensitive: variable.sensitive });
