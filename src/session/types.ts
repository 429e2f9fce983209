import type {
  ExternalAuthProvider,
  LogLevel,
  Metadata,
  RichParameterValue,
  Timing,
  VariableValue,
} from "../gen/provisioner_pb.ts";
import type { GraphDone, InitDone, ParseDone, PlanDone } from "../gen/session_pb.ts";

/** One line of a step's log, before redaction. `output` may hold line feeds. */
export interface LogLine {
  level: LogLevel;
  output: string;
  /** Unix milliseconds. */
  createdAt: number;
}

export interface OpenOptions {
  /** The job's log level: "" or a name; lines below it are dropped, an unknown name drops nothing (spec/03 §5.6). */
  logLevel: string;
  templateId: string;
  templateVersionId: string;
  onLog: (line: LogLine) => void;
}

/**
 * One job's provisioner. Logs come out while it works. An aborted `signal` of a step interrupts it, and the step still
 * returns its normal result or failure, for apply with state. Disposing the session kills now and removes its folder.
 * Steps throw JobError when they fail in words; a broken worker is a PeerError.
 */
export interface Provisioner {
  open(options: OpenOptions, signal: AbortSignal): Promise<Session>;
}

export interface InitInput {
  /** Tar of the template. */
  templateArchive: Uint8Array;
  /** Tar of cached modules; empty when there is none. */
  moduleArchive: Uint8Array;
  /** True where nobody wants the module archive back: builds and dry runs (spec/02 §2.2, §2.4). */
  omitModuleFiles: boolean;
}

export interface PlanInput {
  metadata: Metadata;
  variableValues: VariableValue[];
  richParameterValues: RichParameterValue[];
  previousParameterValues: RichParameterValue[];
  externalAuthProviders: ExternalAuthProvider[];
  /** The workspace's state; empty when there is none. */
  state: Uint8Array;
}

type Facts<T> = Omit<T, "$typeName" | "$unknown">;

export type InitFacts = Facts<InitDone>;
export type Parsed = Facts<ParseDone>;
export type PlanFacts = Facts<PlanDone>;
export type Graph = Facts<GraphDone>;

/** The order of calls is the order of types: nobody can apply what was not planned. */
export interface Session extends AsyncDisposable {
  init(input: InitInput, signal: AbortSignal): Promise<Initialized>;
}

export interface Initialized {
  readonly facts: InitFacts;
  parse(signal: AbortSignal): Promise<Parsed>;
  /** May be called more than once: an import plans for start and for stop. */
  plan(input: PlanInput, signal: AbortSignal): Promise<Planned>;
}

export interface Planned {
  readonly facts: PlanFacts;
  /** Resources and parameters out of the newest plan. */
  graph(signal: AbortSignal): Promise<Graph>;
  /** `onState` gets each newer state while the apply runs; it is awaited before the next is handed over. */
  apply(metadata: Metadata, onState: (state: Uint8Array) => Promise<void>, signal: AbortSignal): Promise<Applied>;
}

/** State is returned whether or not the apply worked: half a build is still somebody's servers. */
export interface Applied {
  state: Uint8Array;
  /** Set when the apply failed; never empty then. */
  error?: string;
  timings: Timing[];
  /** Resources out of the state that the apply left. */
  graph(signal: AbortSignal): Promise<Graph>;
}
