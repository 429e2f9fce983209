import { exitCode, OperatorError } from "../kit/errors.ts";

export type Flavor = "terraform" | "opentofu";

export interface EngineVersion {
  version: string;
  flavor: Flavor;
}

/** Oldest engine that can run jobs (spec/03 §2.1). */
export const minimumVersion = "1.1.0";
/** From here on an engine is newer than those whose output is known; used all the same (spec/03 §2.1). */
const newVersion = "1.14.9";

/** What people call it. */
export const flavorNames: Record<Flavor, string> = { terraform: "Terraform", opentofu: "OpenTofu" };

/**
 * Reads the output of `version -json` (spec/03 §2.4); undefined where it names no version. OpenTofu prints the same
 * members under the same names, but knows nothing of an update check (spec/03 §9.8).
 */
export function parseVersionOutput(stdout: string): EngineVersion | undefined {
  let output: unknown;
  try {
    output = JSON.parse(stdout);
  } catch {
    return undefined;
  }
  if (typeof output !== "object" || output === null) return undefined;
  const members = output as Record<string, unknown>;
  const version = members["terraform_version"];
  if (typeof version !== "string" || !parts(version)) return undefined;
  const isTofu = "platform" in members && "provider_selections" in members && !("terraform_outdated" in members);
  return { version, flavor: isTofu ? "opentofu" : "terraform" };
}

/** Semantic versions: negative where `a` comes before `b`, 0 where they are equal. Throws a RangeError for other texts. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [parts(a), parts(b)];
  if (!left || !right) throw new RangeError(`compare versions "${a}" and "${b}": want MAJOR.MINOR.PATCH`);
  for (let n = 0; n < 3; n++) {
    const difference = (left.numbers[n] as number) - (right.numbers[n] as number);
    if (difference !== 0) return difference;
  }
  return comparePreReleases(left.preRelease, right.preRelease);
}

/** Throws an OperatorError with both versions where the engine is too old for any job (spec/03 §2.4). */
export function requireSupported(version: string): void {
  if (compareVersions(version, minimumVersion) >= 0) return;
  throw new OperatorError(`use engine: version ${version}: want ${minimumVersion} or newer`, {
    code: "OUT-NO-ENGINE",
    cure: "install a newer Terraform or OpenTofu",
    exit: exitCode.unfit,
  });
}

/** A sentence for the operator where the engine is newer than this release knows. */
export function warningOf({ version, flavor }: EngineVersion): string | undefined {
  if (compareVersions(version, newVersion) < 0) return undefined;
  return `${flavorNames[flavor]} ${version} is newer than this release knows (below ${newVersion}): it is used all the same`;
}

interface Parts {
  numbers: number[];
  /** Empty for a release. */
  preRelease: string[];
}

function parts(version: string): Parts | undefined {
  const match = /^v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$/.exec(version);
  return match ? { numbers: match.slice(1, 4).map(Number), preRelease: match[4]?.split(".") ?? [] } : undefined;
}

/** A release comes after its pre-releases; numbers before words, and by value (semver 2.0.0 §11). */
function comparePreReleases(a: string[], b: string[]): number {
  if (a.length === 0 || b.length === 0) return b.length - a.length;
  for (let n = 0; n < Math.min(a.length, b.length); n++) {
    const [left, right] = [a[n] as string, b[n] as string];
    if (left === right) continue;
    const [leftIsNumber, rightIsNumber] = [/^\d+$/.test(left), /^\d+$/.test(right)];
    if (leftIsNumber && rightIsNumber) return Number(left) - Number(right);
    if (leftIsNumber !== rightIsNumber) return leftIsNumber ? -1 : 1;
    return left < right ? -1 : 1;
  }
  return a.length - b.length;
}
