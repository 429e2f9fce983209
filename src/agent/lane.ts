import type { Clock } from "../kit/clock.ts";

/** What a lane needs; `J` is a job as the control plane hands it out. */
export interface LaneNeeds<J> {
  slots: number;
  /** One open question to the control plane: a job, or undefined when the abort took effect. May return a job even after the abort: it must be run. */
  acquire(signal: AbortSignal, slot: number): Promise<J | undefined>;
  /** Runs one job to its end, in words: never throws for what a job does. */
  run(job: J, slot: number, signals: JobSignals): Promise<void>;
  /** Called before the first acquire, and after each job: work that must not wait for the next job (a warm worker). */
  prepare?(): void;
  /** The lane drains after this many jobs, and never takes more; no end when absent. */
  maxJobs?: number | undefined;
  /** The lane drains when no job has run for so long; a pause doesn't count. */
  idleExit?: { ms: number; clock: Clock } | undefined;
}

/** How a running job is told to end: `stop` interrupts it and reports it with its state, `kill` ends it now. */
export interface JobSignals {
  stop: AbortSignal;
  kill: AbortSignal;
}

/** The ladder, one rung per signal (spec/02 §4.4, 02#60). */
export type LaneRung = "running" | "draining" | "stopping" | "killed";
const rungs: readonly LaneRung[] = ["running", "draining", "stopping", "killed"];

/** Where a lane stands: a rung, or a rest on the first one that `resume` ends. */
export type LanePhase = LaneRung | "paused";

/**
 * One identity on one connection with k slots (spec/02 §1.5). Each free slot keeps one acquire open.
 *
 *  - running: free slots ask for jobs
 *  - paused: nobody asks until `resume`; jobs go on
 *  - draining: nobody asks; jobs go on to their end
 *  - stopping: running jobs are interrupted and reported with state
 *  - killed: running jobs are ended now
 *
 * Phases only go down this list; only from paused there is a way back. `run` returns when every slot has ended.
 */
export class Lane<J> {
  readonly #drain = new AbortController();
  readonly #stop = new AbortController();
  readonly #kill = new AbortController();
  readonly #needs: LaneNeeds<J>;
  #rung: LaneRung = "running";
  /** Aborted while nobody may ask: the open acquires end with it, and a resume makes a new one. */
  #asking = new AbortController();
  #pause: { over: Promise<void>; end: () => void } | undefined;
  #busy = 0;
  /** Jobs that came. */
  #taken = 0;
  /** Those, and the ones that somebody is asking for. */
  #granted = 0;
  #idle: Disposable | undefined;

  constructor(needs: LaneNeeds<J>) {
    this.#needs = needs;
  }

  get phase(): LanePhase {
    return this.#pause ? "paused" : this.#rung;
  }

  /** Jobs that run now. */
  get busy(): number {
    return this.#busy;
  }

  /** Asks for no more jobs until `resume`. False where the lane is on its way down: that has no way back. */
  pause(): boolean {
    if (this.#rung !== "running") return false;
    if (this.#pause) return true;
    let end: () => void = () => undefined;
    const over = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#pause = { over, end };
    this.#asking.abort(new Error("paused: no new jobs"));
    this.#watchIdle();
    return true;
  }

  /** Ends a pause. False where the lane is on its way down. */
  resume(): boolean {
    if (this.#rung !== "running") return false;
    if (this.#pause) {
      this.#asking = new AbortController();
      this.#endPause();
      this.#watchIdle();
    }
    return true;
  }

  #endPause(): void {
    this.#pause?.end();
    this.#pause = undefined;
  }

  /** Goes down to this rung, through those above it; going up is ignored. A pause ends with it. */
  descend(rung: LaneRung): void {
    const target = rungs.indexOf(rung);
    if (target <= rungs.indexOf(this.#rung)) return;
    this.#rung = rung;
    if (target >= 1) {
      const reason = new Error("draining: no new jobs");
      this.#drain.abort(reason);
      this.#asking.abort(reason);
      this.#endPause();
      this.#watchIdle();
    }
    if (target >= 2) this.#stop.abort(new Error("the agent was told to stop"));
    if (target >= 3) this.#kill.abort(new Error("the agent was told to end now"));
  }

  /** Runs all slots until the lane has drained, by itself where a bound of its jobs or its idleness says so; rejects with the first error that is not a job's. */
  async run(): Promise<void> {
    this.#needs.prepare?.();
    this.#watchIdle();
    const slots = Array.from({ length: this.#needs.slots }, (_, index) => this.#slot(index + 1));
    try {
      await Promise.all(slots);
    } catch (error) {
      this.descend("draining");
      await Promise.allSettled(slots);
      throw error;
    }
  }

  async #slot(slot: number): Promise<void> {
    while (this.#grant()) {
      const job = await this.#next(slot);
      if (job === undefined) return;
      this.#busy++;
      if (++this.#taken === this.#needs.maxJobs) this.descend("draining");
      this.#watchIdle();
      try {
        await this.#needs.run(job, slot, { stop: this.#stop.signal, kill: this.#kill.signal });
      } finally {
        this.#busy--;
        this.#watchIdle();
      }
      this.#needs.prepare?.();
    }
  }

  /** The slot's next job; undefined when the lane drains. */
  async #next(slot: number): Promise<J | undefined> {
    while (!this.#drain.signal.aborted) {
      if (this.#pause) {
        await this.#pause.over;
        continue;
      }
      const job = await this.#needs.acquire(this.#asking.signal, slot);
      if (job !== undefined) return job;
    }
    return undefined;
  }

  /** Whether one more job may be asked for. A slot keeps its grant until it has a job, so that never more come than wanted. */
  #grant(): boolean {
    const { maxJobs } = this.#needs;
    if (this.#drain.signal.aborted || (maxJobs !== undefined && this.#granted >= maxJobs)) return false;
    this.#granted++;
    return true;
  }

  /** Counts from now whether the lane idles for too long. */
  #watchIdle(): void {
    const { idleExit } = this.#needs;
    this.#idle?.[Symbol.dispose]();
    this.#idle = undefined;
    if (!idleExit || this.#busy > 0 || this.phase !== "running") return;
    this.#idle = idleExit.clock.after(idleExit.ms, () => this.descend("draining"));
  }
}

/** The rung that a signal leads to: SIGTERM and SIGHUP drain, SIGINT stops, and each further one goes a rung down (02#60). */
export function nextPhase(phase: LanePhase, signal: "SIGTERM" | "SIGHUP" | "SIGINT"): LaneRung {
  if (phase === "running" || phase === "paused") return signal === "SIGINT" ? "stopping" : "draining";
  return rungs[Math.min(rungs.indexOf(phase) + 1, rungs.length - 1)] ?? "killed";
}
