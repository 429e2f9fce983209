import type { Features } from "../contract/versions.ts";
import type {
  CommitQuotaResponse,
  CompletedJob,
  FailedJob,
  UpdateJobRequest,
  UpdateJobResponse,
} from "../gen/provisionerd_pb.ts";

/**
 * What a job needs of the control plane. Every call waits out outages: it is repeated on transport errors, on whatever
 * connection there is, until it is answered or `signal` aborts (then it rejects with the signal's reason).
 * An answer of no is a RefusedError with the server's text; a message above 4 MiB is a TooBigError before anything is sent.
 */
export interface ControlPlane {
  /** What the server at the other end can do; may change at a reconnect. */
  readonly features: Features;
  updateJob(request: UpdateJobRequest, signal: AbortSignal): Promise<UpdateJobResponse>;
  /** As `updateJob`, but repeated at most once when it is unknown whether the server acted; `repeated` tells (spec/02 §5.5). */
  updateJobOnce(request: UpdateJobRequest, signal: AbortSignal): Promise<Ambiguous<UpdateJobResponse>>;
  /** Repeated at most once when it is unknown whether the server acted (spec/02 §5.8). */
  commitQuota(
    request: { jobId: string; dailyCost: number },
    signal: AbortSignal,
  ): Promise<Ambiguous<CommitQuotaResponse>>;
  completeJob(job: CompletedJob, signal: AbortSignal): Promise<void>;
  failJob(job: FailedJob, signal: AbortSignal): Promise<void>;
  /** Uploads the archive of an import's modules; the server knows it by its SHA-256 afterwards. */
  uploadModuleFiles(files: Uint8Array, signal: AbortSignal): Promise<void>;
  /** Downloads a cached module archive. A failure in words is a RefusedError. */
  downloadModuleFiles(fileId: string, signal: AbortSignal): Promise<Uint8Array>;
}

/** The outcome of a call that is not idempotent: `repeated` when a first try was lost without an answer. */
export type Ambiguous<T> = { repeated: boolean } & ({ ok: true; value: T } | { ok: false; refused: Error });

/** Where a running job puts what must survive us. The first implementation keeps it in memory. */
export interface JobJournal {
  /** The phase that begins; awaited before the step it protects. */
  phase(name: JobPhase): Promise<void>;
  /** A newer state of the apply that runs. */
  state(state: Uint8Array): Promise<void>;
  /** The encoded terminal message, before it is sent. */
  terminal(message: { kind: "completed" | "failed"; bytes: Uint8Array }): Promise<void>;
}

export type JobPhase = "accepted" | "initializing" | "planning" | "applying" | "applied" | "reporting";
