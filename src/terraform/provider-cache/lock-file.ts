import { createHash } from "node:crypto";

/** One provider of a dependency lock file. */
export interface ProviderLock {
  /** `host/namespace/type`. */
  provider: string;
  version: string;
  /** `h1:` of unpacked packages, `zh:` of zips, for whatever platforms; may be empty. */
  hashes: string[];
}

/**
 * The providers of a `.terraform.lock.hcl` in the form that Terraform writes; undefined for any other, which may be
 * valid all the same: then nobody here knows what it allows.
 */
export function readLock(text: string): Map<string, ProviderLock> | undefined {
  const locks = new Map<string, ProviderLock>();
  const plain = text.replaceAll("\r\n", "\n").replaceAll(/^[ \t]*(#|\/\/).*$/gm, "");
  const rest = plain.replaceAll(block, (_whole, provider: string, body: string) => {
    const version = body.match(/^[ \t]*version[ \t]*=[ \t]*"([^"\\]+)"[ \t]*$/m)?.[1];
    const list = body.match(/^[ \t]*hashes[ \t]*=[ \t]*\[([^\]]*)\]/m)?.[1] ?? "";
    if (version === undefined) return "unreadable";
    locks.set(provider, {
      provider,
      version,
      hashes: Array.from(list.matchAll(/"([^"\\]+)"/g), (match) => match[1] ?? ""),
    });
    return "";
  });
  return rest.trim() === "" ? locks : undefined;
}

const block = /^provider[ \t]+"([^"\\\n]+)"[ \t]*\{\n((?:[ \t].*\n|\n)*)\}/gm;

/**
 * The same lock file with one more hash for a provider, as Terraform itself adds it after a download. Without a list of
 * hashes it stays as it is: then every package is allowed.
 */
export function withHash(text: string, provider: string, hash: string): string {
  const start = text.search(new RegExp(`^provider[ \\t]+"${provider.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")}"`, "m"));
  if (start < 0) return text;
  const added = text.slice(start).replace(/^([ \t]*hashes[ \t]*=[ \t]*\[)/m, `$1\n    "${hash}",`);
  return text.slice(0, start) + added;
}

/** A name for a set of hashes, whatever their order. */
export function hashSetId(hashes: readonly string[]): string {
  return createHash("sha256")
    .update([...hashes].sort().join("\n"))
    .digest("hex");
}
