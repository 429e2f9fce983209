import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { methods } from "../contract/methods.ts";
import { type AcquiredJob, AcquiredJobSchema, CancelAcquireSchema } from "../gen/provisionerd_pb.ts";
import { Backoff, curves } from "../kit/backoff.ts";
import { messageOf, TransientError } from "../kit/errors.ts";
import { anySignal } from "../kit/signals.ts";
import type { Connection } from "./connection.ts";
import type { ConnectionSlot } from "./slot.ts";
import { pause, type Timing } from "./timing.ts";

/** How long the answer to a cancel may take: the server looks at its database once, and then a job is not to be lost. */
const cancelMs = 30_000;

/**
 * Waits for a job, on one AcquireJobWithCancel stream at a time, whatever happens to connections. An aborted signal sends
 * CancelAcquire and waits for the answer: a job in it is returned like any other, for it is locked for us (spec/01 §4.14);
 * else undefined. Rejects only when the link has ended for good.
 */
export async function acquire(
  slot: ConnectionSlot,
  timing: Timing,
  onMiss: (why: string) => void,
  signal: AbortSignal,
): Promise<AcquiredJob | undefined> {
  const backoff = new Backoff(curves.acquire, timing.random);
  while (!signal.aborted) {
    try {
      await pause(timing, backoff.next(), signal);
      const connection = await slot.take(signal);
      const job = await acquireOnce(connection, timing, signal);
      if (job.jobId !== "") return job;
      // Cancelled to wait elsewhere: nothing went wrong. An empty answer out of the blue must not become a fast loop.
      if (connection.retired.aborted) backoff.reset();
    } catch (error) {
      if (signal.aborted) return undefined;
      if (slot.closed) throw slot.closed.reason;
      onMiss(messageOf(error));
    }
  }
  return undefined;
}

/** One stream. Never half-closed while it waits: the server would take that for a lost agent and fail a job (spec/01 §4.14). */
async function acquireOnce(connection: Connection, { clock }: Timing, signal: AbortSignal): Promise<AcquiredJob> {
  // Not the caller's signal: aborting that must not end the stream, but only send the cancel.
  const life = new AbortController();
  using stop = anySignal(signal, connection.retired);
  let timer: Disposable | undefined;
  let cancel: () => void = () => undefined;
  const onStop = () => {
    timer = clock.after(cancelMs, () =>
      life.abort(new TransientError("AcquireJobWithCancel: no answer to the cancel")),
    );
    cancel();
  };
  stop.signal.addEventListener("abort", onStop, { once: true });
  try {
    return await connection.use(async () => {
      await using call = await connection.parts.rpc.call(methods.acquireJobWithCancel, life.signal);
      cancel = () => {
        call.send(toBinary(CancelAcquireSchema, create(CancelAcquireSchema))).catch(() => undefined);
      };
      if (stop.signal.aborted) cancel();
      const bytes = await call.receive(life.signal);
      // The server hides its failures behind a bare Close (spec/01 §4.14).
      if (!bytes) throw new TransientError("AcquireJobWithCancel: closed without a job");
      return decodeJob(bytes);
    });
  } finally {
    stop.signal.removeEventListener("abort", onStop);
    timer?.[Symbol.dispose]();
  }
}

/** Unknown fields are dropped: in API 1.17 one of them holds users' secrets (spec/01 §5.5). Bytes are copied: the job outlives the read buffer. */
function decodeJob(bytes: Uint8Array): AcquiredJob {
  return fromBinary(AcquiredJobSchema, new Uint8Array(bytes), { readUnknownFields: false });
}
