import { takesWords } from "../../agent/tags.ts";
import { versionText } from "../../contract/versions.ts";
import { Secret } from "../../kit/secret.ts";
import { decide, isVersionRefusal } from "../../link/decision.ts";
import type { Dialer } from "../../link/dialer.ts";
import type { DialFailure } from "../../link/failure.ts";
import { answerFailure } from "../../link/failure.ts";
import { credentialHeader, handshakeHeaders, serveUrl } from "../../link/handshake.ts";
import { mergeHeaders } from "../../link/http.ts";
import { fingerprint, type Identity } from "../../link/identity.ts";
import { fetchKeyDetails, fetchOrganization, type KeyDetails } from "../../link/rest.ts";
import { upgrade } from "../../link/upgrade.ts";
import { type Found, failureFinding } from "./examination.ts";
import { type Finding, fail, ok, skip, warn } from "./finding.ts";
import { probeVersion, type Server } from "./server.ts";

/** Nobody: the licence is looked at before any credential (spec/01 §1.5). */
export const anonymous: Identity = {
  credential: { kind: "key", secret: new Secret("") },
  organization: "default",
  name: "doctor",
  tags: [],
  warnings: [],
};

/**
 * A handshake that a server refuses at its version, which comes after licence, credential, organization and tags, and before
 * anything is written (spec/01 §1.5). Only for servers that check versions. Undefined: it was accepted after all.
 */
export async function probe(dialer: Dialer, server: Server, signal: AbortSignal): Promise<DialFailure | undefined> {
  const { deployment, connector, identity, timing, version: own } = dialer.options;
  const organization = identity.organization ?? (await lookUpOrganization(dialer, signal));
  const url = serveUrl(deployment, { organization, name: identity.name, tags: identity.tags, version: probeVersion });
  const headers = handshakeHeaders(identity.credential, dialer.agent, { own, server: server.version });
  const answer = await upgrade(
    url,
    {
      connector,
      headers: mergeHeaders(headers, dialer.extra),
      clock: timing.clock,
      onOpen: (socket) => {
        socket.on("error", () => undefined);
        socket.terminate();
      },
    },
    signal,
  );
  return answer.ok ? undefined : answer.failure;
}

async function lookUpOrganization(dialer: Dialer, signal: AbortSignal): Promise<string> {
  const headers = { ...credentialHeader(dialer.options.identity.credential), "User-Agent": dialer.agent };
  const { organization } = await fetchOrganization(dialer.fetch, { headers, extra: dialer.extra }, signal);
  return organization ?? "default";
}

/** What became of a probe; undefined: none was sent. */
export type Probed = { failure: DialFailure | undefined } | undefined;

/** What the probe says about the licence. */
export function licenceFinding(failure: DialFailure | undefined, dialer: Dialer): Finding {
  if (isVersionStop(failure)) return ok("external provisioners allowed");
  if (failure?.kind === "status" && failure.status === 401) return ok("nothing against external provisioners");
  return refusal(failure, dialer);
}

/** A credential that the control plane knows, and what it knows of a key. */
export interface Known {
  identity: Identity;
  details?: KeyDetails;
}

/** Is the credential known? A key is asked for by its details (spec/01 §1.7), anything else shows in the probe. */
export async function checkCredential(dialer: Dialer, probed: Probed, signal: AbortSignal): Promise<Found<Known>> {
  const { identity, timing } = dialer.options;
  const { kind, secret } = identity.credential;
  if (kind === "key") {
    const { answer, details } = await fetchKeyDetails(
      dialer.fetch,
      { key: secret, agent: dialer.agent, extra: dialer.extra },
      signal,
    );
    if (details) return { ...keyFinding(details, identity, timing.clock.now()), value: { identity, details } };
    if (answer.status === 400 || answer.status === 401)
      return refusal({ ...answerFailure({ ...answer, status: 401 }, 0), keyCheck: "refused" }, dialer);
    // Servers before 2.18 don't know the call: there the probe is all there is.
    if (answer.status !== 404) return refusal(answerFailure(answer, timing.clock.now()), dialer);
  }
  const name = { key: `key ${fingerprint(secret)}`, psk: "pre-shared key", token: "user token" }[kind];
  if (!probed) return { ...skip(`${name}: only --connect can ask for it`), value: { identity } };
  const { failure } = probed;
  if (isVersionStop(failure)) return { ...ok(`${name} accepted`), value: { identity } };
  return refusal(failure?.kind === "status" ? { ...failure, keyCheck: "refused" } : failure, dialer);
}

function keyFinding({ name, organizationId, createdAt }: KeyDetails, { warnings }: Identity, nowMs: number): Finding {
  const days = Math.floor((nowMs - createdAt) / 86_400_000);
  const age = Number.isNaN(days) ? "" : `, ${days} ${days === 1 ? "day" : "days"} old`;
  const text = `"${name}" of organization ${organizationId}${age}`;
  if (warnings.length === 0) return ok(text);
  return warn(
    `${text}; ${warnings.join("; ")}`,
    "OUT-KEY-LENGTH",
    "nothing must be done; a file without them is tidier",
  );
}

/** Which jobs will come, in words. */
export function tagsFinding({ identity, details }: Known): Finding {
  if (identity.credential.kind === "key" && !details) return ok("those of the key: this server doesn't tell them");
  const tags = details?.tags ?? Object.fromEntries(identity.tags.map(pair));
  const holder = details ? "the key" : "the agent";
  const words = takesWords(tags, holder);
  if (tags["scope"] === "user" && details)
    return warn(words, "OUT-TAGS", "make a key without scope=user: a key belongs to no user, so no job will ever come");
  const isTagged = words.includes("{");
  return isTagged
    ? warn(words, "OUT-TAGS", `for untagged templates too: run a second agent with ${holder} without tags`)
    : ok(words);
}

const pair = (tag: string): [string, string] => {
  const at = tag.indexOf("=");
  return [tag.slice(0, at), tag.slice(at + 1)];
};

/** A real connection, closed at once. It writes the daemon's row, as the agent's own would. */
export async function checkUpgrade(dialer: Dialer, signal: AbortSignal): Promise<Finding> {
  await dialer.prepare(signal);
  const dialled = await dialer.dial(signal);
  if (!dialled.ok) return refusal(dialled.failure, dialer);
  const { mux, apiVersion } = dialled.connection.parts;
  await mux.close();
  return ok(`connected as ${dialer.options.identity.name} with protocol ${versionText(apiVersion)}, and closed again`);
}

function isVersionStop(failure: DialFailure | undefined): boolean {
  return failure?.kind === "status" && failure.status === 400 && isVersionRefusal(failure.body);
}

function refusal(failure: DialFailure | undefined, dialer: Dialer): Finding {
  if (!failure) {
    const cure = "report this, with the version of the control plane";
    return fail(`a handshake of version ${versionText(probeVersion)} was accepted`, "OUT-HANDSHAKE", cure);
  }
  const { identity, deployment } = dialer.options;
  const verdict = decide(failure, {
    hadSuccess: false,
    credential: identity.credential.kind,
    fingerprint: fingerprint(identity.credential.secret),
    url: deployment.origin.href,
    organization: identity.organization ?? "",
  });
  if (verdict.do !== "retry") return failureFinding(verdict.error);
  return fail(verdict.why, "OUT-UNREACHABLE", "look at the control plane and what is in front of it, then try again");
}
