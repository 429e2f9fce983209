import { headers as headerNames } from "../contract/identity.ts";
import type { ApiVersion } from "../contract/versions.ts";
import { versionText } from "../contract/versions.ts";
import { buildVersion } from "./build-version.ts";
import type { Deployment } from "./deployment.ts";
import type { Credential } from "./identity.ts";

export interface HandshakeFacts {
  organization: string;
  name: string;
  tags: readonly string[];
  version: ApiVersion;
}

/** The address of the upgrade request, percent-encoded as a form (spec/01 §1.1–1.2). */
export function serveUrl(deployment: Deployment, facts: HandshakeFacts): URL {
  const url = new URL(
    `/api/v2/organizations/${encodeURIComponent(facts.organization)}/provisionerdaemons/serve`,
    deployment.origin,
  );
  url.searchParams.append("name", facts.name);
  url.searchParams.append("provisioner", "terraform");
  for (const tag of facts.tags) url.searchParams.append("tag", tag);
  url.searchParams.append("version", versionText(facts.version));
  url.protocol = deployment.secure ? "wss:" : "ws:";
  return url;
}

/** The one header that proves who we are. */
export function credentialHeader({ kind, secret }: Credential): Record<string, string> {
  const name = { key: headerNames.key, psk: headerNames.psk, token: headerNames.sessionToken }[kind];
  return { [name]: secret.reveal() };
}

/** `outpost/0.1.0 (linux/amd64)`: nothing about the command line or the machine. */
export function userAgent(ownVersion: string, platform: string): string {
  return `outpost/${ownVersion} (${platform})`;
}

/** Headers of the upgrade request besides those of RFC 6455 (spec/01 §1.3). */
export function handshakeHeaders(
  credential: Credential,
  agent: string,
  versions: { own: string; server: string | undefined },
): Record<string, string> {
  return {
    ...credentialHeader(credential),
    [headerNames.buildVersion]: buildVersion(versions.server, versions.own),
    "User-Agent": agent,
  };
}
