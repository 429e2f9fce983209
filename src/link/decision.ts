import { type ApiVersion, parseVersion, versionText } from "../contract/versions.ts";
import { exitCode, OperatorError } from "../kit/errors.ts";
import { describeBody, type ErrorBody } from "./error-body.ts";
import { type DialFailure, passesWithTime } from "./failure.ts";
import type { Credential } from "./identity.ts";

/** What the agent does about a failed dial. */
export type Verdict =
  /** The process must end: a person has to act. */
  | { do: "stop"; error: OperatorError }
  /** Dial again by the normal curve, not before `atLeastMs`. */
  | { do: "retry"; why: string; atLeastMs: number }
  /** Dial again once a minute; the agent is not ready. `refused`: our credential or licence isn't wanted, rather than the way is wrong. */
  | { do: "slow"; error: OperatorError; refused: boolean };

export interface DialContext {
  /** There was a successful connection in this process: settings were right once. */
  hadSuccess: boolean;
  credential: Credential["kind"];
  /** Of the credential, so that a person can compare. */
  fingerprint: string;
  /** The deployment's origin. */
  url: string;
  organization: string;
}

/**
 * The table of spec/01 §1.6 with the reading of 01#17 and 02#3: what ends the process before the first success, is after one
 * only a reason to be not ready and to dial slowly. A refused version and a malformed request end it always.
 */
export function decide(failure: DialFailure, context: DialContext): Verdict {
  switch (failure.kind) {
    case "network":
      return retry(failure.message);
    case "certificate":
      return context.hadSuccess ? retry(failure.message) : { do: "stop", error: certificateError(failure, context) };
    case "proxy":
      if (failure.status >= 500 || failure.status === 429) return retry(failure.message);
      return act(context, proxyError(failure), false);
    case "status":
      return decideStatus(failure, context);
  }
}

function decideStatus(failure: DialFailure & { kind: "status" }, context: DialContext): Verdict {
  const { status, body } = failure;
  if (passesWithTime(status)) {
    return {
      do: "retry",
      why: told(`the control plane answered ${status}`, body),
      atLeastMs: failure.retryAfterMs ?? 0,
    };
  }
  if (status === 400) return { do: "stop", error: isVersionRefusal(body) ? versionError(body) : badRequest(body) };
  if (status === 401) {
    const error = unknownCredential(failure, context);
    if (context.hadSuccess) return { do: "slow", error, refused: true };
    if (context.credential !== "key") return { do: "slow", error, refused: true };
    // Only the key-details call tells a bad key from a database that is down (spec/01 §1.4).
    return failure.keyCheck === "refused" ? { do: "stop", error } : retry(told("the control plane answered 401", body));
  }
  if (status === 403) return act(context, forbidden(body, context), true);
  if (status === 404) return act(context, notFound(body, context), false);
  if (status >= 300 && status < 400) return act(context, redirected(failure, context), false);
  return act(context, notCoder(failure, context), false);
}

/** The server's own version out of a version refusal (spec/01 §5.2); undefined when there is nothing to try again with. */
export function offeredVersion(body: ErrorBody): ApiVersion | undefined {
  const detail = body.validations.find((each) => each.field === "version")?.detail ?? "";
  const version = parseVersion(/server is at version (\d+\.\d+)/.exec(detail)?.[1] ?? "");
  return version?.major === 1 ? version : undefined;
}

export function isVersionRefusal(body: ErrorBody): boolean {
  return body.validations.some((each) => each.field === "version");
}

function retry(why: string): Verdict {
  return { do: "retry", why, atLeastMs: 0 };
}

function act(context: DialContext, error: OperatorError, refused: boolean): Verdict {
  return context.hadSuccess ? { do: "slow", error, refused } : { do: "stop", error };
}

function told(what: string, body: ErrorBody): string {
  const words = describeBody(body);
  return words === "" ? what : `${what}: ${words}`;
}

function unknownCredential({ body, keyCheck }: DialFailure & { kind: "status" }, context: DialContext): OperatorError {
  const { credential, fingerprint, hadSuccess } = context;
  const exit = exitCode.refused;
  if (credential === "key") {
    const doubt = keyCheck !== "refused" && hadSuccess ? ", or the control plane can't reach its database" : "";
    return new OperatorError("the control plane refused the key (401)", {
      code: "OUT-KEY-UNKNOWN",
      reason: `no key with fingerprint ${fingerprint} is known: deleted, or of another deployment${doubt}`,
      cure: "coder provisioner keys list --org ORGANIZATION, then give the agent a key that is in it",
      exit,
    });
  }
  const what = credential === "psk" ? "pre-shared key" : "user token";
  return new OperatorError(told(`the control plane refused the ${what} (401)`, body), {
    code: "OUT-KEY-UNKNOWN",
    reason: `the ${what} is wrong or no longer valid`,
    cure: "make a provisioner key: coder provisioner keys create NAME --org ORGANIZATION",
    exit,
  });
}

function forbidden(body: ErrorBody, { credential }: DialContext): OperatorError {
  const own = credential === "key" ? "" : ", or the credential isn't allowed to register a provisioner there";
  return new OperatorError(told("the control plane refused this agent (403)", body), {
    code: "OUT-LICENCE",
    reason: `the deployment's licence has no external provisioners${own}`,
    cure: "ask an owner of the deployment to look at its Licenses page",
    exit: exitCode.refused,
  });
}

function notFound(body: ErrorBody, { credential, organization, url }: DialContext): OperatorError {
  if (credential === "token") {
    return new OperatorError(told(`organization "${organization}" doesn't exist or can't be seen (404)`, body), {
      code: "OUT-ORGANIZATION",
      cure: "coder organizations show me, then --org NAME",
      exit: exitCode.refused,
    });
  }
  return new OperatorError(told(`${url} doesn't know provisioners (404)`, body), {
    code: "OUT-NOT-CODER",
    reason: "it isn't Coder, or a build without the enterprise features",
    cure: `open ${url}api/v2/buildinfo in a browser: it should show a version`,
  });
}

function redirected({ status, location }: DialFailure & { kind: "status" }, { url }: DialContext): OperatorError {
  const to = location ?? "nowhere";
  return new OperatorError(`${url} answered with a redirect (${status}) to "${to}"`, {
    code: "OUT-REDIRECT",
    reason: "it isn't the deployment's own URL, and the key goes to no other host than the configured one",
    cure: location ? `--url ${location}` : "--url with the access URL of the deployment",
  });
}

function notCoder({ status, body }: DialFailure & { kind: "status" }, { url }: DialContext): OperatorError {
  return new OperatorError(told(`${url} didn't upgrade to a WebSocket (${status})`, body), {
    code: "OUT-NOT-CODER",
    reason: "it isn't Coder, or a proxy in between takes the Upgrade header out",
    cure: "let proxies and load balancers in between pass WebSockets",
  });
}

function versionError(body: ErrorBody): OperatorError {
  return new OperatorError(told("the control plane speaks no version of the protocol that we speak", body), {
    code: "OUT-VERSION",
    reason: `we speak ${versionText({ major: 1, minor: 0 })} to 1.18 (Coder 2.7 and newer)`,
    cure: "use a release of Outpost that fits this deployment",
  });
}

function badRequest(body: ErrorBody): OperatorError {
  return new OperatorError(told("the control plane didn't accept the handshake (400)", body), {
    code: "OUT-HANDSHAKE",
    cure: "look at the tags, the name and extra headers; leave a second credential out",
  });
}

function certificateError(failure: { code: string; message: string }, { url }: DialContext): OperatorError {
  return new OperatorError(`the certificate of ${url} can't be verified: ${failure.message}`, {
    code: "OUT-TLS",
    reason: certificateReasons[failure.code] ?? `${failure.code}: its issuer isn't trusted on this machine`,
    cure: "--extra-ca-file PATH with the issuer's certificate, or mend the server's chain",
  });
}

const certificateReasons: Record<string, string> = {
  CERT_HAS_EXPIRED: "it, or one of its issuers, has expired",
  CERT_NOT_YET_VALID: "it isn't valid yet: compare the clocks of both machines",
  ERR_TLS_CERT_ALTNAME_INVALID: "it is for another host name",
};

function proxyError({ status, message }: { status: number; message: string }): OperatorError {
  return new OperatorError(`${message}: can't reach the control plane through it`, {
    code: "OUT-PROXY",
    reason: status === 407 ? "it wants a user name and a password" : "it doesn't allow a connection to this host",
    cure:
      status === 407
        ? "put them into the proxy's URL: http://USER:PASSWORD@HOST:PORT"
        : "allow it, or name the host in NO_PROXY",
  });
}
