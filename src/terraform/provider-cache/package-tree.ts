import type { Dirent } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";

/** A provider's package, as Terraform lays packages out: `provider/version/platform`, five levels deep. */
export interface PackageId {
  /** `host/namespace/type`, as in a dependency lock file. */
  provider: string;
  version: string;
  /** `linux_amd64` and the like. */
  platform: string;
}

/** Where a package lies under the root of a tree. */
export function packagePath({ provider, version, platform }: PackageId): string {
  return join(provider, version, platform);
}

/** A store of 10 GiB holds some hundreds. */
const maxPackages = 10_000;
/** Providers are one executable and a few texts; both limits are far above the largest that is known. */
const maxFiles = 20_000;
const maxBytes = 4 * 1024 ** 3;

/**
 * The packages of a tree: every folder exactly five levels deep, and links there, since Terraform links whole packages.
 * Other links are not followed; what vanishes meanwhile or can't be read is left out.
 */
export async function listPackages(root: string): Promise<PackageId[]> {
  const found: PackageId[] = [];
  const walk = async (parts: string[]): Promise<void> => {
    for (const entry of await entries(join(root, ...parts))) {
      if (found.length >= maxPackages) return;
      const path = [...parts, entry.name];
      const [host = "", namespace = "", type = "", version = "", platform = ""] = path;
      if (path.length < 5 && entry.isDirectory()) await walk(path);
      if (path.length === 5 && (entry.isDirectory() || entry.isSymbolicLink()))
        found.push({ provider: `${host}/${namespace}/${type}`, version, platform });
    }
  };
  await walk([]);
  return found;
}

const entries = (folder: string): Promise<Dirent[]> => readdir(folder, { withFileTypes: true }).catch(() => []);

/** A file of a package. */
export interface PackageFile {
  /** Relative, with slashes. */
  path: string;
  executable: boolean;
  bytes: number;
}

/**
 * The files of one package. Anything else than files and folders, and more than a package can sensibly hold, is an
 * error: nothing in a provider needs it, and it would not be what was hashed.
 */
export async function packageFiles(folder: string): Promise<PackageFile[]> {
  const files: PackageFile[] = [];
  let bytes = 0;
  const walk = async (below: string): Promise<void> => {
    for (const name of await readdir(join(folder, below))) {
      const path = below ? `${below}/${name}` : name;
      const found = await lstat(join(folder, path));
      if (found.isDirectory()) {
        await walk(path);
        continue;
      }
      bytes += found.size;
      files.push({ path, executable: (found.mode & 0o100) !== 0, bytes: found.size });
      if (!found.isFile()) throw new Error(`read package "${folder}": "${path}" is neither a file nor a folder`);
      if (files.length > maxFiles || bytes > maxBytes)
        throw new Error(`read package "${folder}": more than ${maxFiles} files or ${maxBytes} bytes`);
    }
  };
  await walk("");
  return files;
}
