import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../../kit/files.ts";

/** What a file of a stored package looked like when its hash was computed. Bigints as text. */
interface FileStamp {
  path: string;
  size: string;
  mtimeNs: string;
  ino: string;
}

/** What is known of a stored package: a file beside its folder. The record's own time is when it was last used. */
export interface PackageRecord {
  h1: string;
  files: FileStamp[];
  /**
   * Ids of sets of lock hashes for which Terraform took this very package from its source. A lock file made on another
   * platform has no `h1:` of ours, and which of its `zh:` is ours can't be told: but Terraform could, with the zip at
   * hand.
   */
  accepted: string[];
}

/** One per lock file that differs; a set that was forgotten costs a download. */
const maxAccepted = 100;

/** An entry of the store is a folder with these two. */
export const recordFile = "record.json";
export const contentFolder = "package";

/** Undefined when there is none, or none that can be read: then the entry does not count. */
export async function readRecord(entry: string): Promise<PackageRecord | undefined> {
  try {
    const found: unknown = JSON.parse(await readFile(join(entry, recordFile), "utf8"));
    return isRecord(found) ? found : undefined;
  } catch {
    return undefined;
  }
}

export async function writeRecord(entry: string, record: PackageRecord): Promise<void> {
  await writeFileAtomic(
    join(entry, recordFile),
    JSON.stringify({ ...record, accepted: record.accepted.slice(-maxAccepted) }),
  );
}

/** The stamps of files in a folder now. */
export async function stampsOf(folder: string, paths: readonly string[]): Promise<FileStamp[]> {
  return await Promise.all(
    paths.map(async (path) => {
      const { size, mtimeNs, ino } = await stat(join(folder, path), { bigint: true });
      return { path, size: `${size}`, mtimeNs: `${mtimeNs}`, ino: `${ino}` };
    }),
  );
}

/** Whether nothing changed. Not the change time: each new link of a file sets it. */
export function sameStamps(a: readonly FileStamp[], b: readonly FileStamp[]): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function isRecord(found: unknown): found is PackageRecord {
  if (typeof found !== "object" || found === null) return false;
  const { h1, files, accepted } = found as Partial<PackageRecord>;
  const isPath = (path: unknown) => typeof path === "string" && !/(^|\/)(\.{0,2})(\/|$)/.test(path);
  const isStamp = (file: Partial<FileStamp> | null) =>
    isPath(file?.path) && [file?.size, file?.mtimeNs, file?.ino].every((value) => typeof value === "string");
  const isText = (value: unknown) => typeof value === "string";
  return (
    isText(h1) && Array.isArray(accepted) && accepted.every(isText) && Array.isArray(files) && files.every(isStamp)
  );
}
