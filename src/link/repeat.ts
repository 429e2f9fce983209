import { Backoff, curves } from "../kit/backoff.ts";
import { messageOf, PeerError, RefusedError, TransientError } from "../kit/errors.ts";
import type { Connection } from "./connection.ts";
import type { ConnectionSlot } from "./slot.ts";
import { pause, type Timing } from "./timing.ts";

/** So often may one call end without an answer while others on the same connection are answered (spec/02 §1.6). */
const lostWhileOthersAnswered = 5;

/**
 * Makes one call until it is answered: on whatever connection there is, waiting while there is none, by the RPC curve
 * (spec/01 §4.11). Final are: an answer of no, a second violation of the protocol, and a call that is lost five times on a
 * connection that answers others (spec/02 §1.6). `attempt` is told how many attempts were lost before.
 */
export async function repeat<T>(
  what: string,
  slot: ConnectionSlot,
  timing: Timing,
  attempt: (connection: Connection, lostBefore: number) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const backoff = new Backoff(curves.rpc, timing.random);
  let lost = 0;
  let violations = 0;
  let streak: { on: Connection; answeredBefore: number; lost: number } | undefined;
  for (;;) {
    await pause(timing, backoff.next(), signal);
    const connection = await slot.take(signal);
    // Looked at only now: a connection that is still here was not what failed.
    if (streak?.on === connection) {
      const othersAnswered = connection.answered > streak.answeredBefore;
      if (streak.lost >= lostWhileOthersAnswered && othersAnswered) {
        throw new RefusedError(
          `${what}: ended ${streak.lost} times without an answer, while other calls were answered`,
        );
      }
    } else {
      streak = { on: connection, answeredBefore: connection.answered, lost: 0 };
    }
    try {
      return await connection.use(() => attempt(connection, lost));
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof PeerError) {
        if (++violations > 1) throw new RefusedError(`${what}: ${messageOf(error)}, twice`, { cause: error });
      } else if (!(error instanceof TransientError)) throw error;
      lost++;
      streak.lost++;
    }
  }
}
