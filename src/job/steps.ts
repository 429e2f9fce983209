import { stages } from "../contract/stages.ts";
import { StepError } from "../contract/step-error.ts";
import type { LogLevel, Timing } from "../gen/provisioner_pb.ts";
import { LogSource } from "../gen/provisionerd_pb.ts";
import type { Clock } from "../kit/clock.ts";
import { raceSignal } from "../kit/signals.ts";
import type { LogLine, OpenOptions, Provisioner, Session } from "../session/types.ts";
import type { JobEvent, StepName } from "./events.ts";
import { within } from "./failures.ts";
import { GaveUp, Interrupted, type Interruption } from "./interruption.ts";
import type { Ledger } from "./ledger.ts";
import { Progress } from "./progress.ts";
import type { Updates } from "./updates.ts";

/** Steps of the provisioner: a long silence of theirs may be a fault. The others wait for the control plane, which may be away. */
const speaking: ReadonlySet<StepName> = new Set<StepName>(["init", "parse", "plan", "apply", "graph"]);
/** From giving a step up, which ends its worker, until it has told the state that it left: a read of one file. */
const lastStateMs = 5_000;

/** Runs the steps of one job, one after the other: none starts after an interrupt, and none is waited for for ever. */
export class Steps {
  readonly #progress = new Progress();
  #session: Promise<Session> | undefined;
  #closing: Promise<void> | undefined;
  /** Lines of the provisioner belong to the step that runs, or ran last. */
  #stage: string = stages.settingUp;

  constructor(
    readonly needs: {
      updates: Updates;
      interruption: Interruption;
      ledger: Ledger;
      clock: Clock;
      onEvent: (event: JobEvent) => void;
    },
  ) {}

  /** Opens the provisioner's session, which `close` ends. */
  async open(provisioner: Provisioner, options: Omit<OpenOptions, "onLog">): Promise<Session> {
    const onLog = (line: LogLine) => this.#heard(line);
    const open = async (signal: AbortSignal) => {
      this.#session = provisioner.open({ ...options, onLog }, signal);
      return await this.#session;
    };
    return await within("open session", this.run("open", stages.settingUp, open));
  }

  /**
   * Runs a step and waits for its result. An interrupt reaches it by the signal, and its result counts as always.
   * Throws Interrupted instead of beginning it after an interrupt, and GaveUp when it did not end in the time given.
   */
  async run<T>(step: StepName, stage: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { interruption, ledger, clock, onEvent } = this.needs;
    interruption.check();
    ledger.at = { step, stage };
    this.#stage = stage;
    const began = clock.monotonic();
    onEvent({ kind: "step-began", step, stage });
    if (speaking.has(step)) interruption.listen();
    let ok = false;
    try {
      const result = await this.#unlessGivenUp(step, work(interruption.signal));
      ok = true;
      return result;
    } finally {
      interruption.quiet();
      onEvent({ kind: "step-ended", step, stage, ms: clock.monotonic() - began, ok });
    }
  }

  /** A line of our own in the name of the provisioner, as the server's users know it from quota and destroy. */
  say(level: LogLevel, stage: string, output: string): void {
    this.needs.updates.log(LogSource.PROVISIONER, level, stage, output);
  }

  /** Ends the session, once; resolves when nothing of it is left. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // A session that never opened has nothing to end, and its failure was told by `open`.
    const session = await this.#session?.catch(() => undefined);
    try {
      await session?.[Symbol.asyncDispose]();
    } catch (error) {
      this.needs.onEvent({ kind: "warning", text: `close session: ${error instanceof Error ? error.message : error}` });
    }
  }

  async #unlessGivenUp<T>(step: StepName, working: Promise<T>): Promise<T> {
    const { interruption, clock } = this.needs;
    try {
      return await raceSignal(working, interruption.givenUp);
    } catch (error) {
      if (!interruption.givenUp.aborted) throw error;
    }
    // Ending the session makes the step end, and hand over what state there is.
    void this.close();
    const patience = new AbortController();
    const waited = clock.sleep(lastStateMs, patience.signal).catch(() => undefined);
    const ended = working.then(
      (result) => ({ result }),
      () => undefined,
    );
    const last = await Promise.race([ended, waited]);
    patience.abort();
    if (last) return last.result;
    throw gaveUp(step, interruption.reason);
  }

  #heard({ level, output }: LogLine): void {
    this.needs.interruption.heard();
    this.needs.updates.log(LogSource.PROVISIONER, level, this.#stage, output);
    const progress = this.#progress.read(output);
    if (progress) this.needs.onEvent({ kind: "progress", ...progress });
  }
}

function gaveUp(step: StepName, reason: Interrupted | undefined): GaveUp {
  const interrupted = reason ?? new Interrupted("killed", "the agent ends now");
  return new GaveUp(
    interrupted,
    `Cancel timed out: "${step}" did not end in time after the interrupt (${interrupted.message})`,
  );
}

/** Adds what a failed step took to the timings; the error goes on. */
export async function timed<T>(timings: Timing[], step: Promise<T>): Promise<T> {
  try {
    return await step;
  } catch (error) {
    if (error instanceof StepError) timings.push(...error.timings);
    throw error;
  }
}
