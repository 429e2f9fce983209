/**
 * Errors are sorted by who must act. Foreign errors are sorted once, where they were met, and keep their cause.
 * Anything that is none of these is a bug.
 */
abstract class SortedError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The exit codes of the command, one per reason to end (sysexits where one fits). */
export const exitCode = {
  ok: 0,
  failed: 1,
  usage: 64,
  unreachable: 69,
  bug: 70,
  busy: 75,
  refused: 77,
  unfit: 78,
  interrupted: 130,
} as const;
export type ExitCode = (typeof exitCode)[keyof typeof exitCode];

export interface OperatorErrorDetails {
  /** A heading in docs/troubleshooting.md, such as OUT-KEY-UNKNOWN. */
  code: string;
  /** Why it happened, one line. */
  reason?: string;
  /** What to do, as a command where there is one. */
  cure?: string;
  exit?: ExitCode;
  cause?: unknown;
}

/** A person must act: a bad key, a bad setting, a missing engine. Printed as three lines: what, cause, cure. */
export class OperatorError extends SortedError {
  readonly code: string;
  readonly reason: string | undefined;
  readonly cure: string | undefined;
  readonly exit: ExitCode;

  constructor(message: string, details: OperatorErrorDetails) {
    super(message, { cause: details.cause });
    this.code = details.code;
    this.reason = details.reason;
    this.cure = details.cure;
    this.exit = details.exit ?? exitCode.failed;
  }
}

/** Time must pass: the network, a 5xx, a lost connection. */
export class TransientError extends SortedError {}

/** The other end broke the protocol: the connection or the stream goes. */
export class PeerError extends SortedError {}

/** The control plane understood a call and answered no. Final: asking again gives the same answer (spec/01 §4.11). */
export class RefusedError extends SortedError {}

/** A message that the other end would drop without a word: found before it is sent (spec/02 §2.10). */
export class TooBigError extends SortedError {
  constructor(
    readonly bytes: number,
    readonly maxBytes: number,
    what: string,
  ) {
    super(`send ${what}: ${bytes} bytes: at most ${maxBytes} fit in one message`);
  }
}

/** Error codes that the control plane knows (spec/02 §2.8). */
export type JobErrorCode = "" | "INSUFFICIENT_QUOTA" | "REQUIRED_TEMPLATE_VARIABLES" | "MISSING_TEMPLATE_PARAMETER";

/** The template's author must act: the job fails with this text and code. */
export class JobError extends SortedError {
  readonly code: JobErrorCode;

  constructor(message: string, options: ErrorOptions & { code?: JobErrorCode } = {}) {
    super(message, options);
    this.code = options.code ?? "";
  }
}

/** A short text for any thrown value, without its stack. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
