import { lstat, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hashSetId, type ProviderLock, readLock, withHash } from "./lock-file.ts";
import type { PackageId } from "./package-tree.ts";
import type { PackageRecord } from "./record.ts";

/** A larger file is no lock file. */
const maxBytes = 1024 * 1024;

/** The dependency lock file that a template brings along, or brings not. */
export class TemplateLock {
  private constructor(
    readonly file: string,
    readonly text: string,
    readonly locks: ReadonlyMap<string, ProviderLock> | undefined,
  ) {}

  static async read(workFolder: string): Promise<TemplateLock> {
    const file = join(workFolder, ".terraform.lock.hcl");
    const found = await lstat(file).catch(() => undefined);
    if (!found) return new TemplateLock(file, "", new Map());
    if (!found.isFile() || found.size > maxBytes) return new TemplateLock(file, "", undefined);
    const text = await readFile(file, "utf8");
    return new TemplateLock(file, text, readLock(text));
  }

  /** Whether this package may be chosen at all: looked at before it is linked. */
  names({ provider, version }: PackageId): boolean {
    const lock = this.locks?.get(provider);
    return this.locks !== undefined && (lock === undefined || lock.version === version);
  }

  /** Whether the job may get these bytes for it. */
  allows({ provider }: PackageId, { h1, accepted }: PackageRecord): boolean {
    const hashes = this.#hashes(provider);
    return hashes.length === 0 || hashes.includes(h1) || accepted.includes(hashSetId(hashes));
  }

  /** The id of the hashes that it has for a provider; undefined when it has none. */
  hashSet({ provider }: PackageId): string | undefined {
    const hashes = this.#hashes(provider);
    return hashes.length === 0 ? undefined : hashSetId(hashes);
  }

  /**
   * Writes the file as the template has it, with the hash of each of these packages where it is not named: Terraform
   * adds it too when it has downloaded one, and checks the cached one against it.
   */
  async write(packages: Iterable<{ id: PackageId; record: PackageRecord }>): Promise<void> {
    let text = this.text;
    for (const { id, record } of packages) {
      const hashes = this.#hashes(id.provider);
      if (hashes.length > 0 && !hashes.includes(record.h1)) text = withHash(text, id.provider, record.h1);
    }
    if (text !== "") await writeFile(this.file, text);
  }

  #hashes(provider: string): readonly string[] {
    return this.locks?.get(provider)?.hashes ?? [];
  }
}
