import type { KeyAnswer, KeyedLink } from "../../agent/rotation.ts";
import type { Secret } from "../../kit/secret.ts";
import type { Identity } from "../../link/identity.ts";
import type { Link } from "../../link/link.ts";

/** A link as the rotation of its key sees it. `identityOf` checks a key and throws OperatorError for what can't be one. */
export function keyedLink(link: Link, identityOf: (key: Secret) => Identity): KeyedLink {
  return {
    get connected() {
      return link.state.apiVersion !== undefined;
    },
    get facts() {
      return link.state.keyDetails;
    },
    ask: async (key, signal): Promise<KeyAnswer> => {
      const identity = identityOf(key);
      const answer = await link.keyDetails(identity, signal);
      const status = answer?.status ?? 0;
      if (answer?.details) return { kind: "known", facts: answer.details };
      if (status === 400 || status === 401) return { kind: "refused", error: link.keyRefusal(identity) };
      // An answer without details that is no refusal: a proxy's page, or trouble at the control plane.
      if (status !== 404)
        return { kind: "unreachable", why: `the control plane answered ${status} when asked for the key` };
      return { kind: "unasked" };
    },
    renew: (key, signal) => link.renew(identityOf(key), signal),
    hold: (error, nextMs) => link.hold(error, nextMs),
  };
}
