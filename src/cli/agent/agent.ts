import { Lane } from "../../agent/lane.ts";
import type { Rotation } from "../../agent/rotation.ts";
import type { StartSettings } from "../../config/start-settings.ts";
import type { AcquiredJob } from "../../gen/provisionerd_pb.ts";
import type { ReleaseStack } from "../../kit/release-stack.ts";
import type { Link } from "../../link/link.ts";
import { defaultStoreLimits, trimStore } from "../../terraform/provider-cache/trim.ts";
import type { AgentFacts, AgentSurroundings } from "./facts.ts";
import type { JobRunner } from "./job-runner.ts";
import type { Lanes } from "./lanes.ts";

/** An agent that is ready to connect: its slots, and the connections that they share or have for themselves. */
export class Agent implements AsyncDisposable {
  readonly lane: Lane<AcquiredJob>;
  #trimming: Promise<void> | undefined;

  constructor(
    readonly facts: AgentFacts,
    private readonly lanes: Lanes,
    settings: StartSettings,
    private readonly surroundings: AgentSurroundings,
    private readonly parts: {
      runner: JobRunner;
      /** Gets a worker ready before anybody asks for one. */
      warm: () => void;
      /** Keeps the key good; undefined with another credential. */
      rotation: Rotation | undefined;
      /** What this agent holds: its locks, its folders, its workers. */
      held: ReleaseStack;
    },
  ) {
    this.lane = new Lane<AcquiredJob>({
      slots: settings.slots,
      acquire: (signal, slot) => lanes.acquire(signal, slot),
      run: (acquired, slot, signals) => parts.runner.run(acquired, slot, lanes.of(slot), signals),
      prepare: () => {
        parts.warm();
        this.#trimCache();
      },
      maxJobs: settings.once ? 1 : settings.maxJobs || undefined,
      idleExit: settings.idleExit > 0 ? { ms: settings.idleExit, clock: surroundings.clock } : undefined,
    });
  }

  /** The connection; the first where each slot has its own. */
  get link(): Link {
    return this.lanes.first;
  }

  /** Why no job is taken right now; empty when ready. */
  get notReady(): string[] {
    const reasons = this.lanes.notReady;
    if (this.lane.phase !== "running") reasons.push(this.lane.phase);
    return reasons;
  }

  /** Connects and takes jobs until the lane has drained; then the connection is closed in order. Throws OperatorError where a person must act. */
  async run(): Promise<void> {
    const life = new AbortController();
    const links = this.lanes.start(life.signal);
    const rotation = this.parts.rotation?.run(life.signal);
    // The links' own failure ends the waiting acquires with the same error: the lane tells it.
    links.catch(() => this.lane.descend("draining"));
    rotation?.catch(() => this.lane.descend("draining"));
    try {
      await this.lane.run();
    } finally {
      life.abort(new Error("the lane has drained"));
      await links;
    }
    await rotation;
  }

  /** Between jobs, and one at a time: the provider cache keeps within its bounds. */
  #trimCache(): void {
    if (this.#trimming) return;
    this.#trimming = trimStore(this.facts.folders.cache, defaultStoreLimits, this.surroundings.clock.now())
      .then((trimmed) => {
        for (const text of trimmed?.problems ?? []) this.surroundings.onFact({ kind: "cache-problem", text });
      })
      .finally(() => {
        this.#trimming = undefined;
      });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#trimming;
    await this.parts.held[Symbol.asyncDispose]();
  }
}
