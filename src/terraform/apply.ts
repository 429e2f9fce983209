import { join } from "node:path";
import type { Timing } from "../gen/provisioner_pb.ts";
import { LogLevel } from "../gen/provisioner_pb.ts";
import { messageOf } from "../kit/errors.ts";
import { anySignal } from "../kit/signals.ts";
import type { PlanInput } from "../session/types.ts";
import { applyArguments } from "./arguments.ts";
import type { Bench, LoggedRun } from "./bench.ts";
import { jobEnvironment } from "./environment.ts";
import type { GraphText } from "./graph-text.ts";
import { isNothingToDo, nothingToDo } from "./plan.ts";
import { salvage } from "./salvage.ts";
import { readState } from "./state-file.ts";
import { StateWatch } from "./state-watch.ts";
import { stageRow, TimingCollector } from "./timings.ts";

export interface ApplyResult {
  /** The best state there is; empty where there is none, and then the control plane keeps what it has. */
  state: Uint8Array;
  /** Undefined when it worked. */
  error: string | undefined;
  timings: Timing[];
}

/** Applies the newest plan, and follows the state while it does (spec/03 §3.7). Throws only where nothing was run. */
export async function apply(
  bench: Bench,
  input: PlanInput,
  graph: GraphText,
  onState: (state: Uint8Array) => Promise<void>,
  signal: AbortSignal,
): Promise<ApplyResult> {
  const { settings, folder, clock, log } = bench;
  bench.begin();
  if (isNothingToDo(input)) {
    log.info(nothingToDo);
    return { state: new Uint8Array(), error: undefined, timings: [] };
  }
  const collector = new TimingCollector("apply");
  const startMs = clock.now();
  const broken = new AbortController();
  using interrupt = anySignal(signal, broken.signal);
  const watch = new StateWatch({
    path: folder.state,
    maxBytes: settings.maxStateBytes,
    intervalMs: settings.stateIntervalMs,
    clock,
    initial: input.state,
    onState,
    onBroken: () => {
      log.entry({
        level: LogLevel.ERROR,
        output: "the engine can't write its state any more (is the disk full?): interrupting it",
      });
      broken.abort();
    },
  });
  let run: LoggedRun;
  try {
    // Before the state changes, or the engine may find half of one.
    if (!signal.aborted) graph.start();
    const { variables: environment, labels } = jobEnvironment(settings, folder, log.options.logLevel, input);
    run = await bench.runLogged(applyArguments(folder.plan), { environment, labels }, collector, interrupt.signal);
  } catch (error) {
    run = { end: messageOf(error), errors: "", dump: undefined };
  } finally {
    await watch.stop();
  }

  const lost = run.end?.startsWith("signal: ") ? collector.unfinished() : [];
  if (lost.length > 0) {
    // Terraform notes what it made after it made it: what a kill interrupts may exist and nobody knows (spec/03 §11a).
    const output = `these may have been changed without the state knowing, look at them by hand: ${lost.join(", ")}`;
    log.entry({ level: LogLevel.ERROR, output });
  }
  const file = await readState(folder.state, settings.maxStateBytes);
  const errored = await readState(join(folder.path, "errored.tfstate"), settings.maxStateBytes);
  const { bytes, trouble } = salvage({ file, errored, dump: run.dump, copy: watch.best });
  // A failed first build may have no state yet: that is no second failure.
  const isUsual = run.end !== undefined && bytes.length === 0 && (file.kind === "missing" || isEmpty(file));
  const problems = [run.end && `terraform apply: ${run.end}`, isUsual ? undefined : trouble].filter(Boolean);
  const error = problems.length > 0 ? problems.join("; ") : undefined;
  await watch.finish(bytes);
  return {
    state: bytes,
    error,
    timings: [...collector.rows(), stageRow("apply", startMs, clock.now(), error === undefined)],
  };
}

const isEmpty = (file: Awaited<ReturnType<typeof readState>>) => file.kind === "unusable" && file.bytes === 0;
