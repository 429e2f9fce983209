import type { LogLevel } from "../gen/provisioner_pb.ts";
import type { LogSource } from "../gen/provisionerd_pb.ts";
import type { JobErrorCode } from "../kit/errors.ts";

/** The steps of a job as people know them. */
export type StepName =
  | "open"
  | "download"
  | "init"
  | "parse"
  | "variables"
  | "plan"
  | "quota"
  | "apply"
  | "graph"
  | "report";

/** One line of a job's log, redacted. An empty output of our own is a marker: it opens a stage. */
export interface JobLine {
  source: LogSource;
  level: LogLevel;
  stage: string;
  output: string;
  /** Unix milliseconds. */
  createdAt: number;
}

/** What happens in a job, for the screen and for metrics: nothing in the job depends on who listens. */
export type JobEvent =
  | { kind: "step-began"; step: StepName; stage: string }
  | { kind: "step-ended"; step: StepName; stage: string; ms: number; ok: boolean }
  /** Resources that a plan or apply has dealt with, of those that were planned. */
  | { kind: "progress"; done: number; total: number }
  | { kind: "log"; line: JobLine }
  | { kind: "interrupted"; reason: InterruptReason; text: string }
  /** Something that the job survives and an operator may want to know. */
  | { kind: "warning"; text: string }
  | { kind: "logs-dropped"; lines: number }
  /** The control plane answered an update; so many lines wait for the next one. */
  | { kind: "update-answered"; waitingLines: number }
  | { kind: "result"; result: JobResult };

/** Why a job was interrupted: a user, a shutdown, its own limits, or a control plane that says it isn't ours. */
export type InterruptReason = "canceled" | "stopped" | "killed" | "job timeout" | "silence" | "not ours";

/**
 * How a job ended.
 *
 *  - succeeded, failed: the control plane has said that it took the terminal message
 *  - unconfirmed: it has not, for the reason in `unconfirmed`; the journal's record must stay
 */
export interface JobResult {
  status: "succeeded" | "failed" | "unconfirmed";
  /** Why the job failed; undefined when it did not. */
  error: string | undefined;
  code: JobErrorCode;
  /** Why nobody knows whether the control plane took the result. */
  unconfirmed: string | undefined;
  /**
   * A state exists, or may exist, that the control plane did not take: what the job left must stay, for a person to
   * save it (spec/02 §5.13 step 7).
   */
  rescue: boolean;
  /** Longest time between two answered updates in milliseconds. */
  longestGapMs: number;
}
