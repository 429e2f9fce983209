import type { AcquiredJob } from "../../gen/provisionerd_pb.ts";
import { exitCode, OperatorError } from "../../kit/errors.ts";
import type { Link } from "../../link/link.ts";

/** A name of the control plane has at most this many characters (spec/01 §1.8). */
const maxNameChars = 63;

/**
 * The names that the agent registers with: its own, or NAME-1 to NAME-N for slots that show as idle daemons (spec/02 §1.5).
 * Always the same ones. Throws OperatorError OUT-NAME when the longest is too long.
 */
export function laneNames(name: string, slots: number, identity: "shared" | "per-slot"): string[] {
  if (identity === "shared") return [name];
  const names = Array.from({ length: slots }, (_, index) => `${name}-${index + 1}`);
  const longest = names.at(-1) ?? name;
  if (longest.length <= maxNameChars) return names;
  throw new OperatorError(`name of a slot, "${longest}": has ${longest.length} characters: at most ${maxNameChars}`, {
    code: "OUT-NAME",
    cure: "a shorter --name, or --identity shared",
    exit: exitCode.usage,
  });
}

/** The connections of one agent: one for all slots, or one for each. */
export class Lanes {
  /** `links` must not be empty. */
  constructor(readonly links: readonly Link[]) {}

  /** The first one: what people are shown where there is room for one. */
  get first(): Link {
    return this.links[0] as Link;
  }

  /** The connection of a slot, counted from 1. */
  of(slot: number): Link {
    return this.links[(slot - 1) % this.links.length] as Link;
  }

  acquire(signal: AbortSignal, slot: number): Promise<AcquiredJob | undefined> {
    return this.of(slot).acquire(signal);
  }

  /** Why jobs aren't taken, one for each connection that takes none; a reason that several have is said once. */
  get notReady(): string[] {
    const reasons = this.links.flatMap(({ state: { kind, lastError } }) =>
      kind === "connected" ? [] : [`${kind}${lastError ? `: ${lastError}` : ""}`],
    );
    return [...new Set(reasons)];
  }

  /** Keeps all connections up until the signal aborts; the first that ends for good ends the others and is thrown. */
  async start(signal: AbortSignal): Promise<void> {
    const all = new AbortController();
    const stop = () => all.abort(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    const running = this.links.map((link) => link.start(all.signal));
    try {
      await Promise.all(running);
    } catch (error) {
      all.abort(error);
      await Promise.allSettled(running);
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }
}
