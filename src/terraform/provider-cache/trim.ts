import { lstat, readdir, rename, rm, rmdir, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { messageOf } from "../../kit/errors.ts";
import { makePrivateFolder } from "../../kit/files.ts";
import { tryLock } from "../../kit/lock.ts";
import { cacheLayout } from "./layout.ts";
import { listPackages, packagePath } from "./package-tree.ts";
import { contentFolder } from "./record.ts";

export interface StoreLimits {
  /** All packages together; never more than 80 % of the volume. */
  maxBytes: number;
  /** From the later of newest file and last use. */
  maxAgeMs: number;
  /** What the volume should keep free. */
  minFreeBytes: number;
}

/**
 * A large provider has 600 MB a version; 30 days as in Coder's daemon, but counted from the last use (spec/03 §10 row
 * 8).
 */
export const defaultStoreLimits: StoreLimits = {
  maxBytes: 10 * 1024 ** 3,
  maxAgeMs: 30 * 24 * 3_600_000,
  minFreeBytes: 1024 ** 3,
};

const shareOfVolume = 0.8;

export interface Trimmed {
  /** What the store has now. */
  packages: number;
  bytes: number;
  /** Paths below the store's root, `host/namespace/type/version/platform`. */
  removed: string[];
  /** What could not be done, in words: nobody's job fails of it. */
  problems: string[];
}

/**
 * Sweeps what dead jobs left, removes packages that nobody used for too long, then the least recently used ones until
 * the limits hold. A package that a job has linked stays: its bytes would not come free anyway. Undefined when another
 * agent trims just now. Never rejects: errors are told. `nowMs` is Unix time.
 */
export async function trimStore(folder: string, limits: StoreLimits, nowMs: number): Promise<Trimmed | undefined> {
  const layout = cacheLayout(folder);
  const trimmed: Trimmed = { packages: 0, bytes: 0, removed: [], problems: [] };
  try {
    await makePrivateFolder(layout.trash);
    const lock = await tryLock(layout.trimLock);
    if (!lock) return undefined;
    await using _lock = lock;
    await sweepLeases(layout.leases, trimmed.problems);
    await emptyFolder(layout.trash);
    const entries = await readEntries(layout.packages);
    const volume = await statfs(folder);
    const maxBytes = Math.min(
      limits.maxBytes,
      volume.blocks > 0 ? volume.blocks * volume.bsize * shareOfVolume : Infinity,
    );
    let bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
    let free = volume.blocks > 0 ? volume.bavail * volume.bsize : Infinity;
    for (const entry of entries) {
      const old = entry.usedMs + limits.maxAgeMs < nowMs;
      if (entry.inUse || !(old || bytes > maxBytes || free < limits.minFreeBytes)) continue;
      try {
        await remove(entry, layout.trash);
        bytes -= entry.bytes;
        free += entry.bytes;
        trimmed.removed.push(entry.path);
      } catch (error) {
        trimmed.problems.push(`remove package "${entry.path}": ${messageOf(error)}`);
      }
    }
    trimmed.bytes = bytes;
    trimmed.packages = entries.length - trimmed.removed.length;
  } catch (error) {
    trimmed.problems.push(`trim provider cache "${folder}": ${messageOf(error)}`);
  }
  return trimmed;
}

interface Entry {
  /** Root of its part of the store. */
  root: string;
  /** Below that root. */
  path: string;
  bytes: number;
  usedMs: number;
  inUse: boolean;
}

/** All entries of all parts, least recently used first. */
async function readEntries(packages: string): Promise<Entry[]> {
  const found: Entry[] = [];
  for (const source of await readdir(packages).catch(() => [])) {
    const root = join(packages, source);
    for (const id of await listPackages(root)) {
      const path = packagePath(id);
      const entry = { root, path, bytes: 0, usedMs: 0, inUse: false };
      await measure(join(root, path), "", entry).catch(() => undefined);
      if (entry.usedMs > 0) found.push(entry);
    }
  }
  return found.sort((a, b) => a.usedMs - b.usedMs);
}

/** Adds up a tree. A second link of a package's file is a job that has it. */
async function measure(root: string, below: string, entry: Entry): Promise<void> {
  const found = await lstat(join(root, below));
  entry.usedMs = Math.max(entry.usedMs, found.mtimeMs);
  if (found.isFile()) {
    entry.bytes += found.size;
    entry.inUse ||= found.nlink > 1 && below.startsWith(contentFolder);
  }
  if (!found.isDirectory()) return;
  for (const name of await readdir(join(root, below))) await measure(root, join(below, name), entry);
}

/** In one step out of sight, then away; then its empty parents, but not the part's root. */
async function remove({ root, path }: Entry, trash: string): Promise<void> {
  const gone = join(trash, path.replaceAll(/[\\/]/g, "~"));
  await rename(join(root, path), gone);
  try {
    for (let parent = dirname(path); parent !== "."; parent = dirname(parent)) await rmdir(join(root, parent));
  } catch {
    // The first one that is not empty.
  }
  await rm(gone, { recursive: true, force: true });
}

/** Leases whose lock nobody holds. The lock file goes last, so that a sweep that dies is repeated. */
async function sweepLeases(leases: string, problems: string[]): Promise<void> {
  for (const name of await readdir(leases).catch(() => [])) {
    if (!name.endsWith(".lock")) continue;
    const file = join(leases, name);
    try {
      const lock = await tryLock(file);
      if (!lock) continue;
      await using _lock = lock;
      await rm(file.slice(0, -".lock".length), { recursive: true, force: true });
      await rm(file, { force: true });
    } catch (error) {
      problems.push(`sweep "${file}": ${messageOf(error)}`);
    }
  }
}

async function emptyFolder(folder: string): Promise<void> {
  for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true, force: true });
}
