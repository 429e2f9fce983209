import { createHash, randomBytes } from "node:crypto";

/** [0, 1) with 48 bits from the system's generator: good enough for keys, unlike Math.random. */
export const secureRandom = (): number => randomBytes(6).readUIntBE(0, 6) / 2 ** 48;

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** Ids and secrets out of one source of chance, so that a test can fix them. */
export class Chance {
  constructor(readonly random: () => number) {}

  /** A random UUID (version 4), lower case. */
  uuid(): string {
    const bytes = Array.from({ length: 16 }, () => Math.floor(this.random() * 256));
    bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
    bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
    const hex = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }

  /** Letters and digits, drawn uniformly (spec/01 §1.7). */
  word(length: number): string {
    let word = "";
    while (word.length < length) word += alphabet[Math.floor(this.random() * alphabet.length)];
    return word;
  }

  /** A user's session token: ten characters, a hyphen, twenty-two (spec/01 §1.3). */
  sessionToken(): string {
    return `${this.word(10)}-${this.word(22)}`;
  }
}

/** SHA-256 in hex: how keys, tokens and files are kept and found (spec/01 §1.7, spec/02 §5.9). */
export const sha256 = (data: Uint8Array | string): string => createHash("sha256").update(data).digest("hex");

/** UUID text in any letter case. */
export const isUuid = (text: string): boolean =>
  /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text);
