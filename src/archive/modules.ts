import { readFile, realpath } from "node:fs/promises";
import { join, posix } from "node:path";
import { limits } from "../contract/limits.ts";
import { listTree, type Tree } from "./module-tree.ts";
import { tarEnd, tarEntry } from "./tar-write.ts";

export interface PackModulesOptions {
  /** Biggest archive; 20 MiB by default (spec/03 §1.10). */
  budgetBytes?: number;
}

export interface PackedModules {
  /** Zero bytes where there is nothing to pack. */
  archive: Uint8Array;
  /** `key:source` of modules that are not in it: too big, or their folder can't be walked. Builds download those. */
  skipped: string[];
  /** Why there is no archive although there are modules. */
  problem?: string;
}

const indexName = ".terraform/modules/modules.json";
const folderName = ".terraform/modules";

/**
 * Packs the modules that `init` downloaded below `root`, so that builds need no network for them: header bytes and order
 * of spec/03 §1.10, with what it marks [ours]: normal modes, links inside the tree resolved, nothing twice, a module that
 * can't be packed costs only itself. Equal trees give equal bytes. Never throws for what modules contain.
 */
export async function packModules(
  root: string,
  options: PackModulesOptions,
  signal: AbortSignal,
): Promise<PackedModules> {
  const nothing: PackedModules = { archive: new Uint8Array(), skipped: [] };
  const index = await readFile(join(root, indexName)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (!index) return nothing;
  const modules = parseIndex(index);
  if (!modules) return { ...nothing, problem: `"${indexName}" can't be read: want an object with an array "Modules"` };
  // The index comes last; without it the rest is useless, so its room is kept free.
  const last = tarEntry({ name: indexName, mode: 0o644, data: index });
  let remaining = (options.budgetBytes ?? limits.moduleArchiveBytes) - last.length - tarEnd.length;
  if (remaining < 0)
    return { ...nothing, problem: `"${indexName}" has ${index.length} bytes: more than an archive may` };

  const boundary = await realpath(join(root, folderName));
  const { trees, skipped } = await listModules(root, modules, boundary, remaining, signal);
  const written = new Set<string>();
  const parts: Uint8Array[] = [];
  let files = 0;
  for (const { label, items } of trees) {
    signal.throwIfAborted();
    // A module inside another is a part of that one too.
    const missing = items.filter(({ name }) => !written.has(name));
    const entries: Uint8Array[] = [];
    let bytes = 0;
    for (const { name, path, mode } of missing) {
      const data = name.endsWith("/") ? undefined : await readFile(path);
      const entry = tarEntry(data ? { name, mode, data } : { name, mode });
      entries.push(entry);
      bytes += entry.length;
      if (bytes > remaining) break;
    }
    if (bytes > remaining) {
      skipped.push(label);
      continue;
    }
    remaining -= bytes;
    parts.push(...entries);
    for (const { name } of missing) {
      written.add(name);
      if (!name.endsWith("/")) files++;
    }
  }
  if (files === 0) return { ...nothing, skipped };
  return { archive: Buffer.concat([...parts, last, tarEnd]), skipped };
}

interface Module {
  key: string;
  source: string;
  dir: string;
}

type LabelledTree = Tree & { label: string };

/** Trees of the modules that were downloaded, smallest first, so that most of them fit; equal ones by key. */
async function listModules(
  root: string,
  modules: Module[],
  boundary: string,
  maxBytes: number,
  signal: AbortSignal,
): Promise<{ trees: LabelledTree[]; skipped: string[] }> {
  const trees: LabelledTree[] = [];
  const skipped: string[] = [];
  for (const { key, source, dir } of [...modules].sort((a, b) => (a.key < b.key ? -1 : 1))) {
    signal.throwIfAborted();
    // All others are local and come with the template.
    if (!dir.startsWith(`${folderName}/`)) continue;
    const label = `${key}:${source}`;
    try {
      trees.push({ label, ...(await listTree(root, posix.normalize(dir), boundary, maxBytes)) });
    } catch {
      skipped.push(label);
    }
  }
  return { trees: trees.sort((a, b) => a.estimate - b.estimate), skipped };
}

/** Undefined where it is no index. */
function parseIndex(bytes: Uint8Array): Module[] | undefined {
  let index: unknown;
  try {
    index = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
  const modules = (index as { Modules?: unknown } | null)?.Modules;
  if (!Array.isArray(modules)) return undefined;
  const text = (value: unknown) => (typeof value === "string" ? value : "");
  return modules.map((entry: Record<string, unknown> | null) => ({
    key: text(entry?.["Key"]),
    source: text(entry?.["Source"]),
    dir: text(entry?.["Dir"]),
  }));
}
