import { create } from "@bufbuild/protobuf";
import { limits } from "../contract/limits.ts";
import { VariableValueSchema } from "../gen/provisioner_pb.ts";
import { postJob, toParameterValues } from "./jobs.ts";
import { HttpRefusal } from "./refusal.ts";
import type { Job, Tags, Template, TemplateVersion, User } from "./rows.ts";
import { completeTags } from "./tags.ts";
import { mustGet, type World } from "./world.ts";

/** A template's tar on its way in. */
export interface NewVersion {
  readonly organizationId: string;
  /** The template's name; a new name makes a template. */
  readonly template: string;
  /** The version's name; a random one when absent. */
  readonly version?: string;
  readonly archive: Uint8Array;
  readonly initiator: User;
  readonly tags?: Tags;
  /** Values of template variables. */
  readonly variables?: Readonly<Record<string, string>>;
}

/** A version with the job that imports it. */
export interface StartedImport {
  readonly template: Template;
  readonly version: TemplateVersion;
  readonly job: Job;
}

const nothing = new Uint8Array();

/** Uploads a version and starts its import. It becomes the template's active version when that succeeds. */
export function importVersion(world: World, input: NewVersion): StartedImport {
  const { store, chance } = world;
  if (input.archive.length > limits.rpcMessageBytes) {
    throw new HttpRefusal(
      413,
      `import "${input.template}": the archive has ${input.archive.length} bytes: it must fit into a message of ${limits.rpcMessageBytes}`,
    );
  }
  if (input.template === "") throw new HttpRefusal(400, "import a template: the name must not be empty");
  const { organizationId } = input;
  const template =
    store.templates.find((row) => row.organizationId === organizationId && row.name === input.template) ??
    store.templates.insert({ id: chance.uuid(), organizationId, name: input.template });
  const jobId = chance.uuid();
  const version = store.versions.insert({
    id: chance.uuid(),
    organizationId,
    templateId: template.id,
    name: input.version ?? `v${chance.word(8)}`,
    jobId,
    archive: input.archive,
    readme: "",
    variables: [],
    workspaceTags: {},
    parameters: [],
    presets: [],
    startResources: [],
    stopResources: [],
    startModules: [],
    stopModules: [],
    externalAuth: [],
    hasAiTasks: false,
    hasExternalAgents: false,
    plan: nothing,
  });
  const job = postJob(world, {
    id: jobId,
    organizationId,
    initiator: input.initiator,
    tags: completeTags(input.tags ?? {}, input.initiator.id),
    input: { kind: "template_import", versionId: version.id, userVariableValues: variablesOf(world, template, input) },
  });
  return { template, version, job };
}

/** The request's values, then those of the active version that it does not name; all sensitive (spec/02 §5.4). */
function variablesOf(world: World, template: Template, { variables = {} }: NewVersion) {
  const active = template.activeVersionId
    ? mustGet(world.store.versions, template.activeVersionId, "template version")
    : undefined;
  const kept = (active?.variables ?? [])
    .filter(({ variable }) => !Object.hasOwn(variables, variable.name))
    .map(({ variable, value }): [string, string] => [variable.name, value]);
  return [...Object.entries(variables), ...kept].map(([name, value]) =>
    create(VariableValueSchema, { name, value, sensitive: true }),
  );
}

/** What a dry run tries. */
export interface NewDryRun {
  readonly versionId: string;
  readonly initiator: User;
  readonly workspaceName?: string;
  readonly parameters?: Readonly<Record<string, string>>;
}

/** Starts a dry run of an imported version. */
export function dryRun(world: World, { versionId, initiator, workspaceName = "", parameters = {} }: NewDryRun): Job {
  const { version, job } = importedVersion(world, versionId);
  return postJob(world, {
    id: world.chance.uuid(),
    organizationId: version.organizationId,
    initiator,
    tags: completeTags(job.tags, initiator.id),
    input: { kind: "template_dry_run", versionId, workspaceName, parameters: toParameterValues(parameters) },
  });
}

/** A version whose import is over and went well. Throws HttpRefusal 400 otherwise. */
export function importedVersion(world: World, versionId: string): { version: TemplateVersion; job: Job } {
  const version = mustGet(world.store.versions, versionId, "template version");
  const job = mustGet(world.store.jobs, version.jobId, "job");
  if (job.completedAt === undefined)
    throw new HttpRefusal(400, `use template version "${version.name}": its import is not over`);
  if (job.error) throw new HttpRefusal(400, `use template version "${version.name}": its import failed: ${job.error}`);
  return { version, job };
}
