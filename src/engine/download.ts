import { access, mkdtemp, open, readdir, rename, rm } from "node:fs/promises";
import type { Agent } from "node:http";
import { dirname, join } from "node:path";
import type { Clock } from "../kit/clock.ts";
import { exitCode, OperatorError } from "../kit/errors.ts";
import { makePrivateFolder } from "../kit/files.ts";
import { fetchInto } from "./fetch.ts";
import { takeLock } from "./lock.ts";
import type { Pins } from "./pins.ts";
import { unpackFile } from "./unpack.ts";

export interface DownloadOptions {
  /** Where releases lie, `https://releases.hashicorp.com` or a mirror with the same paths. */
  baseUrl: string;
  /** A proxy's agent; undefined for a direct connection. */
  agent: Agent | undefined;
  /** `totalBytes` is undefined where the server doesn't say. */
  onProgress: (receivedBytes: number, totalBytes: number | undefined) => void;
}

/** The pinned release on this machine. */
export interface Release {
  pins: Pins;
  /** `linux_amd64` and the like. */
  platform: string;
  cacheFolder: string;
}

/** Where the downloaded engine stands: a folder for each release, so that a running job's binary is never replaced. */
export function cachedEngine({ pins, platform, cacheFolder }: Release): string {
  return join(cacheFolder, "engines", `terraform_${pins.version}_${platform}`, "terraform");
}

/**
 * Downloads the pinned release: into a private folder, hash checked before anything is unpacked, then in one step to its
 * place. Agents that share the cache wait for each other, and whoever comes later finds it (03#34). Throws a
 * TransientError for the network, an OperatorError (OUT-ENGINE-HASH) for a zip that is not the release.
 */
export async function downloadEngine(
  release: Release,
  options: DownloadOptions,
  clock: Clock,
  signal: AbortSignal,
): Promise<string> {
  const { pins, platform } = release;
  const target = cachedEngine(release);
  const folder = dirname(target);
  await makePrivateFolder(folder);
  await using _lock = await takeLock(join(folder, "lock"), clock, signal);
  if (await exists(target)) return target;
  // Only a dead owner's: the lock is ours.
  for (const name of await readdir(folder)) {
    if (name.startsWith(temporaryPrefix)) await rm(join(folder, name), { recursive: true, force: true });
  }
  const temporary = await mkdtemp(join(folder, temporaryPrefix));
  try {
    const zip = join(temporary, "release.zip");
    const name = `terraform_${pins.version}_${platform}.zip`;
    const url = new URL(`${options.baseUrl.replace(/\/+$/, "")}/terraform/${pins.version}/${name}`);
    const file = await open(zip, "wx", 0o600);
    try {
      const hash = await fetchInto(file, url, { ...options, clock }, signal);
      if (hash !== pins.zips[platform]) throw wrongHash(url, hash, pins.zips[platform]);
    } finally {
      await file.close();
    }
    const binary = join(temporary, "terraform");
    await unpackFile(zip, "terraform", binary, signal);
    await rename(binary, target);
    return target;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

const temporaryPrefix = ".download-";

/** Whether a file is there. */
export async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

function wrongHash(url: URL, got: string, wanted: string | undefined): OperatorError {
  return new OperatorError(`download engine "${url.origin}${url.pathname}": not the release it should be`, {
    code: "OUT-ENGINE-HASH",
    reason: `its SHA-256 is ${got}, want ${wanted}: cut, changed on the way, or another file`,
    cure: "try again; if it stays, look at the mirror or proxy in between, or install an engine by hand",
    exit: exitCode.unfit,
  });
}
