import { createHash } from "node:crypto";
import { join } from "node:path";

/**
 * The cache's folder. All of it is on one volume, because links and renames don't cross volumes:
 *
 *     packages/SOURCE/HOST/NAMESPACE/TYPE/VERSION/PLATFORM/{package/…, record.json}    never written in place
 *     leases/ID/{providers/…, new/…}  and  leases/ID.lock                              one per running job
 *     trash/…  and  trim.lock                                                          of whoever trims now
 */
export interface CacheLayout {
  packages: string;
  leases: string;
  trash: string;
  trimLock: string;
}

export function cacheLayout(folder: string): CacheLayout {
  return {
    packages: join(folder, "packages"),
    leases: join(folder, "leases"),
    trash: join(folder, "trash"),
    trimLock: join(folder, "trim.lock"),
  };
}

/**
 * The part of the store that belongs to an operator's installation: what one mirror called a version must not be taken
 * for another's. Credentials don't count: they change, and what they open stays the same.
 */
export function sourceName(operatorBlocks: string): string {
  const blocks = operatorBlocks.split(/^(?=(?:"?provider_installation|"?credentials|"?host)\b)/m);
  const counted = blocks.map((block) => block.trim()).filter((block) => block && !/^"?credentials/.test(block));
  if (counted.length === 0) return "direct";
  return `installation-${createHash("sha256").update(counted.join("\n")).digest("hex").slice(0, 16)}`;
}
