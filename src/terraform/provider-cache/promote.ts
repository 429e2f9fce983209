import { chmod, constants, copyFile, mkdir, open, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { checkDiskSpace } from "./disk-space.ts";
import { packageHash } from "./package-hash.ts";
import { packageFiles } from "./package-tree.ts";
import { contentFolder, readRecord, stampsOf, writeRecord } from "./record.ts";
import { defaultStoreLimits } from "./trim.ts";

export interface Promotion {
  /** The package as Terraform unpacked it. */
  from: string;
  /** Where it goes in the store. */
  entry: string;
  /** A folder of our own on the store's volume that does not exist yet. */
  temporary: string;
  /** What the dependency lock file says after the `init` that brought it. */
  hashes: readonly string[];
  /** The id of the hashes that the lock file had before, if it had any. */
  accepted: string | undefined;
}

/**
 * Takes a package into the store: copied aside, made read-only, hashed, compared with the lock file, synced, and then
 * put in place by one rename. Whoever dies on the way leaves nothing that counts; who comes second leaves the first's,
 * unless that has another hash than what the source gives now. Copied, because the job may still write to the files it
 * has; once per package and version, and by reference where the volume can do that.
 */
export async function promotePackage(promotion: Promotion, signal: AbortSignal): Promise<void> {
  const { from, entry, temporary, hashes } = promotion;
  const accepted = promotion.accepted === undefined ? [] : [promotion.accepted];
  const there = await readRecord(entry);
  if (there && hashes.includes(there.h1)) {
    const fresh = accepted.filter((id) => !there.accepted.includes(id));
    // An entry that is evicted meanwhile has nobody to tell.
    if (fresh.length > 0)
      await writeRecord(entry, { ...there, accepted: [...there.accepted, ...fresh] }).catch(() => undefined);
    return;
  }
  const content = join(temporary, contentFolder);
  const files = await packageFiles(from);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const lack = await checkDiskSpace(dirname(temporary), bytes + defaultStoreLimits.minFreeBytes);
  if (lack !== undefined) throw new Error(lack);
  for (const { path, executable } of files) {
    signal.throwIfAborted();
    const target = join(content, path);
    await mkdir(dirname(target), { recursive: true, mode: 0o700 });
    await copyFile(join(from, path), target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    await chmod(target, executable ? 0o555 : 0o444);
    await sync(target);
  }
  const paths = files.map((file) => file.path);
  const h1 = await packageHash(content, paths, signal);
  if (!hashes.includes(h1)) throw new Error(`keep package "${from}": its hash is ${h1}, want one of the lock file's`);
  await writeRecord(temporary, { h1, files: await stampsOf(content, paths), accepted });
  await sync(content);
  await place(temporary, entry);
}

/** Tries: an empty parent may be swept away under us, and another's entry may appear. */
const tries = 5;

async function place(temporary: string, entry: string): Promise<void> {
  for (let n = 1; ; n++) {
    await mkdir(dirname(entry), { recursive: true, mode: 0o700 });
    try {
      await rename(temporary, entry);
      break;
    } catch (error) {
      const { code = "" } = error as NodeJS.ErrnoException;
      if (n === tries || !["ENOENT", "ENOTEMPTY", "EEXIST"].includes(code)) throw error;
      // An entry with another hash, or none that counts: out of the way, into what is removed with the lease.
      if (code !== "ENOENT") await rename(entry, `${temporary}.old${n}`).catch(() => undefined);
    }
  }
  await sync(dirname(entry));
}

async function sync(path: string): Promise<void> {
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
