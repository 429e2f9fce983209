import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";

/**
 * The `h1:` hash of an unpacked package as it stands in dependency lock files (Go's dirhash, Hash1): SHA-256 over one
 * line "hex  name\n" for each file, in byte order of the names. `paths` are relative, with slashes.
 */
export async function packageHash(folder: string, paths: readonly string[], signal: AbortSignal): Promise<string> {
  const all = createHash("sha256");
  const sorted = paths.map((path) => Buffer.from(path)).sort(Buffer.compare);
  for (const name of sorted) {
    if (name.includes("\n")) throw new Error(`hash package "${folder}": a file name with a line feed`);
    const file = createHash("sha256");
    await pipeline(createReadStream(join(folder, name.toString()), { highWaterMark: 1024 * 1024 }), file, { signal });
    all
      .update(`${file.digest("hex")}  `)
      .update(name)
      .update("\n");
  }
  return `h1:${all.digest("base64")}`;
}
