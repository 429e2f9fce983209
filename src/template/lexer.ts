import { badByte, type Source, type Span } from "./source.ts";

/**
 * What a token is. Operators and brackets are their own text; `~}` and a `}` that ends a template sequence are `sequence-end`.
 * A comment to the end of its line is a `newline`, one inside a line is nothing.
 */
export type TokenType =
  | "identifier"
  | "number"
  | "quote-open"
  | "quote-close"
  | "quoted-text"
  | "heredoc-open"
  | "heredoc-close"
  | "heredoc-text"
  | "interpolation"
  | "directive"
  | "sequence-end"
  | "newline"
  | "quoted-newline"
  | "invalid"
  | "bad-utf8"
  | "end"
  | Operator;

/** Longer ones first. The last row is no part of the language; named so that a message can say what was meant. */
const operators = [
  ...(["...", "==", "!=", ">=", "<=", "&&", "||", "::", "=>"] as const),
  ...(["+", "-", "*", "/", "%", "!", "<", ">", "=", "?", ":", ".", ",", "(", ")", "[", "]", "{", "}"] as const),
  ...(["&", "|", "^", "~", ";", "`", "'"] as const),
];
type Operator = (typeof operators)[number];

export interface Token extends Span {
  readonly type: TokenType;
}

/** Where the scanner stands: in a quoted string, a heredoc, or an expression inside one of them. */
type Mode =
  | { kind: "quoted" }
  | { kind: "heredoc"; marker: string; lineStart: boolean }
  | { kind: "sequence"; braces: number };

const identifier = /[\p{ID_Start}_][\p{ID_Continue}-]*/uy;
/** Too much on purpose: `1.2.3` is one wrong number, not three things. */
const number = /\d[\d.]*(?:[eE][+-]?\d[\d.]*)*/y;
const heredocOpen = /<<-?([\p{ID_Start}_][\p{ID_Continue}-]*)\r?\n/uy;
const blanks = /[ \t]+/y;
/** Runs of text that hold nothing special. */
const quotedRun = /[^"\\$%\r\n\udfff]+/y;
const heredocRun = /[^$%\r\n\udfff]+/y;

/** Cuts native syntax into tokens (spec/04 §8.2). Accepts any text; what is wrong becomes a token. Linear in the text. */
export function scan(source: Source): Token[] {
  return new Scanner(source.text).run();
}

class Scanner {
  readonly #tokens: Token[] = [];
  readonly #modes: Mode[] = [];
  #at = 0;
  /** Known once a search for the end of a block comment has failed: no later one can succeed. */
  #noCommentEnd = false;

  constructor(readonly text: string) {}

  run(): Token[] {
    while (this.#at < this.text.length) {
      const mode = this.#modes.at(-1);
      if (mode?.kind === "quoted") this.#quoted();
      else if (mode?.kind === "heredoc") this.#heredoc(mode);
      else this.#expression(mode);
    }
    this.#emit("end", 0);
    return this.#tokens;
  }

  #emit(type: TokenType, length: number): void {
    this.#tokens.push({ type, start: this.#at, end: this.#at + length });
    this.#at += length;
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    return pattern.exec(this.text);
  }

  #starts(text: string): boolean {
    return this.text.startsWith(text, this.#at);
  }

  #expression(sequence: { braces: number } | undefined): void {
    const { text } = this;
    const char = text[this.#at] as string;
    if (char === " " || char === "\t") {
      this.#at += this.#match(blanks)?.[0].length ?? 1;
    } else if (char === "\n") this.#emit("newline", 1);
    else if (this.#starts("\r\n")) this.#emit("newline", 2);
    else if (char === "#" || this.#starts("//")) {
      const lineEnd = text.indexOf("\n", this.#at);
      if (lineEnd < 0) this.#at = text.length;
      else this.#emit("newline", lineEnd + 1 - this.#at);
    } else if (this.#starts("/*") && this.#blockComment()) return;
    else if (char === '"') {
      this.#emit("quote-open", 1);
      this.#modes.push({ kind: "quoted" });
    } else if (char === "}" && sequence?.braces === 0) this.#endSequence(1);
    else if (this.#starts("~}")) {
      if (sequence?.braces === 0) this.#endSequence(2);
      else {
        // Closes a brace all the same: the parser sees the mistake.
        if (sequence) sequence.braces--;
        this.#emit("sequence-end", 2);
      }
    } else this.#word(char, sequence);
  }

  #word(char: string, sequence: { braces: number } | undefined): void {
    const heredoc = char === "<" ? this.#match(heredocOpen) : null;
    if (heredoc) {
      this.#emit("heredoc-open", heredoc[0].length);
      this.#modes.push({ kind: "heredoc", marker: heredoc[1] ?? "", lineStart: true });
      return;
    }
    const name = this.#match(identifier)?.[0];
    const digits = name === undefined ? this.#match(number)?.[0] : undefined;
    if (name !== undefined) this.#emit("identifier", name.length);
    else if (digits !== undefined) {
      let length = digits.length;
      while (digits[length - 1] === ".") length--;
      this.#emit("number", length);
    } else this.#operator(char, sequence);
  }

  #operator(char: string, sequence: { braces: number } | undefined): void {
    const operator = operators.find((one) => this.#starts(one));
    if (operator) {
      if (sequence && operator === "{") sequence.braces++;
      if (sequence && operator === "}") sequence.braces--;
      this.#emit(operator, operator.length);
    } else if (char === badByte) this.#emit("bad-utf8", 1);
    else this.#emit("invalid", String.fromCodePoint(this.text.codePointAt(this.#at) ?? 0).length);
  }

  #blockComment(): boolean {
    if (this.#noCommentEnd) return false;
    const end = this.text.indexOf("*/", this.#at + 2);
    if (end < 0) this.#noCommentEnd = true;
    else this.#at = end + 2;
    return end >= 0;
  }

  #endSequence(length: number): void {
    this.#modes.pop();
    this.#emit("sequence-end", length);
  }

  #beginSequence(): void {
    const type = this.text[this.#at] === "$" ? "interpolation" : "directive";
    this.#emit(type, this.text[this.#at + 2] === "~" ? 3 : 2);
    this.#modes.push({ kind: "sequence", braces: 0 });
  }

  /** Length of what begins with `$` or `%` and is text: `$${` stands for `${`; 0 where a sequence begins. */
  #sigil(at: number): number {
    const { text } = this;
    if (text[at + 1] === "{") return 0;
    return text[at + 1] === text[at] && text[at + 2] === "{" ? 3 : 1;
  }

  #quoted(): void {
    const { text } = this;
    const end = this.#textEnd(quotedRun, (char, at) => {
      if (char === "$" || char === "%") return this.#sigil(at);
      if (char !== "\\") return 0;
      const next = text.codePointAt(at + 1);
      if (next === undefined || text[at + 1] === "\n" || text[at + 1] === "\r") return 0;
      return next > 0xffff ? 3 : 2;
    });
    const char = text[this.#at];
    if (end > this.#at) this.#emit("quoted-text", end - this.#at);
    else if (char === '"') {
      this.#modes.pop();
      this.#emit("quote-close", 1);
    } else if (char === "$" || char === "%") this.#beginSequence();
    else if (char === "\n" || char === "\r") this.#emit("quoted-newline", this.#match(/[\r\n]+/y)?.[0].length ?? 1);
    else this.#emit(char === badByte ? "bad-utf8" : "invalid", 1);
  }

  #heredoc(mode: { marker: string; lineStart: boolean }): void {
    const { text } = this;
    const textEnd = this.#textEnd(heredocRun, (char, at) => (char === "$" || char === "%" ? this.#sigil(at) : 0));
    const carriage = text.startsWith("\r\n", textEnd) ? 1 : 0;
    const end = textEnd + carriage;
    const lineStart = mode.lineStart;
    mode.lineStart = text[end] === "\n";
    if (mode.lineStart && lineStart && text.slice(this.#at, end).trim() === mode.marker) {
      this.#modes.pop();
      this.#emit("heredoc-close", end - carriage - this.#at);
      this.#emit("newline", 1 + carriage);
    } else if (mode.lineStart) this.#emit("heredoc-text", end + 1 - this.#at);
    else if (end > this.#at) this.#emit("heredoc-text", end - this.#at);
    else if (text[end] === badByte) this.#emit("bad-utf8", 1);
    else if (text[end] === "\r") this.#emit("invalid", 1);
    else this.#beginSequence();
  }

  /** The end of the text that begins here: runs without special characters, and what `special` says is text all the same. */
  #textEnd(run: RegExp, special: (char: string, at: number) => number): number {
    let at = this.#at;
    for (;;) {
      run.lastIndex = at;
      at += run.exec(this.text)?.[0].length ?? 0;
      const char = this.text[at];
      const length = char === undefined ? 0 : special(char, at);
      if (length === 0) return at;
      at += length;
    }
  }
}
