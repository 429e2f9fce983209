import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { FileAssembler, type FileHeader, type FilePiece, splitFile } from "../../src/archive/chunks.ts";
import { limits } from "../../src/contract/limits.ts";
import { PeerError } from "../../src/kit/errors.ts";

const chunk = 2_097_152;
const hashOf = (data: Uint8Array) => createHash("sha256").update(data).digest();

/** A file of this size that differs from piece to piece. */
function fileOf(size: number): Buffer {
  const file = Buffer.alloc(size);
  for (let at = 0; at < size; at += 4096) file[at] = at / 4096;
  return file;
}

/** Feeds header and pieces; the file, or what was thrown. */
function assemble(header: FileHeader | undefined, pieces: Iterable<FilePiece>): Uint8Array {
  const assembler = new FileAssembler();
  if (header) assembler.begin(header);
  for (const piece of pieces) {
    expect(assembler.complete).toBe(false);
    assembler.add(piece);
  }
  return assembler.finish();
}

test("01#100 a file travels in ceil(size / 2 MiB) pieces with consecutive indexes, and is whole only after the last", () => {
  for (const size of [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 5 * chunk + 7]) {
    const file = fileOf(size);
    const { upload, pieces } = splitFile(file);
    const list = [...pieces];
    expect(upload).toEqual({ dataHash: hashOf(file), fileSize: BigInt(size), chunks: Math.ceil(size / chunk) });
    expect(list.map(({ pieceIndex }) => pieceIndex)).toEqual([...Array(upload.chunks).keys()]);
    expect(
      list.every(({ data }, index) => data.length === (index < upload.chunks - 1 ? chunk : size - index * chunk)),
    ).toBe(true);
    expect(list.every(({ fullDataHash }) => hashOf(file).equals(fullDataHash))).toBe(true);
    expect(Buffer.compare(assemble(upload, list), file)).toBe(0);
    if (size > 0) expect(() => assemble(upload, list.slice(0, -1))).toThrow("the end of the stream");
  }
});

test("01#101 03#18 every violation is refused with what was wrong", () => {
  const file = fileOf(2 * chunk + 5);
  const { upload, pieces } = splitFile(file);
  const [first, second, third] = [...pieces] as [FilePiece, FilePiece, FilePiece];
  const other = Buffer.alloc(32, 7);
  const cases: [RegExp, FileHeader | undefined, FilePiece[]][] = [
    [/hash of 31 bytes: want 32/, { ...upload, dataHash: upload.dataHash.subarray(1) }, []],
    [/hash of 0 bytes/, { ...upload, dataHash: new Uint8Array() }, []],
    [/size of -1 bytes/, { ...upload, fileSize: -1n }, []],
    [/size of 104857601 bytes/, { ...upload, fileSize: BigInt(limits.fileBytes) + 1n, chunks: 51 }, []],
    [/4 pieces for 4194309 bytes: want 3/, { ...upload, chunks: 4 }, []],
    [/-1 pieces/, { ...upload, chunks: -1 }, []],
    [/2 pieces for 4194309 bytes: want 3/, { ...upload, chunks: 2 }, []],
    [/got a piece: want a header/, undefined, [first]],
    [/piece 1: want piece 0/, upload, [second]],
    [/piece 0: want piece 1/, upload, [first, first]],
    [/piece 2: want piece 1/, upload, [first, third]],
    [/piece 1 of another file/, upload, [first, { ...second, fullDataHash: other }]],
    [/piece 0 of another file/, upload, [{ ...first, fullDataHash: upload.dataHash.subarray(0, 31) }]],
    [/4194310 bytes: want no more than the 4194309/, upload, [first, second, { ...third, data: Buffer.alloc(6) }]],
    [/4194308 bytes in all/, upload, [first, second, { ...third, data: Buffer.alloc(4) }]],
    [/another SHA-256/, upload, [first, second, { ...third, data: Buffer.alloc(5, 9) }]],
    [/another SHA-256/, { dataHash: other, fileSize: 0n, chunks: 0 }, []],
    [/end of the stream after 2 pieces, 4194304 bytes: want 3 pieces/, upload, [first, second]],
    [/end of the stream: want a header/, undefined, []],
  ];
  for (const [words, header, list] of cases) {
    expect(() => assemble(header, list), String(words)).toThrow(PeerError);
    expect(() => assemble(header, list)).toThrow(words);
  }
  const whole = new FileAssembler();
  whole.begin(upload);
  expect(() => whole.begin(upload)).toThrow(/a second header/);
  for (const piece of [first, second, third]) whole.add(piece);
  expect(whole.complete).toBe(true);
  expect(() => whole.add({ ...third, pieceIndex: 3 })).toThrow(/piece 3: want no more than the 3/);
});

test("01#101 the biggest size is accepted, and its announcement costs no memory by itself", () => {
  const before = process.memoryUsage.rss();
  const assemblers = Array.from({ length: 8 }, () => {
    const assembler = new FileAssembler();
    assembler.begin({ dataHash: Buffer.alloc(32), fileSize: BigInt(limits.fileBytes), chunks: 50 });
    return assembler;
  });
  expect(process.memoryUsage.rss() - before).toBeLessThan(limits.fileBytes);
  expect(assemblers.every((assembler) => !assembler.complete)).toBe(true);
});

test("pieces are copied: what the sender does to its buffer afterwards changes nothing", () => {
  const file = fileOf(10);
  const { upload, pieces } = splitFile(Buffer.from(file));
  const assembler = new FileAssembler();
  assembler.begin(upload);
  for (const piece of pieces) {
    assembler.add(piece);
    piece.data.fill(0xff);
  }
  expect(Buffer.from(assembler.finish())).toEqual(file);
});
