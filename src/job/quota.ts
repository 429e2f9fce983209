import { stages } from "../contract/stages.ts";
import { StepError } from "../contract/step-error.ts";
import { LogLevel } from "../gen/provisioner_pb.ts";
import { RefusedError } from "../kit/errors.ts";
import type { Pipeline } from "./pipeline.ts";

/** Asks whether the owner may spend this; throws JobError when not (spec/02 §2.6). The caller asks once per job. */
export async function commitQuota(
  jobId: string,
  dailyCost: number,
  { controlPlane, steps }: Pick<Pipeline, "controlPlane" | "steps">,
  signal: AbortSignal,
): Promise<void> {
  const say = (level: LogLevel, text: string) => steps.say(level, stages.quota, text);
  const answer = await controlPlane.commitQuota({ jobId, dailyCost }, signal);
  if (answer.repeated) {
    say(
      LogLevel.WARN,
      "the connection was lost while asking, so it was asked twice: the cost may have been counted twice",
    );
  }
  if (!answer.ok) {
    const text = `commit quota: ${answer.refused.message}`;
    say(LogLevel.ERROR, text);
    throw new RefusedError(text, { cause: answer.refused });
  }
  const { ok, creditsConsumed, budget } = answer.value;
  say(LogLevel.INFO, `Build cost       —   ${dailyCost}`);
  say(LogLevel.INFO, `Budget           —   ${budget}`);
  say(LogLevel.INFO, `Credits consumed —   ${creditsConsumed}`);
  if (ok) return;
  say(LogLevel.WARN, "This build would exceed the quota of the workspace's owner.");
  throw new StepError("insufficient quota", { code: "INSUFFICIENT_QUOTA" });
}
