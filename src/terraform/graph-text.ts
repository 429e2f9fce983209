import { JobError } from "../kit/errors.ts";
import { graphArguments } from "./arguments.ts";
import { type Bench, failureText } from "./bench.ts";
import { basicEnvironment } from "./environment.ts";

/** The DOT text, and when it was made: Unix milliseconds, for the stage's row. */
export interface Dot {
  text: string;
  startMs: number;
  endMs: number;
}

interface Run {
  dot: Promise<Dot>;
  stop: AbortController;
  /** Started before anybody asked: while an apply rewrites the state the engine may not be able to read it. */
  early: boolean;
}

/**
 * The text of `graph`, once per session: it depends on the configuration, not on transition or state, so an import's
 * two plans share it, and a build can have it made while the apply runs.
 */
export class GraphText {
  #run: Run | undefined;

  constructor(readonly bench: Bench) {}

  /** Begins early, so that `get` need not wait. What fails is forgotten. */
  start(): void {
    this.#run ??= this.#begin(true);
  }

  /** Throws JobError when the engine can't make it. An aborted signal interrupts the engine. */
  async get(signal: AbortSignal): Promise<Dot> {
    if (signal.aborted) throw new JobError("generate graph: graph: context canceled");
    this.#run ??= this.#begin(false);
    const run = this.#run;
    const onAbort = () => run.stop.abort();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await run.dot;
    } catch (error) {
      if (this.#run === run) this.#run = undefined;
      if (run.early && !signal.aborted) return await this.get(signal);
      throw error;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  #begin(early: boolean): Run {
    const stop = new AbortController();
    const dot = this.#make(stop.signal);
    // Whoever gets it sees the failure; nobody may.
    dot.catch(() => undefined);
    return { dot, stop, early };
  }

  async #make(signal: AbortSignal): Promise<Dot> {
    const { settings, folder, clock } = this.bench;
    const startMs = clock.now();
    const input = { environment: basicEnvironment(settings, folder) };
    const run = await this.bench.runCollected(graphArguments(settings.engine), input, signal);
    if (run.end !== undefined) throw new JobError(`generate graph: graph: ${failureText(run)}`);
    return { text: new TextDecoder().decode(run.stdout), startMs, endMs: clock.now() };
  }
}
