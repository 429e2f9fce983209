import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";

/**
 * A key that signs as a provider's publisher does: OpenPGP v4, RSA, SHA-256 (RFC 4880 §5.2, §5.5). No more than
 * Terraform reads.
 */
export interface PgpKey {
  /** As registries name it: the last eight bytes of the fingerprint, upper-case hex. */
  keyId: string;
  /** The armoured public key. */
  armor: string;
  /** A detached binary signature. */
  sign(document: Uint8Array): Buffer;
}

const created = u32(1_700_000_000);

export function makePgpKey(userId: string): PgpKey {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const { n = "", e = "" } = createPublicKey(privateKey).export({ format: "jwk" });
  const body = Buffer.concat([
    Buffer.of(4),
    created,
    Buffer.of(1),
    mpi(Buffer.from(n, "base64url")),
    mpi(Buffer.from(e, "base64url")),
  ]);
  const framed = Buffer.concat([Buffer.of(0x99), u16(body.length), body]);
  const keyId = createHash("sha1").update(framed).digest().subarray(-8);
  const user = Buffer.from(userId);
  const certified = Buffer.concat([framed, Buffer.of(0xb4), u32(user.length), user]);
  // Key flags: certify and sign.
  const self = signature(privateKey, keyId, 0x13, certified, [subpacket(27, Buffer.of(3))]);
  const block = Buffer.concat([packet(6, body), packet(13, user), self]).toString("base64");
  return {
    keyId: keyId.toString("hex").toUpperCase(),
    armor: `-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n${block.replaceAll(/.{64}/g, "$&\n")}\n-----END PGP PUBLIC KEY BLOCK-----\n`,
    sign: (document) => signature(privateKey, keyId, 0x00, document),
  };
}

function signature(key: KeyObject, keyId: Buffer, type: number, data: Uint8Array, more: Buffer[] = []): Buffer {
  const hashed = Buffer.concat([subpacket(2, created), ...more]);
  const head = Buffer.concat([Buffer.of(4, type, 1, 8), u16(hashed.length), hashed]);
  const signed = Buffer.concat([data, head, Buffer.of(4, 0xff), u32(head.length)]);
  const unhashed = subpacket(16, keyId);
  const check = createHash("sha256").update(signed).digest().subarray(0, 2);
  return packet(2, Buffer.concat([head, u16(unhashed.length), unhashed, check, mpi(sign("sha256", signed, key))]));
}

function packet(tag: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.of(0xc0 | tag, 0xff), u32(body.length), body]);
}

function subpacket(type: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.of(body.length + 1, type), body]);
}

function mpi(value: Buffer): Buffer {
  const bytes = value.subarray(value.findIndex((byte) => byte !== 0));
  return Buffer.concat([u16(bytes.length * 8 - Math.clz32(bytes[0] ?? 0) + 24), bytes]);
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
