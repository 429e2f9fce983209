import { PeerError, RefusedError } from "../../kit/errors.ts";
import { VarintReader } from "./varint.ts";

/** Codes of Error packets that have a meaning (spec/01 §4.7). */
export const errorCode = { unspecified: 0n, unimplemented: 12n } as const;

/** Text of an Error packet of ours is cut here, so that it stays one frame. */
const maxErrorTextBytes = 65_528;
const codeBytes = 8;

/** The other side's refusal, with its text as the message. */
export class RpcError extends RefusedError {
  constructor(
    message: string,
    /** As sent by the other side: 0 unspecified, 12 not implemented. */
    readonly rpcCode: bigint,
  ) {
    super(message);
  }
}

/** Data of an Error packet: a code of 8 bytes, big-endian, then text (spec/01 §4.7). */
export function encodeError(code: bigint, text: string): Uint8Array {
  const data = Buffer.alloc(codeBytes + Math.min(Buffer.byteLength(text), maxErrorTextBytes));
  data.writeBigUInt64BE(code);
  data.write(text, codeBytes);
  return data;
}

/** Fewer than 8 bytes are text with code 0 (spec/01 §4.7). */
export function decodeError(data: Uint8Array): RpcError {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (bytes.length < codeBytes) return new RpcError(bytes.toString(), errorCode.unspecified);
  return new RpcError(bytes.toString("utf8", codeBytes), bytes.readBigUInt64BE());
}

/**
 * Reads InvokeMetadata: entries `0A len (0A len key) (12 len value)`, nothing else (spec/01 §4.7).
 * Throws PeerError for any other shape.
 */
export function decodeMetadata(data: Uint8Array): Map<string, string> {
  const entries = new Map<string, string>();
  const reader = new FieldReader(data);
  while (!reader.atEnd) {
    const entry = new FieldReader(reader.field(0x0a));
    const key = entry.field(0x0a);
    const value = entry.field(0x12);
    if (!entry.atEnd) throw malformed("bytes behind the value");
    entries.set(Buffer.from(key).toString(), Buffer.from(value).toString());
  }
  return entries;
}

class FieldReader {
  readonly #data: Uint8Array;
  #at = 0;

  constructor(data: Uint8Array) {
    this.#data = data;
  }

  get atEnd(): boolean {
    return this.#at >= this.#data.length;
  }

  /** The content of the next field, which must have this tag. */
  field(tag: number): Uint8Array {
    if (this.#data[this.#at++] !== tag) throw malformed(`no field 0x${tag.toString(16)}`);
    const length = this.#varint();
    if (length > BigInt(this.#data.length - this.#at)) throw malformed("a length beyond the end");
    const content = this.#data.subarray(this.#at, this.#at + Number(length));
    this.#at += content.length;
    return content;
  }

  #varint(): bigint {
    const varint = new VarintReader();
    for (;;) {
      const byte = this.#data[this.#at++];
      const value = byte === undefined ? "too-long" : varint.push(byte);
      if (value === "too-long") throw malformed("a bad varint");
      if (value !== undefined) return value;
    }
  }
}

function malformed(what: string): PeerError {
  return new PeerError(`read InvokeMetadata: ${what}: should be entries of a key and a value`);
}
