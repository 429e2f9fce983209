import { clone, create, type MessageInitShape } from "@bufbuild/protobuf";
import { featuresOf, ourVersion } from "../../src/contract/versions.ts";
import {
  type CommitQuotaResponse,
  CommitQuotaResponseSchema,
  type CompletedJob,
  CompletedJobSchema,
  type FailedJob,
  FailedJobSchema,
  type Log,
  type UpdateJobRequest,
  UpdateJobRequestSchema,
  type UpdateJobResponse,
  UpdateJobResponseSchema,
} from "../../src/gen/provisionerd_pb.ts";
import type { Ambiguous, ControlPlane } from "../../src/job/ports.ts";
import { RefusedError } from "../../src/kit/errors.ts";
import type { FakeClock } from "../../src/kit/fake-clock.ts";
import { raceSignal } from "../../src/kit/signals.ts";

/** A call that reached the control plane, with the time of the clock. */
export type PlaneCall = { at: number } & (
  | { kind: "update" | "variables"; request: UpdateJobRequest }
  | { kind: "quota"; dailyCost: number }
  | { kind: "complete"; message: CompletedJob }
  | { kind: "fail"; message: FailedJob }
  | { kind: "upload"; files: Uint8Array }
  | { kind: "download"; fileId: string }
);

/**
 * A control plane in memory that follows the ports: it records calls in the order in which they arrive, answers as the
 * test says, and while it is out of reach every call waits, as the real link's calls do.
 */
export class ScriptedPlane implements ControlPlane {
  features = featuresOf(ourVersion);
  readonly calls: PlaneCall[] = [];
  /** Set by a test: the user has canceled the job. */
  canceled = false;
  /** Refusals to come, by kind; each is used once. */
  readonly refusals: Partial<Record<PlaneCall["kind"], string[]>> = {};
  /** Awaited inside a call of this kind, after it was recorded and before it is answered. */
  readonly holds: Partial<Record<PlaneCall["kind"], (signal: AbortSignal) => Promise<unknown>>> = {};
  /** The values that the answer to the variables carries. */
  variableValues: UpdateJobResponse["variableValues"] = [];
  quota: MessageInitShape<typeof CommitQuotaResponseSchema> = { ok: true, budget: -1 };
  /** True: a first try of a call that is not idempotent was lost without an answer. */
  repeated = false;
  modules: Uint8Array = new Uint8Array();
  #reachable: { promise: Promise<void>; open: () => void } | undefined;

  constructor(readonly clock: FakeClock) {}

  down(): void {
    let open: () => void = () => undefined;
    const promise = new Promise<void>((resolve) => {
      open = resolve;
    });
    this.#reachable = { promise, open };
  }

  up(): void {
    this.#reachable?.open();
    this.#reachable = undefined;
  }

  async updateJob(request: UpdateJobRequest, signal: AbortSignal): Promise<UpdateJobResponse> {
    await this.#arrive({ kind: "update", request: clone(UpdateJobRequestSchema, request) }, signal);
    return create(UpdateJobResponseSchema, { canceled: this.canceled });
  }

  async updateJobOnce(request: UpdateJobRequest, signal: AbortSignal): Promise<Ambiguous<UpdateJobResponse>> {
    return await this.#ambiguous({ kind: "variables", request: clone(UpdateJobRequestSchema, request) }, signal, () =>
      create(UpdateJobResponseSchema, { canceled: this.canceled, variableValues: this.variableValues }),
    );
  }

  async commitQuota(
    { dailyCost }: { jobId: string; dailyCost: number },
    signal: AbortSignal,
  ): Promise<Ambiguous<CommitQuotaResponse>> {
    const answer = () => create(CommitQuotaResponseSchema, this.quota);
    return await this.#ambiguous({ kind: "quota", dailyCost }, signal, answer);
  }

  async completeJob(message: CompletedJob, signal: AbortSignal): Promise<void> {
    await this.#arrive({ kind: "complete", message: clone(CompletedJobSchema, message) }, signal);
  }

  async failJob(message: FailedJob, signal: AbortSignal): Promise<void> {
    await this.#arrive({ kind: "fail", message: clone(FailedJobSchema, message) }, signal);
  }

  async uploadModuleFiles(files: Uint8Array, signal: AbortSignal): Promise<void> {
    await this.#arrive({ kind: "upload", files: files.slice() }, signal);
  }

  async downloadModuleFiles(fileId: string, signal: AbortSignal): Promise<Uint8Array> {
    await this.#arrive({ kind: "download", fileId }, signal);
    return this.modules;
  }

  // What tests ask about.

  /** Kinds of calls in their order, without plain updates. */
  get kinds(): string[] {
    return this.calls.map((call) => call.kind).filter((kind) => kind !== "update");
  }

  get updates(): UpdateJobRequest[] {
    return this.calls.flatMap((call) => (call.kind === "update" ? [call.request] : []));
  }

  get logs(): Log[] {
    return this.updates.flatMap((request) => request.logs);
  }

  /** Stages of the markers, in order. */
  get markers(): string[] {
    return this.logs.filter((log) => log.output === "" && log.source === 0).map((log) => log.stage);
  }

  get completed(): CompletedJob | undefined {
    return this.calls.flatMap((call) => (call.kind === "complete" ? [call.message] : [])).at(-1);
  }

  get failed(): FailedJob | undefined {
    return this.calls.flatMap((call) => (call.kind === "fail" ? [call.message] : [])).at(-1);
  }

  /** The state of the last failure of a build. */
  get failedState(): string | undefined {
    const type = this.failed?.type;
    return type?.case === "workspaceBuild" ? new TextDecoder().decode(type.value.state) : undefined;
  }

  async #ambiguous<T>(call: WithoutTime, signal: AbortSignal, answer: () => T): Promise<Ambiguous<T>> {
    const { repeated } = this;
    try {
      await this.#arrive(call, signal);
      return { ok: true, repeated, value: answer() };
    } catch (error) {
      if (error instanceof RefusedError) return { ok: false, repeated, refused: error };
      throw error;
    }
  }

  async #arrive(call: WithoutTime, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    while (this.#reachable) await raceSignal(this.#reachable.promise, signal);
    this.calls.push({ ...call, at: this.clock.monotonic() } as PlaneCall);
    const refusal = this.refusals[call.kind]?.shift();
    await this.holds[call.kind]?.(signal);
    if (refusal !== undefined) throw new RefusedError(refusal);
  }
}

type WithoutTime = PlaneCall extends infer Call ? (Call extends PlaneCall ? Omit<Call, "at"> : never) : never;
