import { serverTexts } from "../contract/methods.ts";
import { RefusedError } from "../kit/errors.ts";
import { isUuid } from "./chance.ts";
import type { Job } from "./rows.ts";
import type { World } from "./world.ts";

/** The job by id. Throws RefusedError: `parse job id: …` or `get job: …` (spec/02 §5.5). */
export function jobById(world: World, jobId: string): Job {
  if (!isUuid(jobId)) throw new RefusedError(`parse job id: invalid UUID "${jobId}"`);
  const job = world.store.jobs.get(jobId.toLowerCase());
  if (!job) throw new RefusedError("get job: no rows in result set");
  return job;
}

/** The job, if this worker has it. Throws RefusedError as `jobById`, or for another's job (spec/02 §5.6). */
export function ownedJob(world: World, workerId: string, jobId: string): Job {
  const job = jobById(world, jobId);
  if (job.workerId !== workerId) throw new RefusedError(serverTexts.notYourJob);
  return job;
}

/** As `ownedJob`, and a job that nobody has is told apart (spec/02 §5.5). */
export function runningJob(world: World, workerId: string, jobId: string): Job {
  if (jobById(world, jobId).workerId === undefined) throw new RefusedError(serverTexts.notRunning);
  return ownedJob(world, workerId, jobId);
}
