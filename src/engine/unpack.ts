import { createWriteStream } from "node:fs";
import { open } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { openPromise } from "yauzl";

/** The binary has 90 MB. */
const maxBytes = 512 * 1024 * 1024;

/**
 * Writes the file `name` out of a zip to `target`, which must not exist, mode 0700, synced to disk. The zip was checked
 * against its pinned hash before: what is checked here is that it is the zip we think of.
 */
export async function unpackFile(zip: string, name: string, target: string, signal: AbortSignal): Promise<void> {
  const archive = await openPromise(zip, { lazyEntries: true, autoClose: false });
  try {
    for await (const entry of archive.eachEntry()) {
      if (entry.fileName !== name) continue;
      if (entry.uncompressedSize > maxBytes) throw new Error(`"${name}" has more than ${maxBytes} bytes`);
      const content = await archive.openReadStreamPromise(entry);
      await pipeline(content, createWriteStream(target, { flags: "wx", mode: 0o700 }), { signal });
      const file = await open(target, "r");
      try {
        await file.sync();
      } finally {
        await file.close();
      }
      return;
    }
    throw new Error(`no "${name}" in it`);
  } finally {
    archive.close();
  }
}
