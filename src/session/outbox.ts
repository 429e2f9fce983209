import { create } from "@bufbuild/protobuf";
import { levelFromName } from "../contract/stages.ts";
import { LogLevel } from "../gen/provisioner_pb.ts";
import { type FromWorker, FromWorkerSchema, LogLineSchema } from "../gen/session_pb.ts";
import type { ByteStream } from "../wire/stream.ts";
import { encodeFromWorker, maxLogChars } from "./messages.ts";
import type { LogLine } from "./types.ts";

/** Log bytes that wait for the agent. A full second of the busiest debug log is a tenth of this. */
const maxWaitingLogBytes = 4 * 1024 * 1024;

/**
 * What the worker says, in order, one write at a time. Logs never wait for the agent: when it does not read, they are
 * dropped beyond a limit and counted. Everything else is written whatever it takes.
 */
export class Outbox {
  readonly #stream: ByteStream;
  readonly #queue: Uint8Array[] = [];
  #threshold: LogLevel = LogLevel.TRACE;
  /** Bytes of the log lines in the queue. */
  #logBytes = 0;
  #dropped = 0;
  #writing: Promise<void> | undefined;
  #failure: { error: unknown } | undefined;

  constructor(stream: ByteStream) {
    this.#stream = stream;
  }

  /** Lines below this level are dropped; an unknown or empty name drops nothing (spec/03 §5.6). */
  set logLevel(name: string) {
    this.#threshold = levelFromName(name);
  }

  log(line: LogLine): void {
    if (line.level < this.#threshold) return;
    const frame = logFrame(line.level, line.output, line.createdAt);
    if (this.#logBytes + frame.length > maxWaitingLogBytes) {
      this.#dropped++;
      return;
    }
    if (this.#dropped > 0) {
      const text = `${this.#dropped} log lines dropped: the agent did not read them in time`;
      this.#dropped = 0;
      this.#queue.push(logFrame(LogLevel.WARN, text, line.createdAt));
    }
    this.#logBytes += frame.length;
    this.#queue.push(frame);
    this.#writing ??= this.#write();
  }

  /** Resolves when the message, and all before it, is written. Rejects when the stream is gone. */
  async say(kind: FromWorker["kind"]): Promise<void> {
    this.#queue.push(encodeFromWorker(create(FromWorkerSchema, { kind })));
    this.#writing ??= this.#write();
    await this.#writing;
    if (this.#failure) throw this.#failure.error;
  }

  /** Writes until nothing waits: many lines at once, for a write each would be slow. */
  async #write(): Promise<void> {
    while (this.#queue.length > 0) {
      const frames = this.#queue.splice(0);
      this.#logBytes = 0;
      try {
        if (!this.#failure) await this.#stream.write(frames.length === 1 ? (frames[0] as Uint8Array) : concat(frames));
      } catch (error) {
        this.#failure = { error };
      }
    }
    this.#writing = undefined;
  }
}

function logFrame(level: LogLevel, output: string, createdAt: number): Uint8Array {
  const text = output.length > maxLogChars ? `${output.slice(0, maxLogChars - 10)} … (cut)` : output;
  const value = create(LogLineSchema, { level, output: text, createdAt: BigInt(Math.trunc(createdAt)) });
  return encodeFromWorker(create(FromWorkerSchema, { kind: { case: "log", value } }));
}

function concat(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
