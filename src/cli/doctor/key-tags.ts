import type { Tags } from "../../agent/tags.ts";
import type { StartSettings } from "../../config/start-settings.ts";
import { exitCode, OperatorError } from "../../kit/errors.ts";
import { defaultName } from "../../link/identity.ts";
import { checkCredential } from "./credential.ts";
import { makeDialer, readIdentity } from "./dialer.ts";
import type { Found } from "./examination.ts";
import { isNetworkError, wayFinding } from "./reach.ts";
import type { Surroundings } from "./surroundings.ts";
import { findWay } from "./way.ts";

/** Nobody waits longer for one answer. */
const limitMs = 10_000;

/** The tags of the configured key, asked from the control plane. Throws OperatorError for whatever is in between. */
export async function askKeyTags(start: StartSettings, surroundings: Surroundings): Promise<Tags> {
  const late = new AbortController();
  using _timer = surroundings.clock.after(limitMs, () => late.abort(new Error(`no answer in ${limitMs / 1000} s`)));
  const { signal } = late;
  const name = start.name || defaultName(surroundings.hostName);
  const identity = await readIdentity(start, surroundings, name, signal);
  if (identity instanceof OperatorError) throw identity;
  const { value: way } = await findWay(start, surroundings.environment);
  const dialer = makeDialer(way, identity, start, surroundings);
  const known = await ask().catch((error: unknown) => {
    if (!signal.aborted && !isNetworkError(error)) throw error;
    return wayFinding(error, start.url, undefined);
  });
  if (known.status === "fail") {
    const { code, cure, reason } = known;
    const exit = code === "OUT-UNREACHABLE" ? exitCode.unreachable : exitCode.refused;
    throw new OperatorError(known.text, { code, cure, exit, ...(reason ? { reason } : {}) });
  }
  const tags = "value" in known ? known.value?.details?.tags : undefined;
  if (tags) return tags;
  throw new OperatorError("the control plane doesn't tell the key's tags", {
    code: "OUT-VERSION",
    reason: "it is older than Coder 2.18",
    cure: "leave the key out and give its tags with --tag",
  });

  async function ask(): Promise<Found<{ details?: { tags: Tags } }>> {
    await dialer.prepare(signal);
    return checkCredential(dialer, undefined, signal);
  }
}
