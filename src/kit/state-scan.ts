/** Nesting beyond this is refused: Go's own JSON reader stops there, so no engine can have written it. */
const maxDepth = 10_000;
/** A `version`, `serial` or `lineage` longer than this many bytes is no such thing. */
const maxScalarBytes = 1024;

/** What the top level of a state tells about it. */
export interface StateHead {
  version: number | undefined;
  /** Grows with each write of one lineage; undefined where the state is encrypted or does not say. */
  serial: number | undefined;
  lineage: string | undefined;
  /** OpenTofu's state encryption: nothing else can be known about it (spec/03 §9.8). */
  encrypted: boolean;
}

/**
 * Reads a state without building a tree: memory is bounded whatever the bytes are, and every byte is looked at once.
 * Undefined unless the bytes are one well-formed JSON object that has a numeric `version` and a `lineage`, or
 * `encrypted_data` (spec/03 §3.7, §9.8).
 */
export function scanState(bytes: Uint8Array): StateHead | undefined {
  const head: StateHead = { version: undefined, serial: undefined, lineage: undefined, encrypted: false };
  const wellFormed = scanObject(bytes, (name, start, end) => {
    if (name === "encrypted_data") head.encrypted = true;
    else if (name === "version") head.version = numberIn(bytes, start, end);
    else if (name === "serial") head.serial = numberIn(bytes, start, end);
    else if (name === "lineage") head.lineage = textIn(bytes, start, end);
  });
  if (!wellFormed) return undefined;
  return head.encrypted || (head.version !== undefined && head.lineage) ? head : undefined;
}

/**
 * Walks one JSON object and calls back with each top-level member and the place of its value, end exclusive.
 * False when the bytes are not exactly one well-formed object; members met before the damage were reported by then.
 */
export function scanObject(bytes: Uint8Array, onMember: (name: string, start: number, end: number) => void): boolean {
  const inObject = new Uint8Array(maxDepth + 1);
  let depth = 0;
  let expect: "value" | "value or ]" | "key" | "key or }" | ", or end" = "value";
  let at = skipSpace(bytes, 0);
  if (bytes[at] !== brace) return false;
  let name = "";
  let start = 0;
  for (;;) {
    at = skipSpace(bytes, at);
    const byte = bytes[at];
    if (byte === undefined) return false;
    if (expect === "key" || expect === "key or }") {
      if (byte === braceEnd && expect === "key or }") {
        depth--;
        at++;
      } else {
        const end = byte === quote ? stringEnd(bytes, at) : -1;
        if (end < 0) return false;
        if (depth === 1) name = textIn(bytes, at, end) ?? "";
        at = skipSpace(bytes, end);
        if (bytes[at++] !== colon) return false;
        at = skipSpace(bytes, at);
        if (depth === 1) start = at;
        expect = "value";
        continue;
      }
    } else if (expect === ", or end") {
      if (byte === comma) {
        expect = inObject[depth] ? "key" : "value";
        at++;
        continue;
      }
      if (byte !== (inObject[depth] ? braceEnd : bracketEnd)) return false;
      depth--;
      at++;
    } else if (byte === bracketEnd && expect === "value or ]") {
      depth--;
      at++;
    } else if (byte === brace || byte === bracket) {
      if (++depth > maxDepth) return false;
      inObject[depth] = byte === brace ? 1 : 0;
      expect = byte === brace ? "key or }" : "value or ]";
      at++;
      continue;
    } else {
      at = byte === quote ? stringEnd(bytes, at) : scalarEnd(bytes, at);
      if (at < 0) return false;
    }
    if (depth === 0) return skipSpace(bytes, at) === bytes.length;
    if (depth === 1) onMember(name, start, at);
    expect = ", or end";
  }
}

const [brace, braceEnd, bracket, bracketEnd] = [0x7b, 0x7d, 0x5b, 0x5d];
const [quote, backslash, colon, comma] = [0x22, 0x5c, 0x3a, 0x2c];
const number = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const latin = new TextDecoder("latin1");
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

function skipSpace(bytes: Uint8Array, from: number): number {
  let at = from;
  for (let byte = bytes[at]; byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09; byte = bytes[at]) at++;
  return at;
}

/** The place after the string that begins at `from`, or -1 where it is none. */
function stringEnd(bytes: Uint8Array, from: number): number {
  for (let at = from + 1; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (byte === quote) return at + 1;
    if (byte < 0x20) return -1;
    if (byte === backslash && ++at < bytes.length) {
      const escaped = String.fromCharCode(bytes[at] as number);
      if (escaped === "u") {
        if (!/^[0-9a-fA-F]{4}$/.test(latin.decode(bytes.subarray(at + 1, at + 5)))) return -1;
        at += 4;
      } else if (!'"\\/bfnrt'.includes(escaped)) return -1;
    }
  }
  return -1;
}

/** The place after the number, true, false or null that begins at `from`, or -1 where there is none. */
function scalarEnd(bytes: Uint8Array, from: number): number {
  let at = from;
  // Letters, digits, sign and point: whatever a scalar may hold, and no more of it than one can need.
  for (let byte = bytes[at]; byte !== undefined && at - from <= maxScalarBytes; byte = bytes[++at]) {
    const inside = (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x7a) || byte === 0x45;
    if (!inside && byte !== 0x2b && byte !== 0x2d && byte !== 0x2e) break;
  }
  const text = latin.decode(bytes.subarray(from, at));
  return text === "true" || text === "false" || text === "null" || number.test(text) ? at : -1;
}

function numberIn(bytes: Uint8Array, start: number, end: number): number | undefined {
  const text = end - start <= maxScalarBytes ? latin.decode(bytes.subarray(start, end)) : "";
  return number.test(text) ? Number(text) : undefined;
}

function textIn(bytes: Uint8Array, start: number, end: number): string | undefined {
  if (bytes[start] !== quote || end - start > maxScalarBytes) return undefined;
  return JSON.parse(utf8.decode(bytes.subarray(start, end))) as string;
}
