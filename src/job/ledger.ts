import type { Timing } from "../gen/provisioner_pb.ts";
import { scanState } from "../kit/state-scan.ts";
import type { StepName } from "./events.ts";

/** What a job has done so far: what a report needs to know, however the job ends. */
export class Ledger {
  /** By the step that took them, in the order of the report (spec/02 §2.5). */
  readonly timings: Record<"init" | "plan" | "apply" | "graph", Timing[]> = {
    init: [],
    plan: [],
    apply: [],
    graph: [],
  };
  /** The step that runs, or ran last. */
  at: { step: StepName; stage: string } | undefined;
  #applying = false;
  #newest: Uint8Array | undefined;

  /** True from the moment that an apply was asked for: from then on there may be resources that only a state names. */
  get applying(): boolean {
    return this.#applying;
  }

  applyBegins(): void {
    this.#applying = true;
  }

  /** Notes a state that an apply made. Only a complete one counts, and is told by true: half of one would destroy the whole (spec/02 §2.8). */
  noteState(state: Uint8Array): boolean {
    if (!scanState(state)) return false;
    this.#newest = state;
    return true;
  }

  /** The newest complete state that an apply made. */
  get newestState(): Uint8Array | undefined {
    return this.#newest;
  }

  get allTimings(): Timing[] {
    const { init, plan, apply, graph } = this.timings;
    return [...init, ...plan, ...apply, ...graph];
  }
}
