import { lstat, readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { limits } from "../contract/limits.ts";
import { exitCode, messageOf, OperatorError } from "../kit/errors.ts";
import { type TarItem, tarEnd, tarEntry } from "./tar-write.ts";

/** Room in the message of 4 MiB for what travels beside the archive. */
const maxArchiveBytes = limits.rpcMessageBytes - 65_536;

export interface PackedTemplate {
  archive: Uint8Array;
  /** Symbolic links, in order: they are in the archive as links, and no job will see them. */
  skippedLinks: string[];
}

/**
 * Packs a local template folder by the rules of Coder's CLI (end of spec/03 §1.3). Equal trees give equal bytes.
 * Symbolic links become link entries, as the CLI's do: the extraction skips and reports them. Throws an OperatorError
 * (OUT-TEMPLATE) where the folder is missing, is no template, or is too big to travel.
 */
export async function packTemplate(folder: string): Promise<PackedTemplate> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw notTemplate(folder, messageOf(error), "give the folder that holds the template's main.tf", error);
  });
  if (!names.some((name) => /^[^.].*\.tf(\.json)?$/.test(name))) {
    const reason = names.length === 0 ? "the folder is empty" : "no file in it ends with .tf or .tf.json";
    throw notTemplate(folder, reason, "give the folder that holds the template's main.tf");
  }
  const parts: Uint8Array[] = [];
  const skippedLinks: string[] = [];
  let bytes = tarEnd.length;
  const reserve = (size: number) => {
    bytes += size;
    if (bytes > maxArchiveBytes) {
      const reason = `more than ${maxArchiveBytes} bytes as an archive: it travels in one message`;
      throw notTemplate(folder, reason, "move big files out of it, or have the template download them");
    }
  };
  await walk(folder, "", reserve, (item) => {
    const entry = tarEntry(item);
    reserve(entry.length - (item.data?.length ?? 0));
    parts.push(entry);
    if (item.linkTarget !== undefined) skippedLinks.push(item.name);
  });
  return { archive: Buffer.concat([...parts, tarEnd]), skippedLinks };
}

function notTemplate(folder: string, reason: string, cure: string, cause?: unknown): OperatorError {
  return new OperatorError(`pack template ${JSON.stringify(folder)}: not a template`, {
    code: "OUT-TEMPLATE",
    exit: exitCode.usage,
    reason,
    cure,
    cause,
  });
}

/** Hands over all that belongs to the template, in order; `reserve` learns of a file's size before it is read. */
async function walk(
  root: string,
  prefix: string,
  reserve: (bytes: number) => void,
  add: (item: TarItem) => void,
): Promise<void> {
  for (const base of (await readdir(join(root, prefix))).sort()) {
    const name = prefix + base;
    if (isLeftOut(name, base)) continue;
    const stat = await lstat(join(root, name));
    if (stat.isDirectory()) {
      add({ name: `${name}/`, mode: 0o755 });
      await walk(root, `${name}/`, reserve, add);
    } else if (stat.isSymbolicLink()) {
      add({ name, mode: 0o777, linkTarget: await readlink(join(root, name)) });
    } else if (stat.isFile()) {
      reserve(stat.size);
      add({ name, mode: stat.mode & 0o100 ? 0o755 : 0o644, data: await readFile(join(root, name)) });
    }
  }
}

function isLeftOut(name: string, base: string): boolean {
  if (base.startsWith(".") && base !== ".terraform.lock.hcl") return true;
  if (name.includes(".tfstate") || name === "terraform.tfvars" || name === "terraform.tfvars.json") return true;
  return base.endsWith(".auto.tfvars") || base.endsWith(".auto.tfvars.json");
}
