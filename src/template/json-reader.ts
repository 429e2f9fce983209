import { maxDepth } from "./cursor.ts";
import type { Diagnostics } from "./diagnostics.ts";
import type { Source, Span } from "./source.ts";
import type { Expression, ObjectItem } from "./syntax.ts";

const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const stringRun = /[^"\\\u0000-\u001f]*/y;
const keyword = /[A-Za-z_][\w-]*/y;
const blanks = /[ \t\r\n]+/y;

/** Reads a `.tf.json` file with the span of every value. After a mistake the rest is not read. */
export function readJson(source: Source, diagnostics: Diagnostics): Expression {
  const reader = new JsonReader(source, diagnostics);
  const value = reader.document();
  if (value.kind === "object" || value.kind === "tuple") return value;
  const detail =
    "The root value in a JSON-based configuration must be either a JSON object or a JSON array of objects.";
  diagnostics.add(source, value.span, "Root value must be object", detail);
  return { kind: "object", items: [], unique: true, span: value.span };
}

class JsonReader {
  #at = 0;
  #depth = 0;
  #failed = false;

  constructor(
    readonly source: Source,
    readonly diagnostics: Diagnostics,
  ) {}

  document(): Expression {
    const value = this.#value();
    this.#skipBlanks();
    if (!this.#failed && this.#at < this.source.text.length) {
      this.#fail(this.#here(), "Extraneous data after value", "Extra characters appear after the JSON value.");
    }
    return value;
  }

  #value(): Expression {
    this.#skipBlanks();
    const char = this.source.text[this.#at];
    if (char === "{" || char === "[") {
      if (this.#depth >= maxDepth) {
        return this.#fail(this.#here(), "Nesting too deep", `Values may be nested ${maxDepth} levels deep, not more.`);
      }
      this.#depth++;
      const value = char === "{" ? this.#object() : this.#array();
      this.#depth--;
      return value;
    }
    if (char === '"') return this.#string();
    if (char === undefined) {
      return this.#fail(this.#here(), "Missing JSON value", "The JSON data ends prematurely.");
    }
    return this.#scalar();
  }

  #scalar(): Expression {
    const digits = this.#take(number);
    if (digits) return { kind: "number", text: this.source.slice(digits), span: digits };
    const span = this.#take(keyword);
    if (!span) {
      const detail = "A JSON value must start with a brace, a bracket, a number, a string, or a keyword.";
      return this.#fail(this.#here(), "Invalid start of value", detail);
    }
    const word = this.source.slice(span);
    if (word === "true" || word === "false") return { kind: "bool", value: word === "true", span };
    if (word === "null") return { kind: "null", span };
    return this.#fail(span, "Invalid JSON keyword", `"${word}" is not a valid JSON keyword.`);
  }

  #string(): Expression & { kind: "string" | "broken" } {
    const span = this.#quoted();
    if (!span) {
      const detail = "This string is not closed on its line, or holds a control character.";
      return this.#fail(this.#here(), "Invalid JSON string", detail);
    }
    try {
      return { kind: "string", value: (JSON.parse(this.source.slice(span)) as string).toWellFormed(), span };
    } catch {
      return this.#fail(span, "Invalid JSON string", "This string holds an escape that JSON does not have.");
    }
  }

  /** From quote to quote; no escape is checked here. A loop: one pattern for it all could run out of stack. */
  #quoted(): Span | undefined {
    const { text } = this.source;
    const start = this.#at;
    let at = start + 1;
    for (;;) {
      stringRun.lastIndex = at;
      at += stringRun.exec(text)?.[0].length ?? 0;
      if (text[at] === '"') break;
      if (text[at] !== "\\" || at + 1 >= text.length) return undefined;
      at += 2;
    }
    this.#at = at + 1;
    return { start, end: this.#at };
  }

  #array(): Expression {
    const start = this.#at++;
    const items: Expression[] = [];
    for (let first = true; !this.#next("]"); first = false) {
      if (!first && !this.#separator("array", "]")) break;
      items.push(this.#value());
      if (this.#failed) break;
    }
    return { kind: "tuple", items, span: { start, end: this.#at } };
  }

  #object(): Expression {
    const start = this.#at++;
    const items: ObjectItem[] = [];
    for (let first = true; !this.#next("}"); first = false) {
      if (!first && !this.#separator("object", "}")) break;
      const item = this.#member();
      if (item) items.push(item);
      if (this.#failed) break;
    }
    return { kind: "object", items, unique: true, span: { start, end: this.#at } };
  }

  #member(): ObjectItem | undefined {
    this.#skipBlanks();
    if (this.source.text[this.#at] !== '"') {
      const detail = "A JSON object must contain only properties with names in double quotes.";
      this.#fail(this.#here(), "Invalid object property name", detail);
      return undefined;
    }
    const key = this.#string();
    if (this.#failed) return undefined;
    if (!this.#next(":")) {
      const detail = "A colon must appear after a property name, to introduce its value.";
      this.#fail(this.#here(), "Missing property value colon", detail);
      return undefined;
    }
    return { key, value: this.#value() };
  }

  /** A comma and something after it. */
  #separator(what: "array" | "object", close: string): boolean {
    if (this.#next(",")) {
      this.#skipBlanks();
      if (this.source.text[this.#at] !== close) return true;
      this.#fail(this.#here(), `Trailing comma in ${what}`, `JSON does not permit a trailing comma in an ${what}.`);
      return false;
    }
    const ended = this.#at >= this.source.text.length;
    if (ended) this.#fail(this.#here(), `Unclosed ${what}`, `No closing mark was found for this JSON ${what}.`);
    else {
      const detail = `A comma must follow each element of a JSON ${what}.`;
      this.#fail(this.#here(), "Missing attribute separator", detail);
    }
    return false;
  }

  #next(char: string): boolean {
    this.#skipBlanks();
    if (this.#failed || this.source.text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #skipBlanks(): void {
    this.#take(blanks);
  }

  #take(pattern: RegExp): Span | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.source.text);
    if (!match) return undefined;
    const start = this.#at;
    this.#at += match[0].length;
    return { start, end: this.#at };
  }

  #here(): Span {
    return { start: this.#at, end: Math.min(this.#at + 1, this.source.text.length) };
  }

  /** The first mistake is told; what follows it is not read. */
  #fail(span: Span, summary: string, detail: string): Expression & { kind: "broken" } {
    if (!this.#failed) this.diagnostics.add(this.source, span, summary, detail);
    this.#failed = true;
    return { kind: "broken", span };
  }
}
