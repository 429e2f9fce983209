import { create } from "@bufbuild/protobuf";
import {
  type CommitQuotaRequest,
  type CommitQuotaResponse,
  CommitQuotaResponseSchema,
} from "../gen/provisionerd_pb.ts";
import { RefusedError } from "../kit/errors.ts";
import { previousBuild } from "./acquired-job.ts";
import { runningJob } from "./owned-job.ts";
import type { Build } from "./rows.ts";
import { mustGet, type World } from "./world.ts";

/**
 * CommitQuota (spec/02 §5.8). The build is its workspace's latest already, so a second call counts its cost twice: that is
 * the rule, and an agent that repeats the call must see it. Owners without a budget have no quota engine: ok, budget -1.
 */
export function commitQuota(world: World, workerId: string, request: CommitQuotaRequest): CommitQuotaResponse {
  const { store } = world;
  const { input } = runningJob(world, workerId, request.jobId);
  if (input.kind !== "workspace_build") throw new RefusedError("get workspace build: no rows in result set");
  const build = mustGet(store.builds, input.buildId, "workspace build");
  const workspace = mustGet(store.workspaces, build.workspaceId, "workspace");
  const budget = mustGet(store.users, workspace.ownerId, "user").budgets[workspace.organizationId];
  if (budget === undefined) return create(CommitQuotaResponseSchema, { ok: true, budget: -1 });
  const consumed = consumedBy(world, workspace.ownerId, workspace.organizationId);
  const previous = previousBuild(world, build);
  if (consumed + request.dailyCost > budget && (!previous || request.dailyCost >= previous.dailyCost)) {
    return create(CommitQuotaResponseSchema, { ok: false, creditsConsumed: consumed, budget });
  }
  store.builds.update(build.id, { dailyCost: request.dailyCost });
  return create(CommitQuotaResponseSchema, {
    ok: true,
    creditsConsumed: consumedBy(world, workspace.ownerId, workspace.organizationId),
    budget,
  });
}

/** Daily cost of the latest builds of the owner's workspaces that are not deleted. */
function consumedBy(world: World, ownerId: string, organizationId: string): number {
  return world.store.workspaces
    .filter((row) => row.ownerId === ownerId && row.organizationId === organizationId && !row.deleted)
    .reduce((sum, workspace) => sum + (latestBuild(world, workspace.id)?.dailyCost ?? 0), 0);
}

/** The build of a workspace with the highest number. */
export function latestBuild(world: World, workspaceId: string): Build | undefined {
  let latest: Build | undefined;
  for (const build of world.store.builds.all()) {
    if (build.workspaceId === workspaceId && build.number > (latest?.number ?? 0)) latest = build;
  }
  return latest;
}
