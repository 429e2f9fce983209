import { raceSignal } from "../kit/signals.ts";
import { type Job, type JobLog, type JobStatus, jobStatus } from "./rows.ts";
import { mustGet, type World } from "./world.ts";

/** What happens to a job, in order: log lines, and each status that it was seen in. */
export type JobEvent =
  | { readonly kind: "log"; readonly log: JobLog }
  | { readonly kind: "status"; readonly status: JobStatus };

/** Everything from the first line on, then what comes, until the job is over. A slow reader holds nothing back and misses nothing. */
export async function* followJob(world: World, jobId: string, signal: AbortSignal): AsyncGenerator<JobEvent> {
  let seen = 0;
  let status: JobStatus | undefined;
  for (;;) {
    const change = world.jobChanged.next;
    const job = mustGet(world.store.jobs, jobId, "job");
    const logs = world.store.logs(jobId);
    while (seen < logs.length) yield { kind: "log", log: logs[seen++] as JobLog };
    if (jobStatus(job) !== status) {
      status = jobStatus(job);
      yield { kind: "status", status };
    }
    if (job.completedAt !== undefined) return;
    await raceSignal(change, signal);
  }
}

/** The job once it satisfies `test`. */
export async function waitForJob(
  world: World,
  jobId: string,
  test: (job: Job) => boolean,
  signal: AbortSignal,
): Promise<Job> {
  for (;;) {
    const change = world.jobChanged.next;
    const job = mustGet(world.store.jobs, jobId, "job");
    if (test(job)) return job;
    await raceSignal(change, signal);
  }
}
