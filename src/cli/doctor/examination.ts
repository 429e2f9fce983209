import type { Clock } from "../../kit/clock.ts";
import { OperatorError, TransientError } from "../../kit/errors.ts";
import { anySignal, raceSignal } from "../../kit/signals.ts";
import { type Check, type Finding, fail, type Group, skip } from "./finding.ts";

/** A check that takes longer has found its answer: nobody who waits for a job would wait longer. */
const checkMs = 10_000;
/** All of them together: what a person, or the probe of an orchestrator, is willing to wait. */
const allMs = 60_000;

/** What a check found, and what the checks behind it need to know. */
export type Found<T> = Finding & { value?: T };

/** Runs checks one after the other, each within its limit, and tells each as it is done. */
export class Examination implements Disposable {
  readonly checks: Check[] = [];
  readonly #ended = new AbortController();
  readonly #timer: Disposable;

  constructor(
    private readonly clock: Clock,
    private readonly onCheck: (check: Check) => void,
  ) {
    const error = new TransientError(`no time left: all checks together took ${allMs / 1000} s`);
    this.#timer = clock.after(allMs, () => this.#ended.abort(error));
  }

  /**
   * Runs one check; undefined where it failed or did not run. `behind`: the value of what it depends on; undefined there means
   * that this check is skipped, and so are those behind it.
   */
  async check<In, Out>(
    about: { group: Group; name: string; behind: In | undefined; skipText?: string },
    run: (input: In, signal: AbortSignal) => Promise<Found<Out>>,
  ): Promise<Out | undefined> {
    const { group, name, behind, skipText = "behind a check that failed" } = about;
    const { value, ...finding } =
      behind === undefined
        ? ({ ...skip(skipText) } as Found<Out>)
        : await this.#find(name, (signal) => run(behind, signal));
    const check = { group, name, ...finding };
    this.checks.push(check);
    this.onCheck(check);
    return check.status === "fail" ? undefined : value;
  }

  /** Runs something within the limit of one check; a TransientError when that is over. */
  async within<T>(run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const late = new AbortController();
    using _timer = this.clock.after(checkMs, () => late.abort(new TransientError(`no answer in ${checkMs / 1000} s`)));
    using either = anySignal(late.signal, this.#ended.signal);
    try {
      return await raceSignal(run(either.signal), either.signal);
    } catch (error) {
      // Whatever a call makes of its aborted signal.
      if (either.signal.aborted) throw either.signal.reason;
      throw error;
    }
  }

  async #find<Out>(name: string, run: (signal: AbortSignal) => Promise<Found<Out>>): Promise<Found<Out>> {
    try {
      return await this.within(run);
    } catch (error) {
      if (error instanceof OperatorError) return failureFinding(error);
      if (!(error instanceof TransientError)) throw error;
      return fail(`${name}: ${error.message}`, "OUT-TIMEOUT", "see that nothing in between drops packets");
    }
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
  }
}

/** An error for a person, as a finding. */
export function failureFinding(error: OperatorError): Finding {
  return fail(error.message, error.code, error.cure ?? "see docs/troubleshooting.md", error.reason);
}
