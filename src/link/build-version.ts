/** Semantic version with an optional leading `v`: numbers, pre-release, build metadata. */
const semver =
  /^v?((?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?)(?:\+[0-9A-Za-z.-]+)?$/;

/**
 * Our version as the control plane shows it: the server's own, so that its health page warns of nothing, with ours as build
 * metadata (spec/01 §1.3). A server that doesn't tell a semantic version gets `v0.0.0`, which it reads as "matches everything".
 */
export function buildVersion(serverVersion: string | undefined, ownVersion: string): string {
  const base = semver.exec(serverVersion ?? "")?.[1] ?? "0.0.0";
  // Build metadata knows neither "+" nor empty parts.
  const own = ownVersion.replaceAll(/[^0-9A-Za-z.-]/g, "-").replaceAll(/\.{2,}|^\.|\.$/g, "");
  return own === "" ? `v${base}+outpost` : `v${base}+outpost.${own}`;
}
