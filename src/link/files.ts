import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { FileAssembler, splitFile } from "../archive/chunks.ts";
import { methods } from "../contract/methods.ts";
import { DataUploadType, type FileUpload, FileUploadSchema } from "../gen/provisioner_pb.ts";
import { FileRequestSchema } from "../gen/provisionerd_pb.ts";
import type { Clock } from "../kit/clock.ts";
import { messageOf, PeerError, RefusedError, TransientError } from "../kit/errors.ts";
import { anySignal } from "../kit/signals.ts";
import type { ClientCall, RpcClient } from "../wire/drpc/api.ts";

/** Bound of one attempt (spec/01 §4.11). */
const attemptMs = 300_000;
/** A failed upload is answered with success first, and with the error right behind it (spec/01 §4.14). */
const graceMs = 100;

const uploadType = DataUploadType.UPLOAD_TYPE_MODULE_FILES;

/** One attempt to upload a module archive. Throws RefusedError when the server says no, even after its first yes. */
export async function uploadFile(rpc: RpcClient, files: Uint8Array, clock: Clock, signal: AbortSignal): Promise<void> {
  using limited = limitedSignal("UploadFile", clock, signal);
  await using call = await rpc.call(methods.uploadFile, limited.signal);
  // Asked for at once: a server that says no answers before the last piece and reads no further.
  const answer = call.receive(limited.signal);
  let answered = false;
  const settled = answer.then(
    () => {
      answered = true;
    },
    () => {
      answered = true;
    },
  );
  const { upload, pieces } = splitFile(files);
  await sendUnless(settled, call, { case: "dataUpload", value: { uploadType, ...upload } });
  let sentPieces = 0;
  for (const piece of pieces) {
    if (answered) break;
    await sendUnless(settled, call, { case: "chunkPiece", value: piece });
    sentPieces++;
  }
  // No CloseSend before the answer: the server would keep the error behind it to itself (spec/01 §4.14).
  if (!(await answer)) throw new TransientError("UploadFile: ended without an answer");
  await lateError(call, clock, limited.signal);
  if (sentPieces < upload.chunks) throw new RefusedError("UploadFile: answered before the last piece was sent");
}

type FileMessage = NonNullable<MessageInitShape<typeof FileUploadSchema>["type"]>;

/** Sends one message, or stops waiting for room when the answer is there. What a failed send means, the answer tells. */
async function sendUnless(answered: Promise<void>, call: ClientCall, type: FileMessage): Promise<void> {
  const sent = call.send(toBinary(FileUploadSchema, create(FileUploadSchema, { type })));
  await Promise.race([sent.catch(() => answered), answered]);
}

/** Reads on after the empty answer; an Error packet within the grace period means failure. */
async function lateError(call: ClientCall, clock: Clock, signal: AbortSignal): Promise<void> {
  const grace = new AbortController();
  using _timer = clock.after(graceMs, () => grace.abort(new Error("no error came")));
  using limited = anySignal(signal, grace.signal);
  try {
    // The first end is CloseSend; behind it come an Error, the end of the stream, or nothing.
    if (!(await call.receive(limited.signal))) await call.receive(limited.signal);
  } catch (error) {
    if (error instanceof RefusedError) throw error;
    // Nothing more can follow on a stream that is gone, and the answer was yes.
    signal.throwIfAborted();
  }
}

/** One attempt to download a module archive. Throws RefusedError for an error in words and for a file that breaks the rules. */
export async function downloadFile(
  rpc: RpcClient,
  fileId: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<Uint8Array> {
  using limited = limitedSignal("DownloadFile", clock, signal);
  await using call = await rpc.call(methods.downloadFile, limited.signal);
  await call.send(toBinary(FileRequestSchema, create(FileRequestSchema, { fileId, uploadType })));
  await call.closeSend();
  const assembler = new FileAssembler();
  try {
    for (;;) {
      const bytes = await call.receive(limited.signal);
      if (!bytes) return assembler.finish();
      take(assembler, fromBinary(FileUploadSchema, bytes));
    }
  } catch (error) {
    // Asking again would bring the same file (spec/01 §4.15).
    if (error instanceof PeerError)
      throw new RefusedError(`DownloadFile "${fileId}": ${messageOf(error)}`, { cause: error });
    throw error;
  }
}

function take(assembler: FileAssembler, { type }: FileUpload): void {
  switch (type.case) {
    case "dataUpload":
      if (type.value.uploadType !== uploadType)
        throw new PeerError(`upload type ${type.value.uploadType}: should be ${uploadType}`);
      assembler.begin(type.value);
      break;
    case "chunkPiece":
      assembler.add(type.value);
      break;
    case "error":
      throw new RefusedError(type.value.error);
    default:
      throw new PeerError("a message that is neither header, piece nor error");
  }
}

/** Aborts with the caller's signal, or with a TransientError after the bound of one attempt. */
function limitedSignal(what: string, clock: Clock, signal: AbortSignal): { signal: AbortSignal } & Disposable {
  const limit = new AbortController();
  const timer = clock.after(attemptMs, () => {
    limit.abort(new TransientError(`${what}: no end after ${attemptMs / 60_000} minutes`));
  });
  const any = anySignal(signal, limit.signal);
  return {
    signal: any.signal,
    [Symbol.dispose]: () => {
      timer[Symbol.dispose]();
      any[Symbol.dispose]();
    },
  };
}
