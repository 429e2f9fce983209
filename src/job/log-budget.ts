import { limits } from "../contract/limits.ts";

/** What the server keeps of one job's log: what comes after it is lost, errors included (spec/02 §3.3). */
const totalBytes = limits.jobLogBytes - limits.jobLogReserveBytes;
/** The server counts a batch twice that is repeated after a lost answer. */
const repeatBytes = 64 * 1024;
/** Kept for the last lines and the summary of the job. */
const lastBytes = 48 * 1024;
/** Kept for errors that come after the log is full of other lines. */
const errorBytes = 128 * 1024;
/** From here on lines that only repeat themselves are thinned out. */
const thinAfterBytes = totalBytes / 2;
/** Resources that are watched for repeating lines; a template with more of them in progress repeats unthinned. */
const maxRepeating = 4_096;

const stillWorking = /^(.{1,512}?): Still (?:creating|modifying|destroying|reading)\.\.\./s;

/** What a line is worth when space is short. */
export type LineRank = "plain" | "error" | "last";

/** Decides which lines still fit into what the control plane keeps of a job's log. */
export class LogBudget {
  #spent = 0;
  readonly #repeats = new Map<string, { next: number; everyMs: number }>();

  /** True when the line fits; its bytes are spent then. */
  spend(bytes: number, rank: LineRank): boolean {
    const kept = rank === "plain" ? lastBytes + errorBytes : rank === "error" ? lastBytes : 0;
    if (this.#spent + bytes > totalBytes - repeatBytes - kept) return false;
    this.#spent += bytes;
    return true;
  }

  /** Gives back what a line cost that will not be sent. */
  refund(bytes: number): void {
    this.#spent -= bytes;
  }

  /** True for a line that says no more than "still at it", soon after the last one about the same resource. */
  repeats(output: string, nowMs: number): boolean {
    if (this.#spent < thinAfterBytes) return false;
    const resource = stillWorking.exec(output)?.[1];
    if (resource === undefined) return false;
    const seen = this.#repeats.get(resource);
    if (seen && nowMs < seen.next) return true;
    if (!seen && this.#repeats.size >= maxRepeating) return false;
    const everyMs = seen ? 2 * seen.everyMs : 60_000;
    this.#repeats.set(resource, { next: nowMs + everyMs, everyMs });
    return false;
  }
}

/** Bytes of lines that are held back for the end, when the log is full: the reason of a failure is usually there. */
export const heldBackBytes = 24 * 1024;
