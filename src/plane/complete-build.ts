import type { AITask, Resource, Timing } from "../gen/provisioner_pb.ts";
import { WorkspaceTransition } from "../gen/provisioner_pb.ts";
import type { CompletedJob_WorkspaceBuild } from "../gen/provisionerd_pb.ts";
import { RefusedError } from "../kit/errors.ts";
import { isUuid } from "./chance.ts";
import { checkBuildAgents, checkResources } from "./resource-rules.ts";
import type { Build, Job } from "./rows.ts";
import { mustGet, type World } from "./world.ts";

/** Stages of timings that are stored; others are skipped (spec/02 §2.5). */
const timedStages: ReadonlySet<string> = new Set(["init", "plan", "graph", "apply"]);

/**
 * The build's part of CompleteJob: an absent state erases the stored one, agents of the workspace's other builds go, a
 * DESTROY deletes the workspace (spec/02 §5.7). Throws RefusedError before anything is written.
 */
export function completeBuild(world: World, job: Job, value: CompletedJob_WorkspaceBuild): void {
  const { store } = world;
  if (job.input.kind !== "workspace_build") {
    throw new RefusedError(
      `complete job "${job.id}": the message is of a workspace build, the job is a ${job.input.kind}`,
    );
  }
  const build = mustGet(store.builds, job.input.buildId, "workspace build");
  const others = store.builds.filter((other) => other.workspaceId === build.workspaceId && other.id !== build.id);
  if (!world.exact && others.some(({ number }) => number > build.number)) {
    throw new RefusedError(`complete job "${job.id}": build ${build.number} is not the newest of its workspace`);
  }
  // Only in the exact form does a second message come this far: its rows stand beside those of the first.
  const resources = [...build.resources, ...value.resources.map((resource) => withNewIds(world, resource))];
  checkResources(value.resources, (appId) => isOfOtherWorkspace(world, build, appId));
  checkBuildAgents(resources);
  checkAiTasks(world, value.aiTasks);
  store.builds.update(build.id, {
    state: value.state.slice(),
    resources,
    modules: [...build.modules, ...value.modules],
    timings: [...build.timings, ...value.timings.filter(isStored)],
    replacements: value.resourceReplacements,
    aiTasks: value.aiTasks,
  });
  for (const other of others) if (!other.agentsDeleted) store.builds.update(other.id, { agentsDeleted: true });
  if (build.transition === WorkspaceTransition.DESTROY) store.workspaces.update(build.workspaceId, { deleted: true });
}

/** Agent ids are the server's; an app keeps the id that it brought (spec/02 §5.7). */
const withNewIds = (world: World, resource: Resource): Resource => ({
  ...resource,
  agents: resource.agents.map((agent) => ({
    ...agent,
    id: world.chance.uuid(),
    apps: agent.apps.map((app) => ({ ...app, id: app.id || world.chance.uuid() })),
  })),
});

function isOfOtherWorkspace(world: World, build: Build, appId: string): boolean {
  const owner = world.store.builds.find(({ resources }) =>
    resources.some(({ agents }) => agents.some(({ apps }) => apps.some(({ id }) => id === appId))),
  );
  return owner !== undefined && owner.workspaceId !== build.workspaceId;
}

/** Servers of 1.7 to 1.10 demand the sidebar app; later ones read `app_id` first (spec/01 §5.5). */
function checkAiTasks(world: World, tasks: readonly AITask[]): void {
  for (const { appId, sidebarApp } of tasks) {
    const id = world.apiVersion.minor <= 10 ? sidebarApp?.id : appId || sidebarApp?.id;
    if (!id || !isUuid(id)) throw new RefusedError(`parse sidebar app id: invalid UUID "${id ?? ""}"`);
  }
}

const isStored = ({ start, end, stage }: Timing): boolean =>
  timedStages.has(stage) && start !== undefined && end !== undefined && start.seconds !== 0n && end.seconds !== 0n;
