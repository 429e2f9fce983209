import { create, toBinary } from "@bufbuild/protobuf";
import { limits } from "../contract/limits.ts";
import { AcquiredJobSchema } from "../gen/provisionerd_pb.ts";
import { messageOf } from "../kit/errors.ts";
import { anySignal } from "../kit/signals.ts";
import type { Handler, ServerCall } from "../wire/drpc/api.ts";
import { acquiredJob } from "./acquired-job.ts";
import { endWithError } from "./fail-job.ts";
import { requeueJob } from "./jobs.ts";
import type { Waiter } from "./queue.ts";
import type { Job } from "./rows.ts";
import type { World } from "./world.ts";

/** How long the deprecated AcquireJob waits (spec/01 §4.14). */
const shortWaitMs = 5_000;

const noJob = () => toBinary(AcquiredJobSchema, create(AcquiredJobSchema));

/** AcquireJob: a job within 5 s, or an empty message. */
export async function acquireJob(world: World, waiter: Waiter, call: ServerCall): ReturnType<Handler> {
  const timeout = new AbortController();
  using _timer = world.clock.after(shortWaitMs, () => timeout.abort());
  using until = anySignal(call.signal, timeout.signal);
  await deliver(world, call, await world.queue.acquire(waiter, until.signal));
  return "close-send";
}

/**
 * AcquireJobWithCancel (spec/01 §4.14, spec/02 §5.3): waits for a job or for anything from the client, answers with exactly
 * one AcquiredJob, then closes. A CancelAcquire that meets a locked job gets the job.
 */
export async function acquireJobWithCancel(world: World, waiter: Waiter, call: ServerCall): ReturnType<Handler> {
  const stop = new AbortController();
  const client = listen(call, stop);
  using until = anySignal(call.signal, stop.signal);
  await deliver(world, call, await world.queue.acquire(waiter, until.signal), client);
  return "close";
}

/** What the client said so far: nothing, a cancel, or that it is gone (its side ended without a message). */
interface Client {
  gone: boolean;
}

function listen(call: ServerCall, stop: AbortController): Client {
  const client = { gone: false };
  const read = async () => {
    for await (const _cancel of call.requests) return;
    client.gone = true;
  };
  read()
    .catch(() => {
      client.gone = true;
    })
    .finally(() => stop.abort());
  return client;
}

/** Sends the job, or an empty message without one. A job that can't be sent is failed, or given back to the queue. */
async function deliver(world: World, call: ServerCall, job: Job | undefined, client?: Client): Promise<void> {
  if (!job) return call.send(noJob());
  world.jobChanged.ring();
  const message = encode(world, job);
  if (!message) return;
  if (call.signal.aborted || client?.gone) return undelivered(world, job);
  try {
    await call.send(message);
  } catch {
    undelivered(world, job);
  }
}

/** The bytes of the message; undefined where the job was failed instead. The client sees a stream that closes without a word. */
function encode(world: World, job: Job): Uint8Array | undefined {
  let error: string;
  try {
    const message = toBinary(AcquiredJobSchema, acquiredJob(world, job));
    if (message.length <= limits.rpcMessageBytes) return message;
    error = `payload was too big: ${message.length} > ${limits.rpcMessageBytes}`;
  } catch (cause) {
    error = `request job was invalidated: ${messageOf(cause)}`;
  }
  endWithError(world, job.id, error);
  return undefined;
}

/** The real server fails such a job, or leaves it locked for the reaper; we hand it out again (spec/02 §5.14). */
function undelivered(world: World, job: Job): void {
  if (world.exact) endWithError(world, job.id, "connection to provisioner daemon broken");
  else requeueJob(world, job.id);
}
