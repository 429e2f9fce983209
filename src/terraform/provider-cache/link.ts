import { constants, copyFile, link, mkdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { packageHash } from "./package-hash.ts";
import { contentFolder, type PackageRecord, readRecord, sameStamps, stampsOf, writeRecord } from "./record.ts";

/**
 * Puts a stored package into a job's folder by hard links, so that nothing that happens to the store afterwards reaches
 * the job. What was linked is what is checked: against size, time and inode of the moment when its hash was computed,
 * and where these differ (a restored volume, a copy) against the hash itself. Returns undefined, with nothing in
 * `target`, for what is no longer there or is not what it was; the latter leaves the store by way of `trash`, a path
 * that does not exist yet. Who writes through a link and sets the time back is not found here.
 */
export async function linkPackage(
  entry: string,
  target: string,
  trash: string,
  signal: AbortSignal,
): Promise<PackageRecord | undefined> {
  const record = await readRecord(entry);
  if (!record) return undefined;
  const paths = record.files.map((file) => file.path);
  try {
    await mkdir(target, { recursive: true, mode: 0o700 });
    for (const path of paths) {
      await mkdir(join(target, dirname(path)), { recursive: true, mode: 0o700 });
      await linkOrCopy(join(entry, contentFolder, path), join(target, path));
    }
    const stamps = await stampsOf(target, paths);
    if (sameStamps(stamps, record.files)) return record;
    if ((await packageHash(target, paths, signal)) === record.h1) {
      const fresh = await stampsOf(join(entry, contentFolder), paths);
      if (sameStamps(stamps, fresh)) await writeRecord(entry, { ...record, files: fresh }).catch(() => undefined);
      return record;
    }
    await dropEntry(entry, trash);
  } catch (error) {
    signal.throwIfAborted();
    // Half an entry, with a file that is missing: nobody can use it. One that was evicted meanwhile is gone anyway.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") await dropEntry(entry, trash);
  }
  await rm(target, { recursive: true, force: true });
  return undefined;
}

/** Takes an entry out of the store in one step. */
export async function dropEntry(entry: string, trash: string): Promise<void> {
  await rename(entry, trash).catch(() => undefined);
  await rm(trash, { recursive: true, force: true }).catch(() => undefined);
}

const withoutLinks = new Set(["EPERM", "EXDEV", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"]);

/** Some network volumes have no hard links: a copy is as safe, only slower. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!withoutLinks.has((error as NodeJS.ErrnoException).code ?? "")) throw error;
    await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  }
}
