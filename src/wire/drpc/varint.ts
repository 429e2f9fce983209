/** The biggest encoding of a 64-bit value (spec/01 §4.2). */
export const maxVarintBytes = 10;

/** A value as base-128 groups, least significant first (spec/01 §4.2). */
export function encodeVarint(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return bytes;
}

/** Decodes a varint byte by byte. Longer encodings than necessary are accepted. */
export class VarintReader {
  #value = 0n;
  #bytes = 0;

  /** Takes one byte; the value with its last one, undefined before, "too-long" when the tenth byte is not the last. */
  push(byte: number): bigint | undefined | "too-long" {
    this.#value |= BigInt(byte & 0x7f) << BigInt(7 * this.#bytes);
    this.#bytes++;
    if (byte & 0x80) return this.#bytes === maxVarintBytes ? "too-long" : undefined;
    const value = BigInt.asUintN(64, this.#value);
    this.#value = 0n;
    this.#bytes = 0;
    return value;
  }
}
