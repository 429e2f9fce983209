import type { AgentFact } from "../../src/cli/agent/facts.ts";
import { type JobHeader, jobHeader } from "../../src/cli/agent/job-header.ts";
import type { AcquiredJob } from "../../src/gen/provisionerd_pb.ts";
import type { JobResult } from "../../src/job/events.ts";
import type { JobBench } from "./job-harness.ts";

/** Runs a job on the bench and hands on its facts as an agent does, as they happen. */
export async function runWithFacts(
  bench: JobBench,
  acquired: AcquiredJob,
  tell: (fact: AgentFact) => void,
): Promise<JobResult> {
  const job = jobHeader(acquired, 1);
  tell({ kind: "job-began", job });
  const push = bench.events.push.bind(bench.events);
  bench.events.push = (...events) => {
    for (const event of events) tell({ kind: "job", job, event });
    return push(...events);
  };
  return await bench.run(acquired);
}

/** A build as an agent sees it. */
export const buildHeader: JobHeader = {
  id: "a1b2c3d4-0000-4000-8000-000000000001",
  slot: 1,
  kind: "start",
  forWhom: "alice/dev",
  template: "k8s-dev v14",
  userName: "alice",
  createdAt: 0,
  traceMetadata: {},
  build: {
    templateName: "k8s-dev",
    templateVersion: "v14",
    buildId: "b-1",
    workspaceId: "w-1",
    workspaceName: "dev",
    workspaceOwner: "alice",
    transition: "START",
  },
};

/** How a job ended, good unless told otherwise. */
export const jobResult = (result: Partial<JobResult> = {}): JobResult => ({
  status: "succeeded",
  error: undefined,
  code: "",
  unconfirmed: undefined,
  rescue: false,
  longestGapMs: 0,
  ...result,
});
