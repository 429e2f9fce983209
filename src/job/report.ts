import { createHash } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import { serverTexts } from "../contract/methods.ts";
import { type CompletedJob, CompletedJobSchema, FailedJobSchema } from "../gen/provisionerd_pb.ts";
import type { Clock } from "../kit/clock.ts";
import { messageOf, RefusedError } from "../kit/errors.ts";
import { anySignal } from "../kit/signals.ts";
import { type Completion, completedJob } from "./completion.ts";
import type { JobEvent, JobResult } from "./events.ts";
import { type Failure, failureOf } from "./failures.ts";
import { fitFailure, fitOf, tooBigText } from "./fit.ts";
import type { JobIdentity } from "./job.ts";
import type { Ledger } from "./ledger.ts";
import { failedJob, type Outcome } from "./outcome.ts";
import type { ControlPlane, JobJournal } from "./ports.ts";

export interface ReportNeeds {
  job: JobIdentity;
  ledger: Ledger;
  controlPlane: ControlPlane;
  journal: JobJournal;
  clock: Clock;
  lateComplete: "safe" | "complete";
  /** Aborts when the control plane may have ended the job by itself (spec/02 §5.13). */
  late: AbortSignal;
  onEvent: (event: JobEvent) => void;
}

/** What became of the terminal message. */
export type Reported = Omit<JobResult, "longestGapMs">;

/** Tries of a FailJob that the server refuses for a reason of its own, such as its database: the state hangs on it. */
const failWaitsMs = [1_000, 5_000, 25_000];

/** A completion that was not sent, or given up, for a reason of ours. */
class NotSent extends Error {}

/**
 * Delivers the terminal message (spec/02 §2.10): journaled before its first try, tried until it is answered, a refused
 * completion followed by a failure with the state. Only `signal`, the agent's end, cuts it short. Never rejects.
 */
export async function report(outcome: Outcome, needs: ReportNeeds, signal: AbortSignal): Promise<Reported> {
  if (outcome.kind === "failed") return fail(outcome.failure, needs, signal);
  try {
    await complete(outcome.completion, needs, signal);
    return { status: "succeeded", error: undefined, code: "", unconfirmed: undefined, rescue: false };
  } catch (error) {
    if (signal.aborted) {
      const unconfirmed = `complete job: not answered: ${messageOf(signal.reason)}`;
      return { status: "unconfirmed", error: undefined, code: "", unconfirmed, rescue: needs.ledger.applying };
    }
    return await fail(failureOfCompletion(error, needs.job), needs, signal);
  }
}

function failureOfCompletion(error: unknown, { kind }: JobIdentity): Failure {
  const failure = failureOf(error, kind);
  if (error instanceof NotSent) return failure;
  return { ...failure, text: `complete job: ${failure.text}` };
}

/** A completion that can't be sent is a failure: known before the log ends, so that the log can say it. */
export function foresee(outcome: Outcome, needs: ReportNeeds): Outcome {
  if (outcome.kind === "failed") return outcome;
  const { completion } = outcome;
  const reason = isCareful(completion, needs) && needs.late.aborted ? lateText(needs.late) : tooBig(completion, needs);
  return reason ? { kind: "failed", failure: failureOfCompletion(new NotSent(reason), needs.job) } : outcome;
}

/** Only a build's late completion does harm: it ends the agents of newer builds (spec/02 §5.13 point 6). */
const isCareful = (completion: Completion, { lateComplete }: ReportNeeds) =>
  completion.kind === "build" && lateComplete === "safe";

function tooBig(completion: Completion, { job, controlPlane }: ReportNeeds): string | undefined {
  const message = completedJob(job.id, completion, controlPlane.features);
  return fitOf(message) === "never" ? tooBigText(message) : undefined;
}

async function complete(completion: Completion, needs: ReportNeeds, signal: AbortSignal): Promise<void> {
  const { job, controlPlane, late } = needs;
  const careful = isCareful(completion, needs);
  if (careful && late.aborted) throw new NotSent(lateText(late));
  const message = completedJob(job.id, completion, controlPlane.features);
  using until = careful ? anySignal(signal, late) : anySignal(signal);
  if (fitOf(message) === "without module files") await moveModuleFiles(message, needs, until.signal);
  try {
    await send(message, needs, until.signal);
  } catch (error) {
    const refused = error instanceof RefusedError;
    if (careful && late.aborted && !signal.aborted && !refused) throw new NotSent(lateText(late));
    const { type } = message;
    if (!refused || isFinal(error) || type.case !== "templateImport" || type.value.moduleFilesHash.length === 0)
      throw error;
    // The answer to an upload proves nothing (spec/02 §5.9): the cache is optional, the import is not.
    needs.onEvent({
      kind: "warning",
      text: `complete job with uploaded modules: ${error.message}: trying without them`,
    });
    type.value.moduleFilesHash = new Uint8Array();
    await send(message, needs, until.signal);
  }
}

async function send(message: CompletedJob, needs: ReportNeeds, signal: AbortSignal): Promise<void> {
  await journal({ kind: "completed", bytes: toBinary(CompletedJobSchema, message) }, needs);
  await needs.controlPlane.completeJob(message, signal);
}

/** Takes the module files out of an import: by an upload where the server has one (spec/02 §2.7), else for good. */
async function moveModuleFiles(message: CompletedJob, needs: ReportNeeds, signal: AbortSignal): Promise<void> {
  if (message.type.case !== "templateImport") return;
  const { value } = message.type;
  const files = value.moduleFiles;
  value.moduleFiles = new Uint8Array();
  if (!needs.controlPlane.features.uploadFile) return;
  try {
    await needs.controlPlane.uploadModuleFiles(files, signal);
    value.moduleFilesHash = createHash("sha256").update(files).digest();
  } catch (error) {
    signal.throwIfAborted();
    needs.onEvent({ kind: "warning", text: `upload module files: ${messageOf(error)}: builds will fetch the modules` });
  }
}

async function fail(failure: Failure, needs: ReportNeeds, signal: AbortSignal): Promise<Reported> {
  const { job, ledger, controlPlane, clock } = needs;
  const { message, stateLeftOut } = fitFailure(failedJob(job, failure, ledger));
  const hasState = message.type.case === "workspaceBuild" && message.type.value.state.length > 0;
  // An apply began and told no state: if it made one, it lies where the job ran.
  const unknown = ledger.applying && ledger.newestState === undefined;
  const reported = { error: message.error, code: failure.code };
  await journal({ kind: "failed", bytes: toBinary(FailedJobSchema, message) }, needs);
  for (let tries = 0; ; tries++) {
    try {
      await controlPlane.failJob(message, signal);
      return { ...reported, status: "failed", unconfirmed: undefined, rescue: stateLeftOut || unknown };
    } catch (error) {
      const waitMs = failWaitsMs[tries];
      if (signal.aborted || isFinal(error) || waitMs === undefined) {
        const unconfirmed = `fail job: ${messageOf(error)}`;
        return { ...reported, status: "unconfirmed", unconfirmed, rescue: hasState || stateLeftOut || unknown };
      }
      needs.onEvent({ kind: "warning", text: `fail job: ${messageOf(error)}: trying again` });
      await clock.sleep(waitMs, signal).catch(() => undefined);
    }
  }
}

/** Answers after which nothing may be sent for the job any more (02#41). */
export function isFinal(error: unknown): boolean {
  const text = messageOf(error);
  return (
    error instanceof RefusedError &&
    (text.includes(serverTexts.alreadyCompleted) || text.includes(serverTexts.notYourJob))
  );
}

/** A journal that fails must not keep the message from being sent: then only a crash before the answer loses it. */
async function journal(message: Parameters<JobJournal["terminal"]>[0], needs: ReportNeeds): Promise<void> {
  try {
    await needs.journal.terminal(message);
  } catch (error) {
    needs.onEvent({ kind: "warning", text: `journal the terminal message: ${messageOf(error)}` });
  }
}

function lateText(late: AbortSignal): string {
  return `the job worked, but ${messageOf(late.reason)}: its state is saved by this failure, run it again to show its resources`;
}
