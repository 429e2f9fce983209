import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { limits } from "../contract/limits.ts";
import { methods, serverTexts } from "../contract/methods.ts";
import type { Features } from "../contract/versions.ts";
import {
  CommitQuotaRequestSchema,
  type CommitQuotaResponse,
  CommitQuotaResponseSchema,
  type CompletedJob,
  CompletedJobSchema,
  EmptySchema,
  type FailedJob,
  FailedJobSchema,
  type UpdateJobRequest,
  UpdateJobRequestSchema,
  type UpdateJobResponse,
  UpdateJobResponseSchema,
} from "../gen/provisionerd_pb.ts";
import { Backoff, curves } from "../kit/backoff.ts";
import { PeerError, RefusedError, TooBigError, TransientError } from "../kit/errors.ts";
import type { RpcClient } from "../wire/drpc/api.ts";
import type { Connection } from "./connection.ts";
import { downloadFile, uploadFile } from "./files.ts";
import { repeat } from "./repeat.ts";
import type { ConnectionSlot } from "./slot.ts";
import { pause, type Timing } from "./timing.ts";

/** The outcome of a call that is not idempotent: `repeated` when a first try was lost without an answer. */
export type Ambiguous<T> = { repeated: boolean } & ({ ok: true; value: T } | { ok: false; refused: Error });

/** The daemon service as a job needs it: calls that wait out an outage. Fits `ControlPlane` of the job room. */
export class JobCalls {
  constructor(
    readonly slot: ConnectionSlot,
    readonly timing: Timing,
  ) {}

  /** What the server at the other end can do; may change at a reconnect. */
  get features(): Features {
    return this.slot.features;
  }

  /** Heartbeat, logs. Repeated until answered; log lines may be stored twice then (spec/01 §4.11). */
  async updateJob(request: UpdateJobRequest, signal: AbortSignal): Promise<UpdateJobResponse> {
    const bytes = encode("UpdateJob", UpdateJobRequestSchema, request);
    return this.#unary("UpdateJob", methods.updateJob, bytes, UpdateJobResponseSchema, signal);
  }

  /** For template variables and workspace tags: stored by inserts, so a blind repeat fails (spec/02 §5.5). */
  async updateJobOnce(request: UpdateJobRequest, signal: AbortSignal): Promise<Ambiguous<UpdateJobResponse>> {
    const bytes = encode("UpdateJob", UpdateJobRequestSchema, request);
    return this.#once(methods.updateJob, bytes, UpdateJobResponseSchema, signal);
  }

  /** A second call after a lost first one counts the cost twice (spec/02 §5.8). */
  async commitQuota(
    request: { jobId: string; dailyCost: number },
    signal: AbortSignal,
  ): Promise<Ambiguous<CommitQuotaResponse>> {
    const bytes = encode("CommitQuota", CommitQuotaRequestSchema, create(CommitQuotaRequestSchema, request));
    return this.#once(methods.commitQuota, bytes, CommitQuotaResponseSchema, signal);
  }

  /** Repeated until answered. A repeat may be refused although the first was stored: FailJob tells (spec/01 §4.11). */
  async completeJob(job: CompletedJob, signal: AbortSignal): Promise<void> {
    const bytes = encode("CompleteJob", CompletedJobSchema, job);
    await this.#unary("CompleteJob", methods.completeJob, bytes, EmptySchema, signal);
  }

  /** Repeated until answered; "already completed" to a repeat means that the first one arrived (spec/01 §4.11). */
  async failJob(job: FailedJob, signal: AbortSignal): Promise<void> {
    const bytes = encode("FailJob", FailedJobSchema, job);
    await repeat(
      "FailJob",
      this.slot,
      this.timing,
      async ({ parts }, lostBefore) => {
        try {
          await parts.rpc.unary(methods.failJob, bytes, signal);
        } catch (error) {
          const over = error instanceof RefusedError && error.message.includes(serverTexts.alreadyCompleted);
          if (!over || lostBefore === 0) throw error;
        }
      },
      signal,
    );
  }

  /** At most 5 minutes an attempt; a server without the call (before 1.7) is a RefusedError, and is not asked (spec/01 §5.5). */
  async uploadModuleFiles(files: Uint8Array, signal: AbortSignal): Promise<void> {
    if (files.length > limits.fileBytes) throw new TooBigError(files.length, limits.fileBytes, "the module archive");
    await repeat(
      "UploadFile",
      this.slot,
      this.timing,
      ({ parts }) => {
        if (!parts.features.uploadFile) throw new RefusedError("UploadFile: this server doesn't have the call");
        return uploadFile(parts.rpc, files, this.timing.clock, signal);
      },
      signal,
    );
  }

  /** At most 5 minutes an attempt; a server without the call (before 1.14) is a RefusedError, and is not asked (spec/01 §5.5). */
  downloadModuleFiles(fileId: string, signal: AbortSignal): Promise<Uint8Array> {
    return repeat(
      "DownloadFile",
      this.slot,
      this.timing,
      async ({ parts }) => {
        if (!parts.features.downloadFile) throw new RefusedError("DownloadFile: this server doesn't have the call");
        return await downloadFile(parts.rpc, fileId, this.timing.clock, signal);
      },
      signal,
    );
  }

  #unary<D extends DescMessage>(
    what: string,
    method: string,
    bytes: Uint8Array,
    schema: D,
    signal: AbortSignal,
  ): Promise<MessageShape<D>> {
    const attempt = async ({ parts }: Connection) => decode(schema, await parts.rpc.unary(method, bytes, signal));
    return repeat(what, this.slot, this.timing, attempt, signal);
  }

  /** Waits for a connection as all calls do, but a request that may have arrived is sent only once more. */
  async #once<D extends DescMessage>(
    method: string,
    bytes: Uint8Array,
    schema: D,
    signal: AbortSignal,
  ): Promise<Ambiguous<MessageShape<D>>> {
    const backoff = new Backoff(curves.rpc, this.timing.random);
    for (let repeated = false; ; ) {
      await pause(this.timing, backoff.next(), signal);
      const connection = await this.slot.take(signal);
      let sent = false;
      try {
        const onSend = () => {
          sent = true;
        };
        const value = await connection.use(async () =>
          decode(schema, await unaryOnce(connection.parts.rpc, method, bytes, onSend, signal)),
        );
        return { repeated, ok: true, value };
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof RefusedError) return { repeated, ok: false, refused: error };
        if (!(error instanceof TransientError) && !(error instanceof PeerError)) throw error;
        if (sent && repeated) return { repeated, ok: false, refused: error };
        repeated ||= sent;
      }
    }
  }
}

/** A unary call that says when its request may have left us: opening the stream alone makes the server do nothing. */
async function unaryOnce(
  rpc: RpcClient,
  method: string,
  bytes: Uint8Array,
  onSend: () => void,
  signal: AbortSignal,
): Promise<Uint8Array> {
  await using call = await rpc.call(method, signal);
  onSend();
  // Not awaited: an early answer counts whether or not all of the request was taken.
  call
    .send(bytes)
    .then(() => call.closeSend())
    .catch(() => undefined);
  const answer = await call.receive(signal);
  if (!answer) throw new TransientError(`${method}: ended without an answer`);
  return answer;
}

/** Refused before anything is sent: the server would only drop the stream, which looks like a lost connection (spec/02 §2.10). */
function encode<D extends DescMessage>(what: string, schema: D, message: MessageShape<D>): Uint8Array {
  const bytes = toBinary(schema, message);
  if (bytes.length > limits.rpcMessageBytes) throw new TooBigError(bytes.length, limits.rpcMessageBytes, what);
  return bytes;
}

function decode<D extends DescMessage>(schema: D, bytes: Uint8Array): MessageShape<D> {
  try {
    return fromBinary(schema, bytes, { readUnknownFields: false });
  } catch (error) {
    throw new PeerError(`${schema.typeName}: can't be decoded`, { cause: error });
  }
}
