import { GraphError } from "./errors.ts";
import { limits } from "./limits.ts";

/** An object is a Map, so that `__proto__` is a key like any other. Of equal keys the last counts. */
export type JsonObject = Map<string, Json>;
/** A value out of a document. A Span is one that was checked but not built. */
export type Json = null | boolean | number | string | Json[] | JsonObject | Span;

/** Where a checked value lies in its document: kept for later, at the cost of two integers. */
export class Span {
  constructor(
    readonly start: number,
    readonly end: number,
  ) {}
}

/**
 * What to keep of a value. `whole`: all of it. `later`: check it and keep a Span. `object`: the same, for an object.
 * `string`: a string. The other two name what to keep inside an object or an array; members that are not named are checked
 * and dropped. All but `whole` and `later` refuse every other value, except null.
 */
export type Shape =
  | "whole"
  | "later"
  | "object"
  | "string"
  | { readonly members: ReadonlyMap<string, Shape> }
  | { readonly items: Shape };

/** How many values may still be kept; one budget for all that is read out of one document. */
export interface Budget {
  left: number;
}

/** A container that is being read: its value so far, and the member that comes next. */
interface Frame {
  readonly shape: Exclude<Shape, string> | "whole";
  readonly value: Json[] | JsonObject;
  key: string;
}

const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const openBracket = 0x5b;
const backslash = 0x5c;
const closeBracket = 0x5d;
const letterN = 0x6e;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const numberText = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$/;
/** A double has 17 significant digits; longer numbers than this are noise, and a pattern over megabytes of it may fail. */
const maxNumberChars = 4096;

/**
 * Reads the one JSON value that fills `where`, keeping what `shape` names. Time is linear; memory is bounded by `budget` and
 * the text kept; nothing recurses. (`JSON.parse` builds everything: 43 s and 3 GB for 100 MB of `[{},{},…]`.)
 * Bad UTF-8 and lone surrogates become U+FFFD.
 * @throws GraphError `parse_json`, `too_big`
 */
export function readJson(bytes: Uint8Array, shape: Shape, budget: Budget, where = new Span(0, bytes.length)): Json {
  return new Reader(bytes, where, budget).document(shape);
}

class Reader {
  readonly #bytes: Buffer;
  readonly #end: number;
  readonly #budget: Budget;
  #at: number;

  constructor(bytes: Uint8Array, where: Span, budget: Budget) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = where.start;
    this.#end = where.end;
    this.#budget = budget;
  }

  document(shape: Shape): Json {
    const value = this.#read(shape);
    if (this.#peek() !== undefined) this.#fail("expected the end of the document");
    return value;
  }

  #read(root: Shape): Json {
    const frames: Frame[] = [];
    let shape: Shape | undefined = root;
    for (;;) {
      let value = this.#begin(shape, frames);
      // A complete value goes into its container, and completes those that end with it.
      while (value !== undefined) {
        const frame = frames.at(-1);
        if (!frame) return value;
        if (Array.isArray(frame.value)) frame.value.push(value);
        else if (memberShape(frame)) frame.value.set(frame.key, value);
        value = this.#goesOn(frame) ? undefined : frames.pop()?.value;
      }
      shape = memberShape(frames.at(-1) as Frame);
    }
  }

  /** A complete value, or undefined after opening a container that holds something. */
  #begin(shape: Shape | undefined, frames: Frame[]): Json | undefined {
    const first = this.#peek();
    if (shape === undefined) {
      this.#skip(frames.length);
      return null;
    }
    if (--this.#budget.left < 0) {
      throw new GraphError("too_big", `read JSON: more than ${limits.jsonValues} values that matter`);
    }
    const start = this.#at;
    if (shape === "later") {
      this.#skip(frames.length);
      return first === letterN ? null : new Span(start, this.#at);
    }
    if (first === letterN) return this.#scalar();
    if (shape === "string") return first === quote ? this.#string() : this.#fail("expected a string");
    if (shape === "object") {
      if (first !== openBrace) this.#fail("expected an object");
      this.#skip(frames.length);
      return new Span(start, this.#at);
    }
    if (shape !== "whole") {
      if ("items" in shape && first !== openBracket) this.#fail("expected an array");
      if ("members" in shape && first !== openBrace) this.#fail("expected an object");
    } else if (first === quote) return this.#string();
    else if (first !== openBrace && first !== openBracket) return this.#scalar();

    this.#checkDepth(frames.length);
    this.#at++;
    const frame: Frame = { shape, value: first === openBrace ? new Map() : [], key: "" };
    if (this.#peek() === closerOf(frame.value)) {
      this.#at++;
      return frame.value;
    }
    if (!Array.isArray(frame.value)) frame.key = this.#key();
    frames.push(frame);
    return undefined;
  }

  /** After a member: true when another follows, with its key read; false when the container ends. */
  #goesOn(frame: Frame): boolean {
    const isArray = Array.isArray(frame.value);
    if (!this.#separated(closerOf(frame.value))) return false;
    if (!isArray) frame.key = this.#key();
    return true;
  }

  /** Checks the grammar of one value and moves behind it. */
  #skip(depth: number): void {
    const closers: number[] = [];
    for (;;) {
      const first = this.#peek();
      if (first === openBrace || first === openBracket) {
        this.#checkDepth(depth + closers.length);
        this.#at++;
        const closer = first === openBrace ? closeBrace : closeBracket;
        if (this.#peek() !== closer) {
          closers.push(closer);
          if (closer === closeBrace) this.#skipKey();
          continue;
        }
        this.#at++;
      } else if (first === quote) this.#skipString();
      else this.#scalar();
      for (;;) {
        const closer = closers.at(-1);
        if (closer === undefined) return;
        if (this.#separated(closer)) {
          if (closer === closeBrace) this.#skipKey();
          break;
        }
        closers.pop();
      }
    }
  }

  /** Reads a comma (true) or the closer (false). */
  #separated(closer: number): boolean {
    const next = this.#peek();
    if (next !== comma && next !== closer) this.#fail(`expected "," or "${String.fromCharCode(closer)}"`);
    this.#at++;
    return next === comma;
  }

  #key(): string {
    if (this.#peek() !== quote) this.#fail("expected a quoted key");
    const key = this.#string();
    this.#colon();
    return key;
  }

  #skipKey(): void {
    if (this.#peek() !== quote) this.#fail("expected a quoted key");
    this.#skipString();
    this.#colon();
  }

  #colon(): void {
    if (this.#peek() !== colon) this.#fail('expected ":"');
    this.#at++;
  }

  #string(): string {
    const start = this.#at;
    const escaped = this.#skipString();
    if (!escaped) return this.#bytes.toString("utf8", start + 1, this.#at - 1);
    // The grammar has been checked, so JSON.parse only decodes the escapes.
    return (JSON.parse(this.#bytes.toString("utf8", start, this.#at)) as string).toWellFormed();
  }

  /** Moves behind a string; true when it holds an escape. */
  #skipString(): boolean {
    const bytes = this.#bytes;
    let escaped = false;
    let at = this.#at + 1;
    for (; at < this.#end; at++) {
      const byte = bytes[at] as number;
      if (byte === quote) {
        this.#at = at + 1;
        return escaped;
      }
      if (byte === backslash) {
        escaped = true;
        at++;
        if (at >= this.#end) break;
        if (bytes[at] === 0x75) {
          for (let digit = 0; digit < 4; digit++) {
            at++;
            if (at >= this.#end || !isHex(bytes[at] as number)) return this.#failAt(at, "expected four hex digits");
          }
        } else if (!isEscape(bytes[at] as number)) return this.#failAt(at, "unknown escape in a string");
      } else if (byte < 0x20) return this.#failAt(at, "control character in a string");
    }
    return this.#failAt(this.#end, "string does not end");
  }

  #scalar(): null | boolean | number {
    const start = this.#at;
    let end = start;
    while (end < this.#end && isScalar(this.#bytes[end] as number)) end++;
    if (end - start > maxNumberChars) return this.#fail("number is too long");
    const text = this.#bytes.toString("latin1", start, end);
    this.#at = end;
    if (text === "null") return null;
    if (text === "true") return true;
    if (text === "false") return false;
    return numberText.test(text) ? Number(text) : this.#failAt(start, "expected a value");
  }

  /** The next byte that is not white space; undefined at the end. */
  #peek(): number | undefined {
    for (; this.#at < this.#end; this.#at++) {
      const byte = this.#bytes[this.#at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte;
    }
    return undefined;
  }

  #checkDepth(depth: number): void {
    if (depth >= limits.jsonDepth) {
      throw new GraphError("too_big", `read JSON: nested more than ${limits.jsonDepth} deep at byte ${this.#at}`);
    }
  }

  #fail(what: string): never {
    return this.#failAt(this.#at, what);
  }

  #failAt(at: number, what: string): never {
    throw new GraphError("parse_json", `read JSON at byte ${at}: ${at >= this.#end ? "unexpected end" : what}`);
  }
}

/** The shape of the member that comes next in a container; undefined where nothing of it is kept. */
function memberShape(frame: Frame): Shape | undefined {
  if (frame.shape === "whole") return "whole";
  return "items" in frame.shape ? frame.shape.items : frame.shape.members.get(frame.key);
}

function closerOf(value: Json[] | JsonObject): number {
  return Array.isArray(value) ? closeBracket : closeBrace;
}

/** Letters, digits, and the signs of a number: all that a word or a number may consist of. */
function isScalar(byte: number): boolean {
  return (
    (byte >= 0x61 && byte <= 0x7a) ||
    (byte >= 0x30 && byte <= 0x39) ||
    byte === 0x2d ||
    byte === 0x2b ||
    byte === 0x2e ||
    byte === 0x45
  );
}

function isHex(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66);
}

/** `"`, `\`, `/`, b, f, n, r, t. */
function isEscape(byte: number): boolean {
  return '"\\/bfnrt'.includes(String.fromCharCode(byte));
}
