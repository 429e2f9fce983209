import { lstat, readdir, realpath, stat } from "node:fs/promises";
import { join, relative } from "node:path";

/** A file or folder of a module, as it goes into the archive. */
export interface TreeItem {
  /** Relative to the session's folder; a folder's ends with `/`. */
  name: string;
  /** Where its content lies, links resolved. */
  path: string;
  /** Content in bytes; 0 for a folder. */
  size: number;
  /** Normalised, so that the archive does not depend on the umask (spec/03 §1.10). */
  mode: number;
}

export interface Tree {
  /** Parents first, in lexical order. */
  items: TreeItem[];
  /** Size in a tar as Coder estimates it: it decides the order of modules (spec/03 §1.10). */
  estimate: number;
}

/** Deeper trees come from links to folders that hold links; the extraction would refuse them. */
const maxDepth = 64;

/**
 * Lists a module's folder `dir` below `root`. Folders named `.git` are left out. A link to something below `boundary` is
 * taken as what it points to, unless it leads back to a folder above; all other links and special files are left out.
 * Throws an Error where the folder can't be walked, lies elsewhere, or would take more than `maxBytes`.
 */
export async function listTree(root: string, dir: string, boundary: string, maxBytes: number): Promise<Tree> {
  const tree: Tree = { items: [], estimate: 0 };
  const add = (item: TreeItem) => {
    tree.estimate += 512 + (item.name.endsWith("/") ? 0 : item.size + 512 - (item.size % 512));
    // Links can make a small tree endless: nothing is listed that can't be packed.
    if (tree.estimate > maxBytes) throw new Error(`"${dir}" takes more than ${maxBytes} bytes`);
    tree.items.push(item);
  };
  const walk = async (folder: string, name: string, above: readonly string[]): Promise<void> => {
    if (above.length > maxDepth) throw new Error(`"${dir}" is more than ${maxDepth} folders deep`);
    add({ name: `${name}/`, path: folder, size: 0, mode: 0o755 });
    for (const base of (await readdir(folder)).sort(byBytes)) {
      const path = await resolved(join(folder, base), boundary);
      if (path === undefined) continue;
      const { size, mode, ...kind } = await statOf(path);
      if (kind.isFolder) {
        if (base !== ".git" && !above.includes(path) && path !== folder) {
          await walk(path, `${name}/${base}`, [...above, folder]);
        }
      } else if (kind.isFile) {
        add({ name: `${name}/${base}`, path, size, mode: mode & 0o100 ? 0o755 : 0o644 });
      }
    }
  };
  const folder = await realpath(join(root, dir));
  if (!isInside(folder, boundary)) throw new Error(`"${dir}" lies outside of the folder of modules`);
  await walk(folder, dir, []);
  return tree;
}

async function statOf(path: string) {
  const found = await stat(path);
  return { size: found.size, mode: found.mode, isFile: found.isFile(), isFolder: found.isDirectory() };
}

/** The path itself, or what a link at it points to; undefined for a link that leads out, into `.git`, or nowhere. */
async function resolved(path: string, boundary: string): Promise<string | undefined> {
  if (!(await lstat(path)).isSymbolicLink()) return path;
  const target = await realpath(path).catch(() => undefined);
  const isGood =
    target !== undefined && isInside(target, boundary) && !relative(boundary, target).split("/").includes(".git");
  return isGood ? target : undefined;
}

const isInside = (path: string, folder: string) => path.startsWith(`${folder}/`);

/** Go's order, which is that of the bytes. */
function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
