import { compareVersions, minimumVersion } from "../engine/version.ts";
import { JobError } from "../kit/errors.ts";

/** Whether `version` is `least` or newer; what is no version is older than all. */
export function atLeast(version: string, least: string): boolean {
  try {
    return compareVersions(version, least) >= 0;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** Throws a JobError that names both versions where the engine is too old for any step (spec/03 §2.4). */
export function requireVersion(version: string): void {
  if (atLeast(version, minimumVersion)) return;
  throw new JobError(`run the engine: version "${version}": must be ${minimumVersion} or newer`);
}
