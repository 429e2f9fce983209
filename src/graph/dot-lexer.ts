import { GraphError } from "./errors.ts";

/** `->` stands for `--` too: in this reader the two mean the same. */
export type TokenKind = "id" | "->" | "{" | "}" | "[" | "]" | "=" | ";" | "," | "end";

const punctuation = new Set(["{", "}", "[", "]", "=", ";", ","]);

/** Cuts DOT text into tokens, always one ahead: `kind` and `text` are the token that comes next (spec/04 §1.5). */
export class DotLexer {
  kind: TokenKind = "end";
  /** The name, for an id: without quotes, its escapes as they are. */
  text = "";
  #quoted = false;
  #start = 0;
  #at = 0;

  /** @throws GraphError `parse_graph`, as do all methods that move on */
  constructor(private readonly source: string) {
    this.next();
  }

  /** Moves on if the token is of this kind. */
  take(kind: TokenKind): boolean {
    if (this.kind !== kind) return false;
    this.next();
    return true;
  }

  /** Moves on if the token is this keyword, in any case and not in quotes. */
  takeWord(word: string): boolean {
    if (this.kind !== "id" || this.#quoted || this.text.length !== word.length) return false;
    if (this.text.toLowerCase() !== word) return false;
    this.next();
    return true;
  }

  expect(kind: TokenKind): void {
    if (!this.take(kind)) this.fail(`expected "${kind}"`);
  }

  /** The name that comes next. */
  id(): string {
    const text = this.text;
    if (!this.take("id")) this.fail("expected a name");
    return text;
  }

  fail(what: string): never {
    const near = this.kind === "end" ? "the end" : JSON.stringify(this.source.slice(this.#start, this.#start + 20));
    throw new GraphError("parse_graph", `parse graph: line ${this.#line()}, at ${near}: ${what}`);
  }

  next(): void {
    this.#skipBlanks();
    this.#start = this.#at;
    const source = this.source;
    const char = source[this.#at];
    if (char === undefined) this.kind = "end";
    else if (char === '"') this.#readQuoted();
    else if (punctuation.has(char)) {
      this.kind = char as TokenKind;
      this.#at++;
    } else if (char === "-" && (source[this.#at + 1] === ">" || source[this.#at + 1] === "-")) {
      this.kind = "->";
      this.#at += 2;
    } else this.#readBare();
  }

  #readQuoted(): void {
    const source = this.source;
    let end = this.#at + 1;
    while (end < source.length && source[end] !== '"') end += source[end] === "\\" ? 2 : 1;
    if (end >= source.length) this.#refuse("a quoted name does not end");
    this.kind = "id";
    this.#quoted = true;
    this.text = source.slice(this.#at + 1, end);
    this.#at = end + 1;
  }

  /** An identifier, which does not begin with a digit, or a numeral. */
  #readBare(): void {
    const source = this.source;
    let end = this.#at;
    if (isLetter(source.charCodeAt(end))) {
      while (isLetter(source.charCodeAt(end)) || isDigit(source.charCodeAt(end))) end++;
    } else {
      if (source[end] === "-") end++;
      const first = end;
      let dots = 0;
      for (; isDigit(source.charCodeAt(end)) || (source[end] === "." && dots === 0); end++) {
        if (source[end] === ".") dots++;
      }
      if (end - first === dots) this.#refuse("unexpected character");
    }
    this.kind = "id";
    this.#quoted = false;
    this.text = source.slice(this.#at, end);
    this.#at = end;
  }

  #skipBlanks(): void {
    const source = this.source;
    for (;;) {
      const char = source[this.#at];
      if (char === " " || char === "\t" || char === "\n" || char === "\r") this.#at++;
      else if (char === "/" && source[this.#at + 1] === "/") this.#skipLine();
      else if (char === "/" && source[this.#at + 1] === "*") this.#skipComment();
      else if (char === "#" && this.#beginsLine()) this.#skipLine();
      else return;
    }
  }

  #skipLine(): void {
    const end = this.source.indexOf("\n", this.#at);
    this.#at = end < 0 ? this.source.length : end;
  }

  #skipComment(): void {
    const end = this.source.indexOf("*/", this.#at + 2);
    if (end < 0) this.#refuse("a comment does not end");
    this.#at = end + 2;
  }

  #beginsLine(): boolean {
    return this.#at === 0 || this.source[this.#at - 1] === "\n";
  }

  #refuse(what: string): never {
    this.#start = this.#at;
    this.kind = "id";
    this.fail(what);
  }

  #line(): number {
    let line = 1;
    for (let at = this.source.indexOf("\n"); at >= 0 && at < this.#start; at = this.source.indexOf("\n", at + 1))
      line++;
    return line;
  }
}

function isDigit(unit: number): boolean {
  return unit >= 0x30 && unit <= 0x39;
}

/** ASCII letters, `_`, and everything beyond ASCII. */
function isLetter(unit: number): boolean {
  return (unit >= 0x61 && unit <= 0x7a) || (unit >= 0x41 && unit <= 0x5a) || unit === 0x5f || unit >= 0x80;
}
