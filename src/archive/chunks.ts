import { createHash } from "node:crypto";
import { limits } from "../contract/limits.ts";
import { PeerError } from "../kit/errors.ts";

/** Announces a file, with the field names of the proto's DataUpload (spec/01 §4.15). */
export interface FileHeader {
  /** Raw SHA-256 of the whole file, 32 bytes. */
  dataHash: Uint8Array;
  fileSize: bigint;
  /** How many pieces follow: ceil(size / 2 MiB). */
  chunks: number;
}

/** A piece of a file, with the field names of the proto's ChunkPiece. */
export interface FilePiece {
  data: Uint8Array;
  /** Repeats `dataHash` of the header. */
  fullDataHash: Uint8Array;
  /** 0, 1, 2 … in order. */
  pieceIndex: number;
}

export interface SplitFile {
  upload: FileHeader;
  /** Views into the file, made as they are asked for. */
  pieces: Iterable<FilePiece>;
}

const pieceCount = (size: number) => Math.ceil(size / limits.fileChunkBytes);

/** Raw SHA-256, 32 bytes. */
export function sha256(data: Uint8Array): Uint8Array {
  return createHash("sha256").update(data).digest();
}

/** A file as it travels: its header, then pieces of 2 MiB, the last one shorter, none for an empty file (spec/01 §4.15). */
export function splitFile(bytes: Uint8Array): SplitFile {
  const dataHash = sha256(bytes);
  const chunks = pieceCount(bytes.length);
  function* pieces(): Generator<FilePiece> {
    for (let pieceIndex = 0; pieceIndex < chunks; pieceIndex++) {
      const start = pieceIndex * limits.fileChunkBytes;
      yield { data: bytes.subarray(start, start + limits.fileChunkBytes), fullDataHash: dataHash, pieceIndex };
    }
  }
  return { upload: { dataHash, fileSize: BigInt(bytes.length), chunks }, pieces: { [Symbol.iterator]: pieces } };
}

/**
 * Puts a file together from its header and its pieces, checking all that spec/01 §4.15 lists. Every violation is a
 * PeerError that names what was wrong; after one the assembler is not to be used again.
 *
 *  - waiting: no header yet; a piece is a violation
 *  - filling: pieces are added in order; a second header is a violation
 *  - complete: all announced pieces have come, size and SHA-256 match; anything more is a violation
 */
export class FileAssembler {
  #header: { hash: Buffer; size: number; chunks: number; file: Buffer } | undefined;
  /** Grows with the pieces, so that no moment hashes the whole file at once. */
  readonly #sha256 = createHash("sha256");
  #pieces = 0;
  #bytes = 0;
  #complete = false;

  /** Takes the header. An empty file is complete with it. */
  begin(header: FileHeader): void {
    if (this.#header) throw violation("a second header", "one header for each file");
    const { dataHash, fileSize, chunks } = header;
    if (dataHash.length !== 32) throw violation(`a hash of ${dataHash.length} bytes`, "32 bytes");
    if (fileSize < 0n || fileSize > BigInt(limits.fileBytes)) {
      throw violation(`a size of ${fileSize} bytes`, `0 to ${limits.fileBytes}`);
    }
    const size = Number(fileSize);
    // The reference receiver only refuses more; with fewer the file can't be whole (01#100).
    if (chunks !== pieceCount(size)) throw violation(`${chunks} pieces for ${size} bytes`, `${pieceCount(size)}`);
    // Zero pages: an announced 100 MiB costs no memory until its bytes come.
    this.#header = { hash: Buffer.from(dataHash), size, chunks, file: Buffer.alloc(size) };
    if (chunks === 0) this.#check();
  }

  /** Takes the next piece; its bytes are copied. */
  add(piece: FilePiece): void {
    if (!this.#header) throw violation("a piece", "a header first");
    const { hash, size, chunks, file } = this.#header;
    const { data, fullDataHash, pieceIndex } = piece;
    if (this.#pieces >= chunks) throw violation(`piece ${pieceIndex}`, `no more than the ${chunks} announced`);
    if (pieceIndex !== this.#pieces) throw violation(`piece ${pieceIndex}`, `piece ${this.#pieces}`);
    if (!hash.equals(fullDataHash)) throw violation(`piece ${pieceIndex} of another file`, "the hash of the header");
    const end = this.#bytes + data.length;
    if (end > size) throw violation(`${end} bytes`, `no more than the ${size} announced`);
    file.set(data, this.#bytes);
    this.#sha256.update(data);
    this.#bytes = end;
    this.#pieces++;
    if (this.#pieces === chunks) this.#check();
  }

  /** True once all announced pieces have come and the file is whole. */
  get complete(): boolean {
    return this.#complete;
  }

  /** The whole file, at the end of the stream; a stream that ended early is a violation. */
  finish(): Uint8Array {
    if (!this.#header) throw violation("the end of the stream", "a header first");
    const { size, chunks, file } = this.#header;
    if (this.#complete) return file;
    const got = `the end of the stream after ${this.#pieces} pieces, ${this.#bytes} bytes`;
    throw violation(got, `${chunks} pieces, ${size} bytes`);
  }

  #check(): void {
    const { hash, size } = this.#header as { hash: Buffer; size: number };
    if (this.#bytes !== size) throw violation(`${this.#bytes} bytes in all`, `the ${size} announced`);
    if (!hash.equals(this.#sha256.digest())) throw violation("a file with another SHA-256", "the hash of the header");
    this.#complete = true;
  }
}

function violation(got: string, wanted: string): PeerError {
  return new PeerError(`receive file: got ${got}: want ${wanted}`);
}
