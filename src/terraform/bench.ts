import { LogLevel } from "../gen/provisioner_pb.ts";
import type { Clock } from "../kit/clock.ts";
import { inheritedNotes } from "./environment.ts";
import type { SessionFolder } from "./folder.ts";
import type { JobLog } from "./job-log.ts";
import { LineSplitter } from "./lines.ts";
import {
  cutEntries,
  dumpMessage,
  type EngineRecord,
  type LogEntry,
  parseRecord,
  stderrEntries,
  stdoutEntries,
} from "./records.ts";
import { type EngineCall, type EngineDeps, runEngine } from "./run-engine.ts";
import { dumpedState } from "./salvage.ts";
import type { CompleteSettings } from "./settings.ts";
import type { State } from "./state-file.ts";
import type { TimingCollector } from "./timings.ts";
import { requireVersion } from "./version.ts";

/** What one command is given beside its arguments. */
export interface CommandInput {
  environment: Readonly<Record<string, string>>;
  labels?: ReadonlyMap<string, string>;
}

export interface LoggedRun {
  /** Undefined for exit status 0, else the words of spec/03 §3.8. */
  end: string | undefined;
  /** What it said at level ERROR, as far as it fits. */
  errors: string;
  /** State of the last emergency dump line. */
  dump: State | undefined;
}

export interface CollectedRun {
  end: string | undefined;
  stdout: Uint8Array;
  /** The end of what it said on stderr, without colours. */
  stderr: string;
}

/** Of the errors of a run this much is kept to find out their cause. */
const maxErrorChars = 65_536;
/** Of a command's stderr this much goes into an error (spec/03 §10 #23). */
const stderrTailBytes = 4096;

/** What all steps of a session share: its settings, folder, log, and the one way to run the engine. */
export class Bench {
  readonly #running = new Set<Promise<unknown>>();

  constructor(
    readonly settings: CompleteSettings,
    readonly folder: SessionFolder,
    readonly log: JobLog,
    readonly deps: EngineDeps,
  ) {}

  get clock(): Clock {
    return this.deps.clock;
  }

  /** What Init, Plan, Graph and Apply begin with (spec/03 §0.3). */
  begin(): void {
    requireVersion(this.settings.engine.version);
    for (const note of inheritedNotes(this.settings)) this.log.warn(note);
  }

  /** Runs a command whose output is the job's log: init, plan, apply (spec/03 §5.1, §5.2). `omit` may leave records out. */
  async runLogged(
    args: readonly string[],
    input: CommandInput,
    collector: TimingCollector | undefined,
    signal: AbortSignal,
    omit: (record: EngineRecord) => boolean = () => false,
  ): Promise<LoggedRun> {
    const run: LoggedRun = { end: undefined, errors: "", dump: undefined };
    const emit = (entries: LogEntry[]) => {
      for (const entry of entries) {
        if (entry.level === LogLevel.ERROR && run.errors.length < maxErrorChars) run.errors += `${entry.output}\n`;
        this.log.entry(entry);
      }
    };
    const onDump = (line: Uint8Array) => {
      run.dump = dumpedState(line) ?? run.dump;
    };
    const stdout = new LineSplitter({
      dumpBytes: 2 * this.settings.maxStateBytes,
      onLine: (line) => {
        const record = parseRecord(line);
        if (record && collector) collector.add(record, this.clock.now());
        if (record?.message === dumpMessage) onDump(Buffer.from(line));
        if (!record || !omit(record)) emit(stdoutEntries(line, record));
      },
      onDump: (line) => {
        onDump(line);
        emit([{ level: LogLevel.ERROR, output: dumpMessage }]);
      },
      onCut: ({ head, bytes }) => emit(cutEntries(head, bytes, LogLevel.INFO)),
    });
    const stderr = new LineSplitter({
      onLine: (line) => emit(stderrEntries(line)),
      onCut: ({ head, bytes }) => emit(cutEntries(head, bytes, LogLevel.ERROR)),
    });
    const streams = {
      onStdout: (chunk: Uint8Array) => stdout.push(chunk),
      onStderr: (chunk: Uint8Array) => stderr.push(chunk),
    };
    run.end = await this.#run(args, input, streams, signal);
    stdout.end();
    stderr.end();
    return run;
  }

  /** Runs a command whose stdout is a document: show, graph. Output beyond the limit ends it. */
  async runCollected(args: readonly string[], input: CommandInput, signal: AbortSignal): Promise<CollectedRun> {
    const { maxOutputBytes } = this.settings;
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    let tail = Buffer.alloc(0);
    const onStdout = (chunk: Uint8Array) => {
      bytes += chunk.length;
      if (bytes <= maxOutputBytes) chunks.push(chunk);
      else chunks.length = 0;
    };
    const onStderr = (chunk: Uint8Array) => {
      tail = Buffer.concat([tail, chunk]).subarray(-stderrTailBytes);
    };
    const end = await this.#run(args, input, { onStdout, onStderr }, signal);
    const tooBig =
      bytes > maxOutputBytes ? `its output has ${bytes} bytes: at most ${maxOutputBytes} are read` : undefined;
    const stderr = tail
      .toString("utf8")
      .replaceAll(/\x1b\[[\d;]*m/g, "")
      .trim();
    return { end: end ?? tooBig, stdout: Buffer.concat(chunks), stderr };
  }

  /** Resolves when no engine process is left. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
  }

  async #run(
    args: readonly string[],
    input: CommandInput,
    streams: Pick<EngineCall, "onStdout" | "onStderr">,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const call = { path: this.settings.engine.path, args, cwd: this.folder.path, ...input, ...streams };
    const running = runEngine(call, this.deps, signal);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }
}

/** How a document's command failed: what it said, then how it ended. */
export const failureText = ({ stderr, end }: CollectedRun): string => (stderr === "" ? `${end}` : `${stderr}: ${end}`);
