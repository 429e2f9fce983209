import { create } from "@bufbuild/protobuf";
import { type RichParameterValue, RichParameterValueSchema } from "../gen/provisioner_pb.ts";
import { HttpRefusal } from "./refusal.ts";
import { type Job, type JobInput, jobStatus, type Tags, type User } from "./rows.ts";
import { mustGet, type World } from "./world.ts";

/** What is needed to put a job into the queue. */
export interface NewJob {
  readonly id: string;
  readonly organizationId: string;
  readonly initiator: User;
  /** Complete. */
  readonly tags: Tags;
  readonly input: JobInput;
}

/** Puts a job into the queue and tells those who wait. */
export function postJob(world: World, { initiator, ...rest }: NewJob): Job {
  const now = world.clock.now();
  const job = world.store.jobs.insert({
    ...rest,
    provisioner: "terraform",
    initiatorId: initiator.id,
    initiatorName: initiator.name,
    traceMetadata: {},
    createdAt: now,
    updatedAt: now,
    logsLength: 0,
    logsOverflowed: false,
  });
  world.queue.post(job);
  return job;
}

/** Puts a job back that its daemon can't have got: better than leaving it locked for the reaper (spec/02 §5.14). */
export function requeueJob(world: World, jobId: string): void {
  const job = world.store.jobs.update(jobId, {
    startedAt: undefined,
    workerId: undefined,
    updatedAt: world.clock.now(),
  });
  world.queue.post(job);
}

/** A user's cancel: a pending job is over at once, a running one is told at its next update (spec/02 §4.2). */
export function cancelJob(world: World, jobId: string): Job {
  const job = mustGet(world.store.jobs, jobId, "job");
  const now = world.clock.now();
  switch (jobStatus(job)) {
    case "pending":
      world.store.jobs.update(jobId, { canceledAt: now, completedAt: now, updatedAt: now });
      break;
    case "running":
      world.store.jobs.update(jobId, { canceledAt: now });
      break;
    case "canceling":
      return job;
    default:
      throw new HttpRefusal(412, `cancel job "${jobId}": it is over`);
  }
  world.jobChanged.ring();
  return mustGet(world.store.jobs, jobId, "job");
}

/** A plain map as parameter values. */
export const toParameterValues = (values: Readonly<Record<string, string>>): RichParameterValue[] =>
  Object.entries(values).map(([name, value]) => create(RichParameterValueSchema, { name, value }));
