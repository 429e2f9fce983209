import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import type { Metadata } from "../gen/provisioner_pb.ts";
import type { Clock } from "../kit/clock.ts";
import { JobError, messageOf } from "../kit/errors.ts";
import type {
  Applied,
  InitInput,
  Initialized,
  OpenOptions,
  PlanInput,
  Planned,
  Provisioner,
  Session,
} from "../session/types.ts";
import { apply } from "./apply.ts";
import { Bench } from "./bench.ts";
import { SessionFolder } from "./folder.ts";
import { emptyGraph, graphOfPlan, graphOfState } from "./graph.ts";
import { GraphText } from "./graph-text.ts";
import { initialize } from "./init.ts";
import { JobLog } from "./job-log.ts";
import { parse } from "./parse.ts";
import { isNothingToDo, plan } from "./plan.ts";
import type { Lease } from "./provider-cache/lease.ts";
import type { Spawn } from "./run-engine.ts";
import { type CompleteSettings, completeSettings, type TerraformSettings } from "./settings.ts";

export interface TerraformDeps {
  clock: Clock;
  /** Names the session's folder; yields [0, 1). */
  random?: () => number;
  spawn?: Spawn;
  /** Decides which signals there are. */
  platform?: NodeJS.Platform;
}

/** The provisioner that runs Terraform or OpenTofu (spec/03). */
export function terraformProvisioner(settings: TerraformSettings, deps: TerraformDeps): Provisioner {
  const complete = completeSettings(settings);
  const filled = { random: () => randomInt(2 ** 32) / 2 ** 32, spawn, platform: process.platform, ...deps };
  return { open: async (options) => new TerraformSession(complete, options, filled) };
}

/**
 * One job's life with the engine.
 *
 *  - new: no folder exists
 *  - initialized, planned, applied: what the results of the calls allow; their processes end before the calls return,
 *    but for the graph's, which may be made early
 *  - disposed: every process was killed and is gone, then the folders went
 */
class TerraformSession implements Session {
  readonly #steps = new Set<Promise<unknown>>();
  readonly #bench: Bench;
  readonly #kill = new AbortController();
  #lease: Lease | undefined;

  constructor(settings: CompleteSettings, options: OpenOptions, deps: Required<TerraformDeps>) {
    const folder = new SessionFolder(settings.workRoot, deps.random);
    const { exitTimeoutMs } = settings;
    this.#bench = new Bench(settings, folder, new JobLog(options, deps.clock), {
      ...deps,
      exitTimeoutMs,
      kill: this.#kill.signal,
    });
  }

  async init(input: InitInput, signal: AbortSignal): Promise<Initialized> {
    const bench = this.#bench;
    await this.#dropLease();
    const own = (lease: Lease) => {
      this.#lease = lease;
    };
    const facts = await this.#step("initialize terraform", signal, () => initialize(bench, input, own, signal));
    const graph = new GraphText(bench);
    return {
      facts,
      parse: (parseSignal) => this.#step("parse template", parseSignal, () => parse(bench)),
      plan: (planInput, planSignal) => this.#plan(planInput, graph, planSignal),
    };
  }

  async #plan(input: PlanInput, graph: GraphText, signal: AbortSignal): Promise<Planned> {
    const bench = this.#bench;
    const facts = await this.#step("terraform plan", signal, () => plan(bench, input, graph, signal));
    const isNothing = isNothingToDo(input);
    return {
      facts,
      graph: (graphSignal) =>
        this.#step("generate graph", graphSignal, async () =>
          isNothing ? emptyGraph() : graphOfPlan(bench, facts.plan, graph, graphSignal),
        ),
      apply: async (metadata: Metadata, onState, applySignal): Promise<Applied> => {
        // Parameters and tokens of the plan: what is read late needs them, too (spec/03 §4.3).
        const { error, ...result } = await this.#step("terraform apply", applySignal, () =>
          apply(bench, { ...input, metadata }, graph, onState, applySignal),
        );
        return {
          ...result,
          ...(error !== undefined && { error }),
          graph: (graphSignal) =>
            this.#step("generate graph", graphSignal, async () =>
              isNothing ? emptyGraph() : graphOfState(bench, graph, graphSignal),
            ),
        };
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { settings, folder, clock, log } = this.#bench;
    this.#kill.abort();
    await this.#bench.settled();
    await this.#stepsEnded();
    await this.#dropLease();
    if (settings.keepFolder) return;
    try {
      await folder.remove(clock);
    } catch (error) {
      log.warn(`the job's folder could not be removed: ${messageOf(error)}`);
    }
  }

  async #dropLease(): Promise<void> {
    await this.#lease?.[Symbol.asyncDispose]();
    this.#lease = undefined;
  }

  /** A step that was cancelled between its commands fails in the same words as one that was cancelled before a start. */
  async #step<T>(name: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const working = work();
    this.#steps.add(working);
    try {
      return await working;
    } catch (error) {
      if (error instanceof JobError && error !== signal.reason) throw error;
      if (signal.aborted) throw new JobError(`${name}: context canceled`, { cause: error });
      throw error;
    } finally {
      this.#steps.delete(working);
    }
  }

  /** Resolves when no step writes to the folders any more, or after a while: a state that nobody takes must not hold us. */
  async #stepsEnded(): Promise<void> {
    if (this.#steps.size === 0) return;
    const limit = new AbortController();
    const late = this.#bench.clock.sleep(stepLimitMs, limit.signal).catch(() => undefined);
    await Promise.race([Promise.allSettled(this.#steps), late]);
    limit.abort();
  }
}

/** What a step does between two commands, files and conversions, takes less. */
const stepLimitMs = 5000;
