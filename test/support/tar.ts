/** An entry of a tar for tests: any name and type, however hostile. */
export interface TarSpec {
  name: string;
  /** Type flag; "0", a regular file, by default. */
  type?: string;
  mode?: number;
  data?: Uint8Array | string;
  linkTarget?: string;
  /** The ustar prefix field. */
  prefix?: string;
  /** Text for the size field in place of the true one. */
  size?: string;
}

/** An uncompressed tar, written by nothing that the product uses. `end` is how many zero blocks close it. */
export function tarOf(specs: TarSpec[], end = 2): Buffer {
  return Buffer.concat([...specs.map(entryOf), Buffer.alloc(512 * end)]);
}

function entryOf({ name, type = "0", mode = 0o644, data = "", linkTarget = "", prefix = "", size }: TarSpec): Buffer {
  const body = typeof data === "string" ? Buffer.from(data) : Buffer.from(data);
  const header = Buffer.alloc(512);
  header.write(name, 0, 100);
  header.write(mode.toString(8).padStart(7, "0"), 100);
  header.write("0000000", 108);
  header.write("0000000", 116);
  header.write(size ?? body.length.toString(8).padStart(11, "0"), 124, 12, "latin1");
  header.write("14712345670", 136);
  header.write(type, 156, 1, "latin1");
  header.write(linkTarget, 157, 100);
  header.write("ustar\x0000", 257);
  header.write(prefix, 345, 155);
  return Buffer.concat([withChecksum(header), body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
}

/** The header with the checksum that fits it. */
export function withChecksum(header: Buffer): Buffer {
  header.write("        ", 148);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}

/** A PAX record `<length> key=value\n`. */
export function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = Buffer.byteLength(rest) + 1;
  while (String(length).length + Buffer.byteLength(rest) !== length) length++;
  return `${length}${rest}`;
}
