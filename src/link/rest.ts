import { headers as headerNames } from "../contract/identity.ts";
import { type ApiVersion, parseVersion } from "../contract/versions.ts";
import { OperatorError } from "../kit/errors.ts";
import type { Secret } from "../kit/secret.ts";
import { cleanText } from "../kit/text.ts";
import type { ExtraHeaders } from "./header-command.ts";
import { type Headers, type HttpAnswer, mergeHeaders } from "./http.ts";

/** What the control plane says about itself (spec/01 §1.13); absent fields are those that it doesn't tell. */
export interface BuildInfo {
  /** Product version, such as `v2.29.1`. */
  version?: string;
  apiVersion?: ApiVersion;
  /** Where users and workspaces reach it. */
  externalUrl?: string;
}

/** The key as the control plane knows it (spec/01 §1.7). */
export interface KeyDetails {
  id: string;
  name: string;
  organizationId: string;
  /** Unix milliseconds; NaN when it isn't told. */
  createdAt: number;
  tags: Readonly<Record<string, string>>;
}

/** One GET of the deployment, path from the root. */
export type Fetch = (
  path: string,
  options: { headers: Headers; maxBytes: number },
  signal: AbortSignal,
) => Promise<HttpAnswer>;

/** Both answers are small objects; Go keeps 1 KiB of an error, and an HTML page needs no more. */
const maxBytes = 65_536;

/** GET /api/v2/buildinfo, without any credential. Anything but a 200 with JSON tells nothing. */
export async function fetchBuildInfo(
  fetch: Fetch,
  agent: string,
  extra: ExtraHeaders,
  signal: AbortSignal,
): Promise<BuildInfo> {
  const answer = await fetch(
    "/api/v2/buildinfo",
    { headers: mergeHeaders({ "User-Agent": agent }, extra), maxBytes },
    signal,
  );
  const json = answer.status === 200 ? parseObject(answer.body) : undefined;
  const { version, provisioner_api_version: api, external_url: url } = json ?? {};
  const apiVersion = typeof api === "string" ? parseVersion(api) : undefined;
  return {
    ...(typeof version === "string" ? { version } : {}),
    ...(apiVersion ? { apiVersion } : {}),
    ...(typeof url === "string" ? { externalUrl: url } : {}),
  };
}

/**
 * The key's details, or the answer that was none. The word `self` stands where the key could: in a URL it would end up in
 * access logs (spec/01 §1.7).
 */
export async function fetchKeyDetails(
  fetch: Fetch,
  request: { key: Secret; agent: string; extra: ExtraHeaders },
  signal: AbortSignal,
): Promise<{ answer: HttpAnswer; details?: KeyDetails }> {
  const own = { [headerNames.key]: request.key.reveal(), "User-Agent": request.agent };
  const answer = await fetch(
    "/api/v2/provisionerkeys/self",
    { headers: mergeHeaders(own, request.extra), maxBytes },
    signal,
  );
  const json = answer.status === 200 ? parseObject(answer.body) : undefined;
  if (!json || typeof json["id"] !== "string") return { answer };
  const tags = Object.entries((json["tags"] ?? {}) as Record<string, unknown>).map(([key, value]) => [
    key,
    String(value),
  ]);
  const details: KeyDetails = {
    id: json["id"],
    name: String(json["name"] ?? ""),
    organizationId: String(json["organization"] ?? ""),
    createdAt: Date.parse(String(json["created_at"])),
    tags: Object.fromEntries(tags),
  };
  return { answer, details };
}

/**
 * The organization of a user token that was configured without one: the only one it has; throws OperatorError OUT-ORGANIZATION
 * that names the choices where there are several (spec/02 §6.1). Undefined: the call gave no answer; ask again.
 */
export async function fetchOrganization(
  fetch: Fetch,
  request: { headers: Record<string, string>; extra: ExtraHeaders },
  signal: AbortSignal,
): Promise<{ answer: HttpAnswer; organization?: string }> {
  const headers = mergeHeaders(request.headers, request.extra);
  const answer = await fetch("/api/v2/users/me/organizations", { headers, maxBytes: 1_048_576 }, signal);
  const json = answer.status === 200 ? parseJson(answer.body) : undefined;
  if (!Array.isArray(json)) return { answer };
  const names = json.map((each: { name?: unknown }) => String(each?.name ?? "")).filter(Boolean);
  if (names.length === 1 && names[0]) return { answer, organization: names[0] };
  const message = `the user token belongs to ${names.length} organizations: which one isn't said`;
  throw new OperatorError(message, {
    code: "OUT-ORGANIZATION",
    cure: `--org with one of: ${names.slice(0, 20).join(", ")}`,
  });
}

function parseObject(body: Uint8Array): Record<string, unknown> | undefined {
  const value = parseJson(body);
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(cleanText(body));
  } catch {
    return undefined;
  }
}
