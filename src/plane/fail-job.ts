import { serverTexts } from "../contract/methods.ts";
import type { FailedJob } from "../gen/provisionerd_pb.ts";
import { RefusedError } from "../kit/errors.ts";
import { ownedJob } from "./owned-job.ts";
import type { World } from "./world.ts";

/** FailJob: ends the job; a state that came along replaces the build's, an empty one leaves it (spec/02 §5.6). */
export function failJob(world: World, workerId: string, failed: FailedJob): void {
  const job = ownedJob(world, workerId, failed.jobId);
  if (job.completedAt !== undefined) throw new RefusedError(serverTexts.alreadyCompleted);
  endWithError(world, job.id, failed.error, failed.errorCode);
  if (
    failed.type.case === "workspaceBuild" &&
    job.input.kind === "workspace_build" &&
    failed.type.value.state.length > 0
  ) {
    world.store.builds.update(job.input.buildId, { state: failed.type.value.state.slice() });
  }
}

/** Ends a job with an error, on the daemon's word or on the server's own. */
export function endWithError(world: World, jobId: string, error: string, errorCode = ""): void {
  const now = world.clock.now();
  world.store.jobs.update(jobId, {
    completedAt: now,
    updatedAt: now,
    error: error || undefined,
    errorCode: errorCode || undefined,
  });
  world.jobChanged.ring();
}
