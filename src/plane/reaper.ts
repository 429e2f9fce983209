import { LogLevel } from "../gen/provisioner_pb.ts";
import { LogSource } from "../gen/provisionerd_pb.ts";
import { previousBuild } from "./acquired-job.ts";
import { endWithError } from "./fail-job.ts";
import type { Job } from "./rows.ts";
import { mustGet, type World } from "./world.ts";

/** When jobs are given up (spec/02 §5.11). Milliseconds. */
export interface ReaperTimes {
  readonly intervalMs: number;
  /** A started job without an update for this long is hung. */
  readonly hungMs: number;
  /** A job that nobody took for this long is given up, too. */
  readonly pendingMs: number;
  readonly jobsPerRun: number;
}

/** The real server's times. */
export const reaperDefaults: ReaperTimes = {
  intervalMs: 60_000,
  hungMs: 300_000,
  pendingMs: 1_800_000,
  jobsPerRun: 10,
};

/** Runs the reaper until `signal` aborts. */
export async function runReaper(world: World, times: ReaperTimes, signal: AbortSignal): Promise<void> {
  for (;;) {
    await world.clock.sleep(times.intervalMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    reap(world, times);
  }
}

/** One run: a random choice of the jobs that are overdue. Their daemons are not told. */
function reap(world: World, times: ReaperTimes): void {
  const now = world.clock.now();
  const overdue = world.store.jobs.filter(
    ({ completedAt, startedAt, updatedAt }) =>
      completedAt === undefined && now - updatedAt > (startedAt === undefined ? times.pendingMs : times.hungMs),
  );
  for (let left = times.jobsPerRun; left > 0 && overdue.length > 0; left--) {
    const [job] = overdue.splice(Math.floor(world.chance.random() * overdue.length), 1);
    if (job) reapJob(world, job, times);
  }
}

function reapJob(world: World, job: Job, times: ReaperTimes): void {
  const { store } = world;
  const now = world.clock.now();
  const pending = job.startedAt === undefined;
  const minutes = (pending ? times.pendingMs : times.hungMs) / 60_000;
  const fact = pending
    ? `no provisioner took the job for ${minutes} minutes, so it was ended`
    : `the job was hung, without an update for ${minutes} minutes, so it was ended`;
  const rule = "-".repeat(fact.length);
  const stage = store.logs(job.id).at(-1)?.stage ?? "Unknown";
  store.appendLogs(
    job.id,
    ["", rule, fact, rule, ""].map((output, index) => ({
      source: LogSource.PROVISIONER_DAEMON,
      level: LogLevel.ERROR,
      createdAt: now + index,
      stage,
      output,
    })),
  );
  if (pending) store.jobs.update(job.id, { startedAt: now });
  if (job.input.kind === "workspace_build") keepState(world, job.input.buildId);
  endWithError(world, job.id, `${fact} by the reaper`);
}

/** A build without a state gets the one of the build before (spec/02 §5.11). */
function keepState(world: World, buildId: string): void {
  const build = mustGet(world.store.builds, buildId, "workspace build");
  const previous = previousBuild(world, build);
  if (build.state.length === 0 && previous) world.store.builds.update(build.id, { state: previous.state });
}
