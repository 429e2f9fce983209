import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileAssembler, splitFile } from "../../src/archive/chunks.ts";
import { extractTar } from "../../src/archive/extract.ts";
import { JobError, PeerError } from "../../src/kit/errors.ts";
import { paxRecord, type TarSpec, tarOf } from "../support/tar.ts";

/** The tar reader and the assembler on damaged and hostile input: a sorted error or a result, and nothing outside the folder. */
export const archiveFuzz = {
  name: "archive",
  async run(random: () => number, count: number): Promise<void> {
    const root = await mkdtemp(join(tmpdir(), "outpost-fuzz-"));
    try {
      for (let n = 0; n < count; n++) {
        await fuzzTar(random, join(root, "outer", `job${n}`));
        fuzzAssembler(random);
      }
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  },
};

const upTo = (random: () => number, limit: number) => Math.floor(random() * limit);
const pick = <T>(random: () => number, values: readonly T[]): T => values[upTo(random, values.length)] as T;

const names = [
  "a",
  "a/b",
  "a/../c",
  "../x",
  "/x",
  "",
  ".",
  "./",
  "A",
  "a/",
  "é",
  ".terraform/x",
  "n".repeat(120),
  "\0",
];
const types = ["0", "\0", "1", "2", "3", "5", "6", "7", "S", "x", "g", "L", "K", "?"];
const sizes = [undefined, undefined, undefined, "", "99999999999", "\x80\0\0\0\0\0\0\0\0\0\0\x05", "\xff", "12 ", "-1"];

async function fuzzTar(random: () => number, folder: string): Promise<void> {
  const specs = Array.from({ length: upTo(random, 6) }, (): TarSpec => {
    const name = pick(random, names);
    const type = pick(random, types);
    const data = pick(random, [
      "",
      "text",
      "x".repeat(513),
      paxRecord("path", pick(random, names)),
      `${name}\0`,
      "9 a=b\n",
    ]);
    const size = pick(random, sizes);
    return { name, type, data, mode: upTo(random, 0o10000), ...(size === undefined ? {} : { size }) };
  });
  let archive = tarOf(specs, upTo(random, 3));
  for (let flips = upTo(random, 3); flips > 0 && archive.length > 0; flips--) {
    archive[upTo(random, archive.length)] = upTo(random, 256);
  }
  if (random() < 0.2) archive = archive.subarray(0, upTo(random, archive.length + 1));
  const kind = pick(random, ["template", "modules"] as const);
  try {
    await extractTar(archive, folder, { kind }, new AbortController().signal);
  } catch (error) {
    if (!(error instanceof JobError)) throw error;
  }
  await onlyHere(folder);
}

/** Nothing may stand beside the folder: it is the only one of its parent, which goes again. */
async function onlyHere(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  const beside = await readdir(join(folder, "..")).catch(() => []);
  if (beside.length > 0) throw new Error(`extract: ${JSON.stringify(beside)} was made outside of the folder`);
}

function fuzzAssembler(random: () => number): void {
  const file = Buffer.from(Array.from({ length: upTo(random, 64) }, () => upTo(random, 256)));
  const { upload, pieces } = splitFile(file);
  const assembler = new FileAssembler();
  try {
    for (let steps = upTo(random, 4); steps >= 0; steps--) {
      if (random() < 0.5) {
        const odd = {
          fileSize: BigInt(upTo(random, 80) - 8),
          chunks: upTo(random, 4) - 1,
          dataHash: file.subarray(0, 32),
        };
        assembler.begin(random() < 0.5 ? upload : { ...upload, ...pick(random, [{}, odd]) });
      }
      for (const piece of pieces) assembler.add(random() < 0.8 ? piece : { ...piece, pieceIndex: upTo(random, 3) });
    }
    const whole = assembler.finish();
    if (Buffer.compare(whole, file) !== 0) throw new Error("assemble: another file than was sent, and no error");
  } catch (error) {
    if (!(error instanceof PeerError)) throw error;
  }
}
