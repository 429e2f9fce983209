import { serverTexts } from "../contract/methods.ts";
import { StepError } from "../contract/step-error.ts";
import { JobError, type JobErrorCode, messageOf, OperatorError, PeerError, RefusedError } from "../kit/errors.ts";
import { cleanText } from "../kit/text.ts";
import { GaveUp, Interrupted } from "./interruption.ts";
import type { JobKind } from "./job.ts";
import type { Ledger } from "./ledger.ts";

/** Longest text of an error in characters: it is a column of a table, and shown whole. */
const maxErrorChars = 16_384;

/** A failure as it is reported: what, and what to do. */
export interface Failure {
  /** Never empty: an empty text would make the job succeed (spec/02 §2.8). */
  text: string;
  code: JobErrorCode;
  /** What to do, one line. */
  advice: string;
}

/** Runs a step under a prefix of spec/02 §2.8: `prefix: cause`, with the cause's code and timings. An interrupt passes as it is. */
export async function within<T>(prefix: string, step: Promise<T>): Promise<T> {
  try {
    return await step;
  } catch (error) {
    if (error instanceof Interrupted || error instanceof GaveUp) throw error;
    const code = error instanceof JobError ? error.code : "";
    const timings = error instanceof StepError ? error.timings : [];
    throw new StepError(`${prefix}: ${messageOf(error)}`, { code, timings, cause: error });
  }
}

/** What was thrown, in words and with its code. */
export function failureOf(error: unknown, kind: JobKind | undefined): Failure {
  const text = shorten(cleanText(messageOf(error))) || "the job failed without a word";
  return { text, code: codeOf(error, text, kind), advice: adviceOf(error) };
}

/**
 * The failure of a job that was interrupted while a step ran. What the step said stands as it is when a user canceled,
 * who knows why; any other reason is put before it.
 */
export function interruptedFailure(failure: Failure, interrupted: Interrupted): Failure {
  const text = interrupted.reason === "canceled" ? failure.text : `${interrupted.message}: ${failure.text}`;
  return { ...failure, text, advice: adviceFor(interrupted) };
}

/**
 * The code, set where the error was made; else out of the text, as servers and users know it. The texts of a build's
 * own steps are never searched: a provider may say anything (02#26).
 */
function codeOf(error: unknown, text: string, kind: JobKind | undefined): JobErrorCode {
  if (error instanceof JobError && error.code) return error.code;
  if (kind === "build" && error instanceof JobError) return "";
  if (text.includes(serverTexts.requiredVariables)) return "REQUIRED_TEMPLATE_VARIABLES";
  if (text.includes("missing parameter")) return "MISSING_TEMPLATE_PARAMETER";
  return "";
}

function adviceOf(error: unknown): string {
  const cause = error instanceof StepError && error.cause ? error.cause : error;
  if (error instanceof JobError && error.code === "INSUFFICIENT_QUOTA") {
    return "stop or delete other workspaces of this owner, or ask for a higher quota allowance";
  }
  if (messageOf(error).includes(serverTexts.requiredVariables)) {
    return "give each of these template variables a value and push the template again";
  }
  if (cause instanceof Interrupted) return adviceFor(cause);
  if (cause instanceof GaveUp) return adviceFor(cause.cause);
  if (cause instanceof PeerError) {
    return "this is not the template's doing: the process that ran the job is gone; run it again, and if that repeats tell whoever runs the agent";
  }
  if (cause instanceof RefusedError) return "the control plane said no: its own log has more";
  if (cause instanceof OperatorError) return cause.cure ?? "tell whoever runs the agent";
  if (cause instanceof JobError)
    return "the lines of that stage say why: correct the template or its parameters and run it again";
  return "this is a fault of the agent: please report it with this log";
}

function adviceFor({ reason }: Interrupted): string {
  switch (reason) {
    case "canceled":
      return "it was canceled on request: run it again when you like";
    case "stopped":
    case "killed":
      return "the agent was shut down: run it again, another agent or the next one takes it";
    case "job timeout":
    case "silence":
      return "see what it was waiting for; if that is normal, whoever runs the agent can raise the limit";
    case "not ours":
      return "the control plane gave this job to another agent or ended it: see there";
  }
}

/** The last words of a failed job's log: what failed, where, what to do. */
export function summaryOf(failure: Failure, ledger: Ledger, kind: JobKind | undefined): string {
  const where = ledger.at ? `in: ${ledger.at.stage} (${ledger.at.step})` : "in: before the first step";
  const lines = [`failed: ${failure.text}`, where, `next: ${failure.advice}`];
  if (kind === "build" && ledger.applying) lines.push(`state: ${stateNote(ledger)}`);
  return lines.join("\n");
}

function stateNote({ newestState }: Ledger): string {
  if (!newestState) return "the apply had begun, and no state of it is known: look for resources that it made";
  return `the newest state of the apply, ${newestState.length} bytes, goes to the control plane with this failure`;
}

function shorten(text: string): string {
  return text.length <= maxErrorChars
    ? text
    : `${text.slice(0, maxErrorChars).toWellFormed()} … (${text.length} characters)`;
}
