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
  #header: { hash: Buffer; size: number; chunks: number } | undefined;
  /** Grows with what arrives, so that an announced 100 MiB costs nothing by itself. */
  readonly #pieces: Uint8Array[] = [];
  #received = 0;
  #file: Uint8Array | undefined;

  /** Takes the header. An empty file is complete with it. */
  begin(header: FileHeader): void {
    if (this.#header) throw violation("a second header", "one header for each file");
    const { dataHash, fileSize, chunks } = header;
    if (dataHash.length !== 32) throw violation(`a hash of ${dataHash.length} bytes`, "32 bytes");
    if (fileSize < 0n || fileSize > BigInt(limits.fileBytes)) {
      throw violation(`a size of ${fileSize} bytes`, `0 to ${limits.fileBytes}`);
    }
    const size = Number(fileSize);
    if (chunks < 0 || chunks > pieceCount(size)) {
      throw violation(`${chunks} pieces for ${size} bytes`, `0 to ${pieceCount(size)}`);
    }
    this.#header = { hash: Buffer.from(dataHash), size, chunks };
    if (chunks === 0) this.#complete();
  }

  /** Takes the next piece; its bytes are copied. */
  add(piece: FilePiece): void {
    if (!this.#header) throw violation("a piece", "a header first");
    const { hash, size, chunks } = this.#header;
    const index = this.#pieces.length;
    if (index >= chunks) throw violation(`piece ${piece.pieceIndex}`, `no more than the ${chunks} announced`);
    if (piece.pieceIndex !== index) throw violation(`piece ${piece.pieceIndex}`, `piece ${index}`);
    if (!hash.equals(piece.fullDataHash)) throw violation(`piece ${index} of another file`, "the hash of the header");
    this.#received += piece.data.length;
    if (this.#received > size) throw violation(`${this.#received} bytes`, `no more than the ${size} announced`);
    this.#pieces.push(piece.data.slice());
    if (this.#pieces.length === chunks) this.#complete();
  }

  /** True once all announced pieces have come and the file is whole. */
  get complete(): boolean {
    return this.#file !== undefined;
  }

  /** The whole file, at the end of the stream; a stream that ended early is a violation. */
  finish(): Uint8Array {
    if (this.#file) return this.#file;
    if (!this.#header) throw violation("the end of the stream", "a header first");
    const { size, chunks } = this.#header;
    throw violation(
      `the end of the stream after ${this.#pieces.length} pieces, ${this.#received} bytes`,
      `${chunks} pieces, ${size} bytes`,
    );
  }

  #complete(): void {
    const { hash, size } = this.#header as { hash: Buffer; size: number };
    if (this.#received !== size) throw violation(`${this.#received} bytes in all`, `the ${size} announced`);
    const file = Buffer.concat(this.#pieces, size);
    if (!hash.equals(sha256(file))) throw violation("a file with another SHA-256", "the hash of the header");
    this.#pieces.length = 0;
    this.#file = file;
  }
}

function violation(got: string, wanted: string): PeerError {
  return new PeerError(`receive file: got ${got}: want ${wanted}`);
}
