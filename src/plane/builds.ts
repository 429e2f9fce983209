import { PrebuiltWorkspaceBuildStage, WorkspaceTransition } from "../gen/provisioner_pb.ts";
import { postJob } from "./jobs.ts";
import { resolveParameters } from "./parameters.ts";
import { latestBuild } from "./quota.ts";
import { HttpRefusal } from "./refusal.ts";
import type { Build, Job, TaskOfBuild, TemplateVersion, User, Workspace } from "./rows.ts";
import { completeTags } from "./tags.ts";
import { importedVersion } from "./templates.ts";
import { foldWorkspaceTags } from "./workspace-tags.ts";
import { mustGet, type World } from "./world.ts";

/** What a build may ask for; the first build of a workspace is always a start. */
export interface BuildOptions {
  /** Parameter values; for those not named see `resolveParameters`. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Name of a preset of the version. */
  readonly preset?: string;
  readonly logLevel?: "" | "debug";
  /** Which version; the workspace's last one when absent, the template's active one for the first build. */
  readonly versionId?: string;
  readonly prebuildStage?: PrebuiltWorkspaceBuildStage;
  readonly task?: TaskOfBuild;
}

export interface NewWorkspace extends BuildOptions {
  readonly templateId: string;
  readonly name: string;
  readonly owner: User;
  readonly initiator: User;
}

export interface NewBuild extends BuildOptions {
  readonly workspaceId: string;
  readonly initiator: User;
  readonly transition: "start" | "stop" | "delete";
  /** Replaces the state that the build before left. */
  readonly state?: Uint8Array;
  /** Starts from no state: what it names is forgotten, not destroyed. */
  readonly orphan?: boolean;
}

/** A build with its job. */
export interface StartedBuild {
  readonly workspace: Workspace;
  readonly build: Build;
  readonly job: Job;
}

const transitions = {
  start: WorkspaceTransition.START,
  stop: WorkspaceTransition.STOP,
  delete: WorkspaceTransition.DESTROY,
} as const;

/** Makes a workspace and starts its first build. Throws HttpRefusal 409 for a name that the owner uses already. */
export function createWorkspace(world: World, input: NewWorkspace): StartedBuild {
  const { store } = world;
  const template = mustGet(store.templates, input.templateId, "template");
  const taken = store.workspaces.find(
    (row) => row.ownerId === input.owner.id && row.name === input.name && !row.deleted,
  );
  if (taken) throw new HttpRefusal(409, `create workspace "${input.name}": ${input.owner.name} has one of that name`);
  const versionId = input.versionId ?? template.activeVersionId;
  if (!versionId)
    throw new HttpRefusal(400, `create workspace "${input.name}": template "${template.name}" has no imported version`);
  const workspace: Workspace = {
    id: world.chance.uuid(),
    organizationId: template.organizationId,
    ownerId: input.owner.id,
    templateId: template.id,
    name: input.name,
    deleted: false,
    createdAt: world.clock.now(),
  };
  return startBuild(world, workspace, { ...input, versionId, workspaceId: workspace.id, transition: "start" });
}

/** Starts a build of a workspace. Throws HttpRefusal 409 while another of its builds runs. */
export function createBuild(world: World, input: NewBuild): StartedBuild {
  const workspace = mustGet(world.store.workspaces, input.workspaceId, "workspace");
  if (workspace.deleted) throw new HttpRefusal(410, `build workspace "${workspace.name}": it is deleted`);
  return startBuild(world, workspace, input);
}

/** Everything is checked before anything is stored: a refusal leaves no trace. */
function startBuild(world: World, workspace: Workspace, input: NewBuild): StartedBuild {
  const { store, chance } = world;
  const last = latestBuild(world, workspace.id);
  if (last && mustGet(store.jobs, last.jobId, "job").completedAt === undefined) {
    throw new HttpRefusal(409, `build workspace "${workspace.name}": build ${last.number} is not over`);
  }
  const { version, job: importJob } = importedVersion(world, input.versionId ?? last?.versionId ?? "");
  const owner = mustGet(store.users, workspace.ownerId, "user");
  const parameters = resolveParameters(version.parameters, {
    given: input.parameters ?? {},
    preset: presetOf(version, input.preset),
    previous: last?.parameters,
  });
  const tags = completeTags(
    { ...completeTags(importJob.tags, owner.id), ...foldWorkspaceTags(version.workspaceTags) },
    owner.id,
  );
  const buildId = chance.uuid();
  const jobId = chance.uuid();
  const build: Build = {
    id: buildId,
    workspaceId: workspace.id,
    number: (last?.number ?? 0) + 1,
    versionId: version.id,
    jobId,
    transition: transitions[input.transition],
    parameters,
    logLevel: input.logLevel ?? "",
    prebuildStage: input.prebuildStage ?? PrebuiltWorkspaceBuildStage.NONE,
    ...(input.task ? { task: input.task } : {}),
    state: input.state ?? (input.orphan ? undefined : last?.state) ?? new Uint8Array(),
    dailyCost: 0,
    resources: [],
    modules: [],
    timings: [],
    replacements: [],
    aiTasks: [],
    agentsDeleted: false,
  };
  if (!last) store.workspaces.insert(workspace);
  store.builds.insert(build);
  const job = postJob(world, {
    id: jobId,
    organizationId: workspace.organizationId,
    initiator: input.initiator,
    tags,
    input: { kind: "workspace_build", buildId },
  });
  return { workspace, build, job };
}

function presetOf(version: TemplateVersion, name: string | undefined): Record<string, string> {
  if (name === undefined) return {};
  const preset = version.presets.find((row) => row.name === name);
  if (!preset) throw new HttpRefusal(400, `build with preset "${name}": version "${version.name}" has no such preset`);
  return Object.fromEntries(preset.parameters.map((parameter) => [parameter.name, parameter.value]));
}

/** Replaces the state of a finished build: how a person rescues one (spec/02 §5.13). Throws HttpRefusal 409 while it runs. */
export function pushState(world: World, buildId: string, state: Uint8Array): void {
  const build = mustGet(world.store.builds, buildId, "workspace build");
  if (mustGet(world.store.jobs, build.jobId, "job").completedAt === undefined) {
    throw new HttpRefusal(409, `push state to build "${buildId}": it is not over`);
  }
  world.store.builds.update(buildId, { state: state.slice() });
}
