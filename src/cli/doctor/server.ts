import { type ApiVersion, ourVersion, parseVersion, versionText } from "../../contract/versions.ts";
import type { Connector } from "../../link/connector.ts";
import { decide } from "../../link/decision.ts";
import type { Deployment } from "../../link/deployment.ts";
import { answerFailure } from "../../link/failure.ts";
import type { HttpAnswer } from "../../link/http.ts";
import { type Found, failureFinding } from "./examination.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";

/** What the control plane told about itself. */
export interface Server {
  version: string;
  apiVersion: ApiVersion | undefined;
}

/** How an answer to `GET /api/v2/buildinfo` reads: Coder, or what else it is. */
export function serverFinding(
  answer: HttpAnswer,
  { deployment, path }: { deployment: Deployment; path: string },
  timing: { tookMs: number; nowMs: number },
): Found<Server> {
  const url = deployment.origin.href;
  const { status, body } = answer;
  if (status >= 300 && status < 400) return refusal(answer, url, timing.nowMs);
  const text = body.toString("utf8").trim();
  const json = status === 200 ? parse(text) : undefined;
  const version = json?.["version"];
  if (typeof version === "string") {
    const apiVersion = parseVersion(String(json?.["provisioner_api_version"] ?? ""));
    return { ...ok(`${version}, ${Math.round(timing.tookMs)} ms`), value: { version, apiVersion } };
  }
  const below =
    path === ""
      ? ""
      : `; the path "${path}" of the URL was left out, because Coder can't live below a path: give it a host of its own`;
  if (status === 401 || status === 403 || status === 407) {
    return fail(
      `${url} wants a login before it shows build information (${status})`,
      "OUT-NOT-CODER",
      "let /api/v2 pass in front of the control plane, or add the login's header with --header or --header-command",
      `Coder asks for none there: something in front of it does${below}`,
    );
  }
  if (status === 200 && /^</.test(text)) {
    const cure = path === "" ? "--url with the address under which Coder's own pages appear" : "--url without a path";
    return fail(`${url} answers with a web page`, "OUT-NOT-CODER", cure, `it isn't Coder's API${below}`);
  }
  if (status >= 500 || status === 429) {
    const cure = "look at the control plane, and at load balancers in front of it; then try again";
    return fail(`${url} answered ${status}`, "OUT-UNREACHABLE", cure);
  }
  return fail(
    `${url} isn't Coder (${status})`,
    "OUT-NOT-CODER",
    `open ${url}api/v2/buildinfo in a browser: it should show a version`,
    `its answer to /api/v2/buildinfo has no version${below}`,
  );
}

function refusal(answer: HttpAnswer, url: string, nowMs: number): Finding {
  const context = { hadSuccess: false, credential: "key", fingerprint: "", url, organization: "" } as const;
  const verdict = decide(answerFailure(answer, nowMs), context);
  return verdict.do === "retry"
    ? fail(verdict.why, "OUT-UNREACHABLE", "try again later")
    : failureFinding(verdict.error);
}

/** Which protocol will be spoken, or why none. Releases before 2.7 know no versions (spec/01 §5.4). */
export function protocolFinding({ version, apiVersion }: Server): Finding {
  const ours = versionText(ourVersion);
  const cure = "update the control plane, or use a release of Outpost that fits it";
  if (apiVersion && apiVersion.major !== 1)
    return fail(`${versionText(apiVersion)}, ours is ${ours}`, "OUT-VERSION", cure, "the major versions differ");
  if (apiVersion) {
    const spoken = versionText(apiVersion.minor < ourVersion.minor ? apiVersion : ourVersion);
    return ok(`${versionText(apiVersion)}, ours ${ours}: ${spoken} is spoken`);
  }
  const release = releaseOf(version);
  if (release && (release.major < 2 || (release.major === 2 && release.minor < 7)))
    return fail(
      `${version} knows no protocol versions`,
      "OUT-VERSION",
      cure,
      "Coder 2.7 and newer are served, this one is older",
    );
  return ok(`not told (releases before 2.15 don't), ours ${ours}: agreed on when connecting`);
}

/**
 * Whether the server looks at the version of a handshake (from 2.9 on, spec/01 §5.1): only then can one be tried that is
 * refused before anything is written.
 */
export function checksVersions({ version, apiVersion }: Server): boolean {
  if (apiVersion) return apiVersion.major === 1 && apiVersion.minor >= 1 && apiVersion.minor < probeVersion.minor;
  const release = releaseOf(version);
  return release !== undefined && (release.major > 2 || (release.major === 2 && release.minor >= 9));
}

/** Newer than any server: refused after licence, key, organization and tags, and before a row is written (spec/01 §1.5). */
export const probeVersion: ApiVersion = { major: 1, minor: 999 };

/** A `Date` header has whole seconds; below this nothing breaks that we know of. */
const apartMs = 60_000;

/** How far the two clocks are apart: certificates, tokens and signed requests to clouds bear minutes at most. */
export function clockFinding(dateHeader: string | undefined, nowMs: number): Finding {
  const theirs = Date.parse(dateHeader ?? "");
  if (Number.isNaN(theirs)) return ok("not told");
  const apart = Math.abs(theirs - nowMs);
  const text = `${(apart / 1000).toFixed(1)} s apart`;
  if (apart < apartMs) return ok(text);
  return warn(text, "OUT-CLOCK", "have this machine's clock set by NTP (or the control plane's, if that one is wrong)");
}

/** Plain HTTP, read by whoever is in between, is for one's own machine. */
export function plainFinding({ origin }: Deployment, { proxy }: Connector): Finding {
  const isOwn = !proxy && /^(localhost|127\.[\d.]+|\[::1\])$/.test(origin.hostname);
  if (isOwn) return ok("none: plain HTTP within this machine");
  return warn("none: plain HTTP; key, logs and states can be read on the way", "OUT-NO-TLS", "--url https://…");
}

function releaseOf(version: string): { major: number; minor: number } | undefined {
  const match = /^v?(\d{1,6})\.(\d{1,6})\.\d/.exec(version);
  // A development build says v0.0.0 and may be anything.
  if (!match || match[1] === "0") return undefined;
  return { major: Number(match[1]), minor: Number(match[2]) };
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
