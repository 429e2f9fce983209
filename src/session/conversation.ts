import { create } from "@bufbuild/protobuf";
import { StepError } from "../contract/step-error.ts";
import { LogLevel } from "../gen/provisioner_pb.ts";
import type { LogLine as LogMessage } from "../gen/session_pb.ts";
import { CancelSchema, type FromWorker, type ToWorker, ToWorkerSchema } from "../gen/session_pb.ts";
import type { Clock } from "../kit/clock.ts";
import { type JobErrorCode, messageOf, PeerError } from "../kit/errors.ts";
import type { ByteStream } from "../wire/stream.ts";
import { FrameReader, frameLimits } from "./frames.ts";
import { decodeFromWorker, encodeToWorker, maxLogChars } from "./messages.ts";
import type { LogLine } from "./types.ts";

/** A worker that has been started for one session. */
export interface WorkerConnection {
  stream: ByteStream;
  /** Resolves when the worker has ended by itself, with the reason in words; never rejects. */
  lost: Promise<Error>;
  /** Ends the worker now, with all that it started, and waits until nothing of it is left. Idempotent. */
  dispose(): Promise<void>;
  /**
   * Ends the worker and reads the newest state that it left on disk, if it left one. Asked for only when the stream
   * broke while an apply ran, and before `dispose`.
   */
  lastState?(): Promise<Uint8Array | undefined>;
}

type Question = NonNullable<ToWorker["kind"]["case"]>;
type Answers = FromWorker["kind"];
export type AnswerOf<K extends Question> = Extract<Answers, { case: K }>["value"];

interface Asked {
  step: Question;
  onState: ((state: Uint8Array) => void) | undefined;
  resolve(answer: unknown): void;
  reject(error: Error): void;
}

/** After its stream has ended, a worker has this long to be seen dead: its own end says more than the stream's. */
const lastWordsMs = 1_000;
/** After the worker was seen dead, what it wrote has this long to arrive: a child of its may hold the pipe open. */
const lastBytesMs = 2_000;
/** Bytes that are taken in one go before others get their turn: a flood of logs must not starve other jobs. */
const fairBytes = 256 * 1024;

const codes: ReadonlySet<string> = new Set<JobErrorCode>([
  "INSUFFICIENT_QUOTA",
  "REQUIRED_TEMPLATE_VARIABLES",
  "MISSING_TEMPLATE_PARAMETER",
]);

/**
 * The agent's end of a session. The worker is taken for hostile: sizes, counts, order and states are checked, and what
 * breaks the law ends this session and nothing else.
 *
 *  - idle: nothing was asked; log lines may come
 *  - asked: one step works; its log lines, its states while it applies, and one answer may come
 *  - over: the stream is gone, the question has been rejected, every further one is
 */
export class Conversation {
  readonly #connection: WorkerConnection;
  readonly #onLog: (line: LogLine) => void;
  readonly #clock: Clock;
  readonly #ended = new AbortController();
  #asked: Asked | undefined;
  #over: Error | undefined;
  #writing: Promise<void> = Promise.resolve();
  #disposed: Promise<void> | undefined;
  readonly #reading: Promise<void>;

  constructor(connection: WorkerConnection, onLog: (line: LogLine) => void, clock: Clock) {
    this.#connection = connection;
    this.#onLog = onLog;
    this.#clock = clock;
    this.#reading = this.#read();
    void connection.lost.then((reason) => this.#drainAfter(reason));
  }

  /** Queues a message behind those before it. A stream that fails ends the session, and with it the step that waits. */
  send(kind: ToWorker["kind"]): void {
    const frame = encodeToWorker(create(ToWorkerSchema, { kind }));
    this.#writing = this.#writing
      .then(() => this.#connection.stream.write(frame))
      .catch((error: unknown) => this.#connection.stream.abort(toError(error)));
  }

  /**
   * Asks for one step and waits for its answer, however long it takes. Aborting `signal` sends Cancel; the step still
   * answers. Rejects with JobError for a failure in words, with PeerError when the worker is gone or broke the law.
   */
  async ask<K extends Question & Answers["case"]>(
    question: Extract<ToWorker["kind"], { case: K }>,
    signal: AbortSignal,
    onState?: (state: Uint8Array) => void,
  ): Promise<AnswerOf<K>> {
    if (this.#over) throw this.#over;
    const step: Question = (question as { case: Question }).case;
    if (this.#asked) throw new Error(`ask for "${step}": "${this.#asked.step}" has not answered`);
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#asked = { step, onState, resolve, reject };
    });
    const cancel = () => this.send({ case: "cancel", value: create(CancelSchema) });
    this.send(question);
    if (signal.aborted) cancel();
    else signal.addEventListener("abort", cancel, { once: true });
    try {
      return (await answer) as AnswerOf<K>;
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  }

  /** Ends the worker and waits until nothing of it is left. A step that runs is rejected. Idempotent. */
  dispose(): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    if (this.#asked) await this.#finish(new PeerError(`worker was ended while "${this.#asked.step}" ran`));
    // An idle worker sees the end and cleans up by itself, as far as it is given the time.
    else if (!this.#over) void this.#connection.stream.end().catch(() => undefined);
    await this.#connection.dispose();
    await this.#finish(new PeerError("the session is over"));
    await this.#reading;
  }

  async #read(): Promise<void> {
    const frames = new FrameReader(frameLimits.fromWorkerBytes);
    let sinceTurn = 0;
    try {
      for await (const chunk of this.#connection.stream) {
        for (const frame of frames.push(chunk)) this.#take(decodeFromWorker(frame));
        sinceTurn += chunk.length;
        if (sinceTurn >= fairBytes) {
          sinceTurn = 0;
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
      const where = frames.partial ? " inside a message" : "";
      await this.#finish(await this.#reasonOf(new Error(`its output ended${where}`)));
    } catch (error) {
      await this.#finish(error instanceof PeerError ? error : await this.#reasonOf(toError(error)));
    }
  }

  /** Why the stream ended: the worker's own end, if that is seen in time, else what the stream said. */
  async #reasonOf(seen: Error): Promise<PeerError> {
    if (this.#over) return new PeerError(this.#over.message);
    const patience = this.#clock.sleep(lastWordsMs, this.#ended.signal).then(
      () => seen,
      () => seen,
    );
    const cause = await Promise.race([this.#connection.lost, patience]);
    const during = this.#asked ? ` while "${this.#asked.step}" ran` : "";
    return new PeerError(`worker ended${during}: ${cause.message}`, { cause });
  }

  async #drainAfter(reason: Error): Promise<void> {
    try {
      await this.#clock.sleep(lastBytesMs, this.#ended.signal);
      this.#connection.stream.abort(reason);
    } catch {
      // The session was over before: nothing is left to read.
    }
  }

  /** The first reason ends the session: a state that lies on disk is handed over, then the question is rejected. */
  async #finish(reason: PeerError): Promise<void> {
    if (this.#over) return;
    this.#over = reason;
    this.#ended.abort(reason);
    this.#connection.stream.abort(reason);
    const asked = this.#asked;
    this.#asked = undefined;
    if (asked?.onState) {
      const state = await this.#connection.lastState?.().catch(() => undefined);
      if (state) asked.onState(state);
    }
    asked?.reject(reason);
  }

  #take(message: FromWorker): void {
    const { kind } = message;
    switch (kind.case) {
      case "log":
        this.#onLog(readLog(kind.value));
        break;
      case "state":
        if (!this.#asked?.onState) throw new PeerError(`worker sent a state while ${this.#doing()}`);
        // A view of the stream's chunk: copied, for it is kept.
        this.#asked.onState(kind.value.state.slice());
        break;
      case "failure": {
        const { error, code, timings } = kind.value;
        const asked = this.#answered("failure");
        const known = codes.has(code) ? (code as JobErrorCode) : "";
        asked.reject(new StepError(error || `${asked.step} failed without a word`, { code: known, timings }));
        break;
      }
      case "fatal":
        throw new PeerError(`worker ended the session: ${kind.value.error || "without a word"}`);
      case undefined:
        throw new PeerError("worker sent an empty message");
      default:
        if (this.#asked && this.#asked.step !== kind.case) {
          throw new PeerError(`worker answered "${kind.case}" while ${this.#doing()}`);
        }
        this.#answered(kind.case).resolve(kind.value);
    }
  }

  #answered(kind: string): Asked {
    const asked = this.#asked;
    if (!asked) throw new PeerError(`worker answered "${kind}" while ${this.#doing()}`);
    this.#asked = undefined;
    return asked;
  }

  #doing(): string {
    return this.#asked ? `"${this.#asked.step}" ran` : "nothing was asked";
  }
}

function readLog({ level, output, createdAt }: LogMessage): LogLine {
  if (LogLevel[level] === undefined) throw new PeerError(`worker sent a log line of level ${level}: 0 to 4 exist`);
  if (output.length > maxLogChars) {
    throw new PeerError(`worker sent a log line of ${output.length} characters: at most ${maxLogChars} are allowed`);
  }
  return { level, output, createdAt: Number(createdAt) };
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(messageOf(error));
}
