import * as fs from "node:fs";
import { join, posix } from "node:path";
import { setImmediate } from "node:timers/promises";
import { JobError, messageOf } from "../kit/errors.ts";
import { isReserved } from "./reserved.ts";
import { readTar, type TarEntry } from "./tar-read.ts";

export interface ExtractLimits {
  /** Biggest file; Coder cuts there without a word, we refuse (spec/03 §1.3). */
  fileBytes: number;
  /** Entries of any kind. A template comes in one message of 4 MiB, so more than 8,192 headers can't arrive. */
  entries: number;
  /** Content of all files together. */
  totalBytes: number;
  /** Folders above a file: stack depth of whoever walks the tree later. */
  depth: number;
  /** Bytes of a whole name: the folder's own path and this must stay under Linux's 4,096. */
  nameBytes: number;
}

const mib = 1024 * 1024;
const templateLimits: ExtractLimits = {
  fileBytes: 10 * mib,
  entries: 10_000,
  totalBytes: 100 * mib,
  depth: 64,
  nameBytes: 1024,
};
/** Modules: an archive of 20 MiB (spec/03 §1.10) holds at most 40,960 headers, and it may be one file. */
const moduleLimits: ExtractLimits = { ...templateLimits, entries: 50_000, fileBytes: 100 * mib, nameBytes: 2048 };

export interface ExtractOptions {
  /** What the archive is: words of errors, limits, and whether reserved paths are dropped. */
  kind: "template" | "modules";
  limits?: Partial<ExtractLimits>;
}

export interface Extracted {
  files: number;
  bytes: number;
  /** Links, devices, FIFOs, sparse files, in order: skipped, to be reported once. */
  skippedLinks: string[];
  /** Paths that a template may not bring along (spec/03 §1.3): dropped, to be reported once. */
  dropped: string[];
}

/** How much is written between two turns of the event loop. */
const slice = { entries: 32, bytes: 2 * mib };

/**
 * Extracts an uncompressed tar that is in memory into `folder` (made with mode 0700 where it is missing), by the rules
 * of spec/03 §1.3 with all that it marks [ours]: no way out, parents made, no file cut or left with an old tail, modes
 * 0700 and 0600 (0700 for a program), no link made and none followed. Throws a JobError that names the entry; what was written before it stays.
 */
export async function extractTar(
  tar: Uint8Array,
  folder: string,
  options: ExtractOptions,
  signal: AbortSignal,
): Promise<Extracted> {
  const limits = { ...(options.kind === "template" ? templateLimits : moduleLimits), ...options.limits };
  const result: Extracted = { files: 0, bytes: 0, skippedLinks: [], dropped: [] };
  const target = new Target(folder, options.kind);
  let entries = 0;
  let unflushed = { entries: 0, bytes: 0 };
  for (const entry of readTar(tar)) {
    signal.throwIfAborted();
    if (++entries > limits.entries) throw target.refuse(entry.name, `more than ${limits.entries} entries`);
    const path = target.pathOf(entry.name, limits);
    if (options.kind === "template" && isReserved(path)) {
      result.dropped.push(path);
    } else if (entry.kind === "other") {
      result.skippedLinks.push(path);
    } else {
      result.bytes += entry.data.length;
      if (entry.data.length > limits.fileBytes) {
        throw target.refuse(entry.name, `${entry.data.length} bytes: a file may have at most ${limits.fileBytes}`);
      }
      if (result.bytes > limits.totalBytes)
        throw target.refuse(entry.name, `more than ${limits.totalBytes} bytes in all`);
      if (entry.kind === "file") result.files++;
      target.write(path, entry);
    }
    unflushed.entries++;
    unflushed.bytes += entry.data.length;
    if (unflushed.entries >= slice.entries || unflushed.bytes >= slice.bytes) {
      unflushed = { entries: 0, bytes: 0 };
      await setImmediate();
    }
  }
  return result;
}

/** The folder that is filled: knows which folders are there and which names are taken. */
class Target {
  readonly #folders = new Set<string>(["."]);
  /** Names as a file system that ignores case sees them → as they are. */
  readonly #spellings = new Map<string, string>();

  constructor(
    readonly folder: string,
    readonly kind: ExtractOptions["kind"],
  ) {
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  refuse(name: string, why: string, cause?: unknown): JobError {
    const shown = name.length > 200 ? `${name.slice(0, 200)}…` : name;
    return new JobError(`extract ${this.kind}: ${JSON.stringify(shown)}: ${why}`, { cause });
  }

  /** The entry's path below the folder, without `.` and `..`, or the reason why there is none. */
  pathOf(name: string, limits: ExtractLimits): string {
    const path = posix.normalize(name).replace(/\/+$/, "");
    if (name === "" || path === "" || path.startsWith("/") || path === ".." || path.startsWith("../")) {
      throw this.refuse(name, "refusing to extract to non-local path");
    }
    const parts = path.split("/");
    if (Buffer.byteLength(path) > limits.nameBytes || parts.some((part) => Buffer.byteLength(part) > 255)) {
      throw this.refuse(name, `the name is too long: at most ${limits.nameBytes} bytes, 255 for each part`);
    }
    if (parts.length - 1 > limits.depth) throw this.refuse(name, `more than ${limits.depth} folders deep`);
    return path;
  }

  write(path: string, entry: TarEntry): void {
    this.#claim(path);
    try {
      if (entry.kind === "folder") {
        this.#makeFolder(path);
        return;
      }
      if (path === "." || entry.name.endsWith("/")) throw new Error("a file with the name of a folder");
      this.#makeFolder(posix.dirname(path));
      this.#writeFile(path, entry);
    } catch (error) {
      throw this.refuse(entry.name, messageOf(error), error);
    }
  }

  /** Takes a name. A module's names are its author's, and were fine where `init` ran: only a template's must differ. */
  #claim(path: string): void {
    if (this.kind === "modules") return;
    let prefix = "";
    for (const part of path.split("/")) {
      prefix = prefix ? `${prefix}/${part}` : part;
      const folded = prefix.normalize("NFC").toLowerCase();
      const taken = this.#spellings.get(folded);
      if (taken === undefined) this.#spellings.set(folded, prefix);
      else if (taken !== prefix) {
        throw this.refuse(path, `differs from ${JSON.stringify(taken)} in upper and lower case only`);
      }
    }
  }

  #makeFolder(path: string): void {
    if (this.#folders.has(path)) return;
    this.#makeFolder(posix.dirname(path));
    const absolute = join(this.folder, path);
    try {
      fs.mkdirSync(absolute, 0o700);
    } catch (error) {
      // Something from before: only a real folder will do, a link could lead out.
      if ((error as NodeJS.ErrnoException).code !== "EEXIST" || !fs.lstatSync(absolute).isDirectory()) throw error;
    }
    this.#folders.add(path);
  }

  #writeFile(path: string, entry: TarEntry): void {
    const flags = fs.constants.O_WRONLY | fs.constants.O_CREAT | fs.constants.O_TRUNC | fs.constants.O_NOFOLLOW;
    const mode = 0o600 | (entry.mode & 0o100);
    const file = fs.openSync(join(this.folder, path), flags, mode);
    try {
      fs.fchmodSync(file, mode);
      fs.writeFileSync(file, entry.data);
    } finally {
      fs.closeSync(file);
    }
  }
}
