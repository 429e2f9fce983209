import { LogLevel } from "../gen/provisioner_pb.ts";
import { LogSource } from "../gen/provisionerd_pb.ts";
import type { Clock } from "../kit/clock.ts";
import type { JobLine } from "./events.ts";
import { heldBackBytes, type LineRank, LogBudget } from "./log-budget.ts";
import { storable } from "./log-lines.ts";

/** Lines of one request: the daemon's own figure (spec/02 §3.2). */
const batchLines = 100;
/** Bytes of one request: far below the 4 MiB of a message, and about what one answer per 250 ms can carry (spec/02 §3.2). */
const batchBytes = 256 * 1024;
/** Bytes that wait while the control plane doesn't answer (spec/02 §3.2). */
const maxBytes = 4 * 1024 * 1024;
/** When that is full, so much is freed at once: dropping line by line would walk the queue for each. */
const freeBytes = 512 * 1024;
/** What a line costs in a request beside its output: stage, time, level, framing. */
const lineOverheadBytes = 64;

interface Queued {
  line: JobLine;
  /** Bytes of the output: what the server counts. */
  bytes: number;
  /** Monotonic milliseconds. */
  at: number;
}

/**
 * The lines of one job that are not sent yet, in order and bounded (02#50, 02#51). What doesn't fit into what the
 * control plane keeps is left out here, so that errors and the last lines always fit.
 */
export class LogQueue {
  readonly #clock: Clock;
  readonly #flushMs: number;
  readonly #budget = new LogBudget();
  #queue: Queued[] = [];
  #bytes = 0;
  /** Lines dropped since the last batch, because nobody took them. */
  #dropped = 0;
  /** The last of the lines that the log has no space for. */
  readonly #heldBack: Queued[] = [];
  #heldBackBytes = 0;
  #leftOut = 0;

  constructor(clock: Clock, flushMs: number) {
    this.#clock = clock;
    this.#flushMs = flushMs;
  }

  /** Lines that wait to be sent. */
  get length(): number {
    return this.#queue.length;
  }

  get empty(): boolean {
    return this.#queue.length === 0;
  }

  /** Milliseconds until a batch is due: since the first line, or at once when there is enough; undefined without lines. */
  get dueInMs(): number | undefined {
    const first = this.#queue[0];
    if (!first) return undefined;
    if (this.#queue.length >= batchLines || this.#bytes >= batchBytes) return 0;
    return Math.max(0, first.at + this.#flushMs - this.#clock.monotonic());
  }

  /** Queues a line; one too long for the server becomes several. */
  push(line: JobLine): void {
    const at = this.#clock.monotonic();
    if (this.#budget.repeats(line.output, at)) return;
    for (const output of storable(line.output)) {
      const queued = { line: { ...line, output }, bytes: Buffer.byteLength(output), at };
      if (this.#budget.spend(queued.bytes, rankOf(line))) this.#add(queued);
      else this.#holdBack(queued);
    }
  }

  /** The next batch, and the notice of what was dropped before it. */
  take(): JobLine[] {
    const batch: JobLine[] = [];
    if (this.#dropped > 0 && this.#queue[0]) {
      const text = `${this.#dropped} log lines dropped: the control plane did not take them in time`;
      batch.push(ours(this.#queue[0].line, text));
      this.#dropped = 0;
    }
    let bytes = 0;
    let taken = 0;
    for (const { line, bytes: own } of this.#queue) {
      const cost = own + lineOverheadBytes;
      if (batch.length >= batchLines || (taken > 0 && bytes + cost > batchBytes)) break;
      batch.push(line);
      bytes += cost;
      taken++;
    }
    for (const { bytes: own } of this.#queue.splice(0, taken)) this.#bytes -= own + lineOverheadBytes;
    return batch;
  }

  /** Lines dropped so far because nobody took them, and not yet announced. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Counts lines that were taken and then lost. */
  lose(lines: number): void {
    this.#dropped += lines;
  }

  /** Queues the lines that were held back: the end of the log is what people read. */
  release(): void {
    const last = this.#heldBack.splice(0);
    this.#heldBackBytes = 0;
    const gone = this.#leftOut - last.length;
    if (last[0] && gone > 0) {
      const text = `${gone} log lines left out: the control plane keeps 1 MiB of a job's log; its last lines follow`;
      this.#add({ line: ours(last[0].line, text), bytes: text.length, at: this.#clock.monotonic() });
    }
    for (const queued of last) if (this.#budget.spend(queued.bytes, "last")) this.#add(queued);
    this.#leftOut = 0;
  }

  #add(queued: Queued): void {
    this.#queue.push(queued);
    this.#bytes += queued.bytes + lineOverheadBytes;
    if (this.#bytes > maxBytes) this.#free();
  }

  /** Drops the oldest lines that are no errors; if only errors are left, the oldest of them. */
  #free(): void {
    const drop = (isLost: (line: JobLine) => boolean) => {
      this.#queue = this.#queue.filter(({ line, bytes }) => {
        if (this.#bytes <= maxBytes - freeBytes || !isLost(line)) return true;
        this.#bytes -= bytes + lineOverheadBytes;
        this.#budget.refund(bytes);
        this.#dropped++;
        return false;
      });
    };
    drop((line) => rankOf(line) === "plain");
    drop(() => true);
  }

  #holdBack(queued: Queued): void {
    if (this.#leftOut++ === 0) {
      const text = "the log is nearly full: from here on only errors, and the last lines at the end";
      this.#add({ line: ours(queued.line, text), bytes: text.length, at: queued.at });
    }
    this.#heldBack.push(queued);
    this.#heldBackBytes += queued.bytes;
    while (this.#heldBackBytes > heldBackBytes || this.#heldBack.length > batchLines) {
      this.#heldBackBytes -= this.#heldBack.shift()?.bytes ?? 0;
    }
  }
}

/** A notice of our own, at the place of another line. */
function ours(line: JobLine, output: string): JobLine {
  return { ...line, source: LogSource.PROVISIONER_DAEMON, level: LogLevel.WARN, output };
}

function rankOf(line: JobLine): LineRank {
  if (line.source === LogSource.PROVISIONER_DAEMON) return "last";
  return line.level === LogLevel.ERROR ? "error" : "plain";
}
