import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { methods } from "../contract/methods.ts";
import { FileUploadSchema } from "../gen/provisioner_pb.ts";
import {
  CommitQuotaRequestSchema,
  CommitQuotaResponseSchema,
  CompletedJobSchema,
  EmptySchema,
  FailedJobSchema,
  FileRequestSchema,
  UpdateJobRequestSchema,
  UpdateJobResponseSchema,
} from "../gen/provisionerd_pb.ts";
import { messageOf, RefusedError } from "../kit/errors.ts";
import type { Handler, ServerCall } from "../wire/drpc/api.ts";
import { acquireJob, acquireJobWithCancel } from "./acquire.ts";
import { asOfVersion } from "./as-of-version.ts";
import { sha256 } from "./chance.ts";
import { completeJob } from "./complete-job.ts";
import { failJob } from "./fail-job.ts";
import { FileReceiver, filePieces, moduleFile, storeFile } from "./files.ts";
import type { Waiter } from "./queue.ts";
import { commitQuota } from "./quota.ts";
import { updateJob } from "./update-job.ts";
import type { World } from "./world.ts";

/** The methods that a server of the world's version has, for one connection's daemon (spec/01 §4.13). */
export function serviceHandlers(world: World, daemon: Waiter): Map<string, Handler> {
  const { workerId } = daemon;
  const { minor } = world.apiVersion;
  const empty = () => create(EmptySchema);
  const handlers = new Map<string, Handler>([
    [methods.acquireJob, (call) => acquireJob(world, daemon, call)],
    [methods.acquireJobWithCancel, (call) => acquireJobWithCancel(world, daemon, call)],
    [
      methods.updateJob,
      unary(UpdateJobRequestSchema, UpdateJobResponseSchema, (request) =>
        updateJob(world, workerId, asOfVersion(UpdateJobRequestSchema, request, minor)),
      ),
    ],
    [
      methods.commitQuota,
      unary(CommitQuotaRequestSchema, CommitQuotaResponseSchema, (request) => commitQuota(world, workerId, request)),
    ],
    [
      methods.failJob,
      unary(FailedJobSchema, EmptySchema, (failed) => {
        failJob(world, workerId, asOfVersion(FailedJobSchema, failed, minor));
        return empty();
      }),
    ],
    [
      methods.completeJob,
      unary(CompletedJobSchema, EmptySchema, (completed, bytes) => {
        completeJob(world, workerId, asOfVersion(CompletedJobSchema, completed, minor), sha256(bytes));
        return empty();
      }),
    ],
  ]);
  if (minor >= 7) handlers.set(methods.uploadFile, (call) => uploadFile(world, call));
  if (minor >= 14) handlers.set(methods.downloadFile, (call) => downloadFile(world, daemon.organizationId, call));
  return handlers;
}

/** One request, one answer; runs as soon as the request is there, CloseSend or not (spec/01 §4.8). */
function unary<In extends DescMessage, Out extends DescMessage>(
  input: In,
  output: Out,
  answer: (request: MessageShape<In>, bytes: Uint8Array) => MessageShape<Out>,
): Handler {
  return async (call) => {
    const bytes = await firstRequest(call);
    await call.send(toBinary(output, answer(decode(input, bytes), bytes)));
    return "close-send";
  };
}

async function firstRequest(call: ServerCall): Promise<Uint8Array> {
  for await (const message of call.requests) return message;
  throw new RefusedError("read the request: the stream ended without a message");
}

function decode<Desc extends DescMessage>(desc: Desc, bytes: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(desc, bytes);
  } catch (error) {
    throw new RefusedError(`unmarshal ${desc.typeName}: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * UploadFile: the answer comes as soon as the last piece is in. In the exact form a failure answers Empty first and the error
 * after it, as the real server does (spec/01 §4.14); only the CloseSend between the two is missing.
 */
async function uploadFile(world: World, call: ServerCall): ReturnType<Handler> {
  try {
    const receiver = new FileReceiver();
    for await (const bytes of call.requests) {
      receiver.take(decode(FileUploadSchema, bytes));
      if (receiver.complete) break;
    }
    storeFile(world, receiver.finish());
  } catch (error) {
    if (world.exact) await call.send(toBinary(EmptySchema, create(EmptySchema)));
    throw error;
  }
  await call.send(toBinary(EmptySchema, create(EmptySchema)));
  return "close-send";
}

/** DownloadFile: a failure is a message of its own, and in the exact form an error packet, too (spec/02 §5.9). */
async function downloadFile(world: World, organizationId: string, call: ServerCall): ReturnType<Handler> {
  try {
    const file = moduleFile(world, organizationId, decode(FileRequestSchema, await firstRequest(call)));
    for (const piece of filePieces(file)) await call.send(toBinary(FileUploadSchema, piece));
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    const failure = create(FileUploadSchema, { type: { case: "error", value: { error: error.message } } });
    await call.send(toBinary(FileUploadSchema, failure));
    if (world.exact) throw error;
  }
  return "close-send";
}
