import { limits } from "../contract/limits.ts";
import { LogLevel } from "../gen/provisioner_pb.ts";
import { type Log, LogSource } from "../gen/provisionerd_pb.ts";
import { RefusedError } from "../kit/errors.ts";
import type { Job, JobLog } from "./rows.ts";

/** What a request's log lines do to their job. */
export interface LogsTaken {
  stored: JobLog[];
  logsLength: number;
  logsOverflowed: boolean;
}

/** Fits into the part of the limit that is kept for it. */
const overflowNotice = "The logs of this job reached 1 MiB: later lines are not kept.";

/**
 * Checks and cuts the lines of one UpdateJob (spec/02 §3.3). Throws RefusedError for a level or source without a name: then
 * no line of the request is stored.
 */
export function takeLogs(job: Pick<Job, "logsLength" | "logsOverflowed">, lines: readonly Log[]): LogsTaken {
  for (const { level, source } of lines) {
    if (LogLevel[level] === undefined) throw new RefusedError(`convert log level: unknown log level: ${level}`);
    if (LogSource[source] === undefined) throw new RefusedError(`convert log source: unknown log source: ${source}`);
  }
  const taken: LogsTaken = { stored: [], logsLength: job.logsLength, logsOverflowed: job.logsOverflowed };
  for (const line of lines) {
    if (taken.logsOverflowed) break;
    const bytes = Buffer.byteLength(line.output);
    if (taken.logsLength + limits.jobLogReserveBytes + bytes > limits.jobLogBytes) {
      taken.logsOverflowed = true;
      taken.logsLength += Buffer.byteLength(overflowNotice);
      taken.stored.push(toStored(line, LogLevel.WARN, overflowNotice));
    } else {
      taken.logsLength += bytes;
      taken.stored.push(toStored(line, line.level, line.output));
    }
  }
  return taken;
}

/** The database takes no NUL: the whole batch fails, after its length was counted (spec/02 §3.3). */
export const hasNul = (lines: readonly JobLog[]): boolean =>
  lines.some(({ output, stage }) => output.includes("\0") || stage.includes("\0"));

const toStored = (line: Log, level: LogLevel, output: string): JobLog => ({
  source: line.source,
  level,
  createdAt: Number(line.createdAt),
  stage: cut(line.stage, limits.logStageChars),
  output: cut(output, limits.logOutputChars),
});

/** Characters, not bytes and not UTF-16 units (spec/02 §3.3). */
const cut = (text: string, maxChars: number): string =>
  text.length <= maxChars ? text : Array.from(text).slice(0, maxChars).join("");
