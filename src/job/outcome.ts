import { create } from "@bufbuild/protobuf";
import { StepError } from "../contract/step-error.ts";
import {
  type FailedJob,
  FailedJob_TemplateDryRunSchema,
  FailedJob_TemplateImportSchema,
  FailedJob_WorkspaceBuildSchema,
  FailedJobSchema,
} from "../gen/provisionerd_pb.ts";
import { scanState } from "../kit/state-scan.ts";
import type { Completion } from "./completion.ts";
import { type Failure, failureOf, interruptedFailure } from "./failures.ts";
import { GaveUp, Interrupted } from "./interruption.ts";
import type { JobIdentity } from "./job.ts";
import type { Ledger } from "./ledger.ts";

/** How a job ended, before anything was reported. */
export type Outcome = { kind: "completed"; completion: Completion } | { kind: "failed"; failure: Failure };

/** What a pipeline returned or threw. */
export type Settled = { ok: true; completion: Completion } | { ok: false; error: unknown };

/** Turns what a pipeline returned or threw into one outcome; `interrupted` tells why it ended early, if it did. */
export function outcomeOf(
  settled: Settled,
  job: JobIdentity,
  ledger: Ledger,
  interrupted: Interrupted | undefined,
): Outcome {
  if (!settled.ok) {
    const { error } = settled;
    const failure = failureOf(error, job.kind);
    const ownWords = error instanceof Interrupted || error instanceof GaveUp;
    return { kind: "failed", failure: interrupted && !ownWords ? interruptedFailure(failure, interrupted) : failure };
  }
  const { completion } = settled;
  // A completion replaces the stored state whatever it holds (spec/02 §2.5): what isn't a whole state must not get there.
  if (completion.kind === "build" && ledger.applying && !scanState(completion.state)) {
    const text = `apply: it worked, but the state that it left is ${completion.state.length} bytes that are no complete state`;
    return { kind: "failed", failure: failureOf(new StepError(text), job.kind) };
  }
  return { kind: "completed", completion };
}

/**
 * The terminal message of a job that failed. This is the one place that decides which state goes with it: from the
 * moment that an apply begins, the newest state known that is complete; before, none (spec/02 §2.8 [ours]). The type is
 * always the job's kind: a failure without one gives no notification and no event (W29).
 */
export function failedJob(job: JobIdentity, failure: Failure, ledger: Ledger): FailedJob {
  return create(FailedJobSchema, {
    jobId: job.id,
    error: failure.text,
    errorCode: failure.code,
    type: typeOf(job, ledger),
  });
}

function typeOf({ kind }: JobIdentity, ledger: Ledger): FailedJob["type"] {
  switch (kind) {
    case "import":
      return { case: "templateImport", value: create(FailedJob_TemplateImportSchema) };
    case "dry-run":
      return { case: "templateDryRun", value: create(FailedJob_TemplateDryRunSchema) };
    case "build": {
      const state = (ledger.applying && ledger.newestState) || new Uint8Array();
      const value = create(FailedJob_WorkspaceBuildSchema, { state, timings: ledger.allTimings });
      return { case: "workspaceBuild", value };
    }
    case undefined:
      return { case: undefined };
  }
}
