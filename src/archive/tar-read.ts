import { JobError } from "../kit/errors.ts";

/** One entry of a tar, its name as it stands there: not yet judged. */
export interface TarEntry {
  name: string;
  /** `other` is whatever is neither: links, devices, FIFOs, sparse files, unknown types. */
  kind: "file" | "folder" | "other";
  /** Permission bits of the header, setuid and the like included. */
  mode: number;
  /** Content of a file, a view into the archive; empty for all else. */
  data: Uint8Array;
}

const block = 512;
/** Biggest PAX or long-name record: as in Go's archive/tar, whose archives these are. */
const maxRecordBytes = 1 << 20;

/**
 * Reads an uncompressed tar in memory: v7, ustar, PAX, GNU long names. The end without the two zero blocks is accepted
 * (spec/03 §1.3). Throws a JobError that names the damage and its place.
 *
 * Own code, not node-tar: that one accepts an archive cut inside a header, splits PAX values at line feeds and ignores
 * records it can't read, so that it may see other names than the control plane's Go reader did. Tests use it as oracle.
 */
export function* readTar(tar: Uint8Array): Generator<TarEntry> {
  const bytes = Buffer.from(tar.buffer, tar.byteOffset, tar.byteLength);
  let at = 0;
  const damaged = (what: string) => new JobError(`read archive: damaged at byte ${at}: ${what}`);
  let longName: string | undefined;
  let pax: Map<string, string> | undefined;

  while (at < bytes.length) {
    if (bytes.length - at < block) throw damaged("the archive ends inside a header");
    const header = bytes.subarray(at, at + block);
    if (isZero(header)) {
      const second = bytes.subarray(at + block, at + 2 * block);
      if (!isZero(second)) throw damaged("data after a zero block");
      break;
    }
    if (!checksumMatches(header)) throw damaged("the checksum of a header is wrong");
    const type = String.fromCharCode(header[156] as number);
    const isMeta = "xgLK".includes(type);
    const paxSize = isMeta ? undefined : pax?.get("size");
    const size = paxSize === undefined ? number(header, 124, 12) : decimal(paxSize);
    const mode = number(header, 100, 8);
    if (size === undefined) throw damaged("the size in a header is no number");
    if (mode === undefined) throw damaged("the mode in a header is no number");
    // Links, devices, folders and FIFOs have no body, whatever their size says (Go's archive/tar).
    const bodyBytes = "123456".includes(type) ? 0 : size;
    const start = at + block;
    if (bodyBytes > bytes.length - start) throw damaged(`a body of ${bodyBytes} bytes goes past the end`);
    const body = bytes.subarray(start, start + bodyBytes);

    if (isMeta) {
      if (bodyBytes > maxRecordBytes) throw damaged(`an extended header of ${bodyBytes} bytes, more than 1 MiB`);
      if (type === "L") longName = text(body, 0, bodyBytes);
      if (type === "x") {
        pax = paxRecords(body);
        if (!pax) throw damaged("an extended header can't be read");
      }
    } else {
      const name = pax?.get("path") || (longName ?? ustarName(header));
      if (name === undefined) throw damaged("a name is not UTF-8");
      const isSparse = type === "S" || [...(pax?.keys() ?? [])].some((key) => key.startsWith("GNU.sparse."));
      const kind = isSparse ? "other" : kindOf(type, name);
      yield { name, kind, mode: mode & 0o7777, data: kind === "file" ? body : bytes.subarray(0, 0) };
      longName = undefined;
      pax = undefined;
    }
    at = start + Math.ceil(bodyBytes / block) * block;
  }
  if (longName !== undefined || pax) throw damaged("the archive ends after an extended header");
}

function kindOf(type: string, name: string): TarEntry["kind"] {
  if (type === "5") return "folder";
  if (type === "\0") return name.endsWith("/") ? "folder" : "file";
  return type === "0" ? "file" : "other";
}

const isZero = (bytes: Uint8Array) => bytes.every((byte) => byte === 0);

/** Sum of all header bytes with the checksum field as blanks; old writers summed signed bytes. */
function checksumMatches(header: Buffer): boolean {
  let unsigned = 0;
  let signed = 0;
  for (let i = 0; i < block; i++) {
    const byte = i >= 148 && i < 156 ? 0x20 : (header[i] as number);
    unsigned += byte;
    signed += (byte << 24) >> 24;
  }
  const sum = number(header, 148, 8);
  return sum === unsigned || sum === signed;
}

/** A numeric field: octal text, or base 256 with the top bit set. Undefined where it is neither or not a safe integer. */
function number(header: Buffer, offset: number, length: number): number | undefined {
  const field = header.subarray(offset, offset + length);
  const first = field[0] as number;
  if (first & 0x80) {
    if (first & 0x40) return undefined;
    let value = first & 0x3f;
    for (let i = 1; i < length; i++) value = value * 256 + (field[i] as number);
    return Number.isSafeInteger(value) ? value : undefined;
  }
  const digits = field.toString("latin1").replace(/^[ \0]+|[ \0]+$/g, "");
  if (digits === "") return 0;
  return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : undefined;
}

function decimal(digits: string): number | undefined {
  const value = /^\d{1,16}$/.test(digits) ? Number(digits) : Number.NaN;
  return Number.isSafeInteger(value) ? value : undefined;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Text up to the first NUL, or undefined where it isn't UTF-8. */
function text(bytes: Buffer, offset: number, length: number): string | undefined {
  const field = bytes.subarray(offset, offset + length);
  const end = field.indexOf(0);
  try {
    return utf8.decode(end < 0 ? field : field.subarray(0, end));
  } catch {
    return undefined;
  }
}

function ustarName(header: Buffer): string | undefined {
  const name = text(header, 0, 100);
  // GNU's magic has a blank here and uses the prefix field for other things.
  const prefix = header.toString("latin1", 257, 263) === "ustar\0" ? text(header, 345, 155) : "";
  if (name === undefined || prefix === undefined) return undefined;
  return prefix === "" ? name : `${prefix}/${name}`;
}

/** Records `<length> <key>=<value>\n`, where the length counts itself; undefined for anything else. */
function paxRecords(body: Buffer): Map<string, string> | undefined {
  const records = new Map<string, string>();
  for (let at = 0; at < body.length; ) {
    const blank = body.indexOf(0x20, at);
    const length = blank < 0 ? undefined : decimal(body.toString("latin1", at, Math.min(blank, at + 17)));
    if (length === undefined || at + length > body.length || body[at + length - 1] !== 0x0a) return undefined;
    const end = at + length - 1;
    const equals = body.indexOf(0x3d, blank);
    if (equals <= blank + 1 || equals >= end) return undefined;
    const key = body.toString("utf8", blank + 1, equals);
    const value = body.subarray(equals + 1, end);
    if (key === "path") {
      const path = value.includes(0) ? undefined : text(value, 0, value.length);
      if (path === undefined) return undefined;
      records.set(key, path);
    } else {
      records.set(key, value.toString("latin1"));
    }
    at += length;
  }
  return records;
}
