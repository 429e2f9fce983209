import { statfs } from "node:fs/promises";
import { messageOf } from "../../kit/errors.ts";

/** Terraform and its modules make some thousands of files. */
const wantedFiles = 2_000;

/**
 * Whether a folder's volume has room for so much more: undefined, or one sentence that says what is missing. A full
 * disk is where Terraform loses states (spec/03 §11a), so this is asked before a job starts. A volume that does not
 * tell is taken as good.
 */
export async function checkDiskSpace(folder: string, wantedBytes: number): Promise<string | undefined> {
  const volume = await statfs(folder).catch((error: unknown) => messageOf(error));
  if (typeof volume === "string") return `check disk space of "${folder}": ${volume}`;
  const free = volume.bavail * volume.bsize;
  if (volume.blocks > 0 && free < wantedBytes)
    return `check disk space of "${folder}": ${size(free)} free: want at least ${size(wantedBytes)}`;
  if (volume.files > 0 && volume.ffree < wantedFiles)
    return `check disk space of "${folder}": room for ${volume.ffree} more files: want at least ${wantedFiles}`;
  return undefined;
}

function size(bytes: number): string {
  return bytes < 1024 ** 3 ? `${Math.floor(bytes / 1024 ** 2)} MiB` : `${(bytes / 1024 ** 3).toFixed(1)} GiB`;
}
