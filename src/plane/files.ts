import { create } from "@bufbuild/protobuf";
import { limits } from "../contract/limits.ts";
import { DataUploadType, type FileUpload, FileUploadSchema } from "../gen/provisioner_pb.ts";
import type { FileRequest } from "../gen/provisionerd_pb.ts";
import { RefusedError } from "../kit/errors.ts";
import { isUuid, sha256 } from "./chance.ts";
import type { StoredFile } from "./rows.ts";
import type { World } from "./world.ts";

/** All files together: a few hundred module archives, well inside a laptop's memory. */
const storeBytes = 2 * 1024 ** 3;

/** Keeps a file once per content. Throws RefusedError when the store is full. */
export function storeFile(world: World, data: Uint8Array): StoredFile {
  const { files } = world.store;
  const hash = sha256(data);
  const known = files.find((row) => row.hash === hash);
  if (known) return known;
  let bytes = data.length;
  for (const file of files.all()) bytes += file.data.length;
  if (bytes > storeBytes)
    throw new RefusedError(`store a file of ${data.length} bytes: the store is full at ${storeBytes} bytes`);
  return files.insert({ id: world.chance.uuid(), hash, data: data.slice() });
}

/**
 * Receives one file in pieces and checks each (spec/01 §4.15). Messages go in by `take` until `complete`; a broken rule
 * throws RefusedError, and then nothing was stored.
 */
export class FileReceiver {
  #expected: { hash: Uint8Array; bytes: number; pieces: number } | undefined;
  #received = 0;
  readonly #pieces: Uint8Array[] = [];

  get complete(): boolean {
    return this.#expected !== undefined && this.#pieces.length === this.#expected.pieces;
  }

  take({ type }: FileUpload): void {
    switch (type.case) {
      case "dataUpload": {
        if (this.#expected) refuse("a second data upload");
        const { uploadType, dataHash, fileSize, chunks } = type.value;
        if (uploadType !== DataUploadType.UPLOAD_TYPE_MODULE_FILES)
          refuse(`unsupported type ${uploadType}: must be module files`);
        if (dataHash.length !== 32) refuse(`hash of ${dataHash.length} bytes: must be 32`);
        if (fileSize < 0n || fileSize > BigInt(limits.fileBytes))
          refuse(`size ${fileSize}: must be 0 to ${limits.fileBytes} bytes`);
        const bytes = Number(fileSize);
        const mostPieces = Math.ceil(bytes / limits.fileChunkBytes);
        if (chunks < 0 || chunks > mostPieces) refuse(`${chunks} chunks: at most ${mostPieces} for ${bytes} bytes`);
        this.#expected = { hash: dataHash.slice(), bytes, pieces: chunks };
        break;
      }
      case "chunkPiece": {
        if (!this.#expected) refuse("a chunk before the data upload");
        if (this.complete) refuse("a chunk after the last");
        const { data, fullDataHash, pieceIndex } = type.value;
        if (!Buffer.from(fullDataHash).equals(this.#expected.hash))
          refuse(`chunk ${pieceIndex}: it belongs to another file`);
        if (pieceIndex !== this.#pieces.length) refuse(`chunk ${pieceIndex}: the next is ${this.#pieces.length}`);
        this.#received += data.length;
        if (this.#received > this.#expected.bytes)
          refuse(`chunk ${pieceIndex}: more data than the ${this.#expected.bytes} bytes announced`);
        this.#pieces.push(data.slice());
        break;
      }
      default:
        refuse("a message that is neither data upload nor chunk");
    }
  }

  /** The whole file. Throws RefusedError when it is not there, or not what was announced. */
  finish(): Uint8Array {
    if (!this.#expected || !this.complete) refuse("the stream ended before the last chunk");
    const data = Buffer.concat(this.#pieces);
    if (data.length !== this.#expected.bytes)
      refuse(`${data.length} bytes arrived: ${this.#expected.bytes} were announced`);
    if (sha256(data) !== Buffer.from(this.#expected.hash).toString("hex"))
      refuse("the content has another hash than announced");
    return data;
  }
}

function refuse(what: string): never {
  throw new RefusedError(`upload file: ${what}`);
}

/** The file that a daemon of this organization may have. Throws RefusedError with the texts of spec/02 §5.9. */
export function moduleFile(world: World, organizationId: string, { fileId, uploadType }: FileRequest): StoredFile {
  if (fileId === "") throw new RefusedError("file id is required");
  if (!isUuid(fileId)) throw new RefusedError(`parse file id: invalid UUID "${fileId}"`);
  if (uploadType !== DataUploadType.UPLOAD_TYPE_MODULE_FILES)
    throw new RefusedError(`unsupported file upload type: ${uploadType}`);
  const file = world.store.files.get(fileId.toLowerCase());
  const used = world.store.versions.find(
    (row) => row.moduleFileId === file?.id && row.organizationId === organizationId,
  );
  if (!file || !used) throw new RefusedError(`file ${fileId} is not a modules file`);
  return file;
}

/** The messages in which a file travels (spec/01 §4.15). */
export function* filePieces({ data, hash }: StoredFile): Generator<FileUpload> {
  const dataHash = Buffer.from(hash, "hex");
  const chunks = Math.ceil(data.length / limits.fileChunkBytes);
  const uploadType = DataUploadType.UPLOAD_TYPE_MODULE_FILES;
  yield create(FileUploadSchema, {
    type: { case: "dataUpload", value: { uploadType, dataHash, fileSize: BigInt(data.length), chunks } },
  });
  for (let pieceIndex = 0; pieceIndex < chunks; pieceIndex++) {
    const start = pieceIndex * limits.fileChunkBytes;
    const piece = data.subarray(start, start + limits.fileChunkBytes);
    yield create(FileUploadSchema, {
      type: { case: "chunkPiece", value: { data: piece, fullDataHash: dataHash, pieceIndex } },
    });
  }
}
