import { messageOf, OperatorError } from "../kit/errors.ts";
import type { Redactor } from "../redact/redactor.ts";
import type { Provisioner } from "../session/types.ts";
import type { JobEvent } from "./events.ts";
import type { Interruption } from "./interruption.ts";
import type { Ledger } from "./ledger.ts";
import type { ControlPlane, JobJournal, JobPhase } from "./ports.ts";
import type { Steps } from "./steps.ts";
import type { Updates } from "./updates.ts";

/** What a pipeline works with. */
export interface Pipeline {
  controlPlane: ControlPlane;
  provisioner: Provisioner;
  journal: JobJournal;
  redactor: Redactor;
  updates: Updates;
  interruption: Interruption;
  ledger: Ledger;
  steps: Steps;
  onEvent: (event: JobEvent) => void;
}

/** Journals a phase whose loss costs nothing but a less exact recovery. */
export async function notePhase(
  { journal, onEvent }: Pick<Pipeline, "journal" | "onEvent">,
  phase: JobPhase,
): Promise<void> {
  try {
    await journal.phase(phase);
  } catch (error) {
    onEvent({ kind: "warning", text: `journal "${phase}": ${messageOf(error)}` });
  }
}

/** Journals that an apply begins. Without that record a crash would lose the state: no record, no apply. */
export async function noteApplying({ journal }: Pipeline): Promise<void> {
  try {
    await journal.phase("applying");
  } catch (cause) {
    throw new OperatorError(`apply was not begun: the journal can't be written: ${messageOf(cause)}`, {
      code: "OUT-JOURNAL",
      cure: "see that the agent's state folder can be written and has space",
      cause,
    });
  }
}

/** Journals a state that an apply made; a failure must not disturb the apply, which is where the state comes from. */
export async function noteState({ journal, ledger, onEvent }: Pipeline, state: Uint8Array): Promise<void> {
  if (!ledger.noteState(state)) return;
  try {
    await journal.state(state);
  } catch (error) {
    onEvent({ kind: "warning", text: `journal the newest state: ${messageOf(error)}` });
  }
}
