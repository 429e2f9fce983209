import type { Cursor } from "./cursor.ts";
import type { Token } from "./lexer.ts";
import { between, type Span } from "./source.ts";
import { unescapeText } from "./string-literal.ts";
import type { Expression } from "./syntax.ts";
import { removeIndentation, type TemplatePart, treeOf } from "./template-tree.ts";

type Parse = (cursor: Cursor) => Expression;

/** A quoted string or a heredoc; the opening mark is next. `"${x}"` alone is x itself, of whatever type. */
export function parseTemplate(cursor: Cursor, parse: Parse): Expression {
  const open = cursor.read();
  const parts = new PartsReader(cursor, parse).read(open.type === "quote-open" ? "quote-close" : "heredoc-close");
  if (open.type === "heredoc-open" && cursor.text(open).startsWith("<<-")) removeIndentation(parts);
  const span = between(open, cursor.last);
  const [only] = parts;
  if (parts.length === 1 && only?.kind === "value") return { kind: "wrap", inner: only.expression, span };
  return { kind: "template", parts: treeOf(cursor, parts, cursor.last), span };
}

const unexpectedColon =
  'Template interpolation doesn\'t expect a colon at this location. Did you intend this to be a literal sequence to be processed as part of another language? If so, you can escape it by starting with "$${" instead of just "${".';
const unexpectedText =
  'Expected a closing brace to end the interpolation expression, but found extra characters.\n\nThis can happen when you include interpolation syntax for another language, such as shell scripting, but forget to escape the interpolation start token. If this is an embedded sequence for another language, escape it by starting with "$${" instead of just "${".';

class PartsReader {
  readonly #parts: TemplatePart[] = [];
  /** Set by `~}`: blanks at the start of the text that follows go. */
  #trimNext = false;

  constructor(
    readonly cursor: Cursor,
    readonly parse: Parse,
  ) {}

  read(end: "quote-close" | "heredoc-close"): TemplatePart[] {
    const { cursor } = this;
    const first = cursor.peek();
    for (;;) {
      const token = cursor.read();
      if (token.type === end) return this.#parts;
      const trim = this.#trimNext;
      this.#trimNext = false;
      if (token.type === "quoted-text" || token.type === "heredoc-text") {
        const text = unescapeText(cursor, token, token.type === "quoted-text");
        this.#parts.push({ kind: "text", text: trim ? text.trimStart() : text, span: token });
      } else if (token.type === "interpolation" || token.type === "directive") {
        this.#trimPrevious(token);
        cursor.withLineBreaks(false, () => {
          if (token.type === "directive") this.#directive(token);
          else this.#interpolation(token, first, end === "quote-close");
        });
      } else {
        cursor.firstError(token, "Unterminated template string", "No closing marker was found for the string.");
        cursor.recover(end);
        return this.#parts;
      }
    }
  }

  /** `${~` eats the blanks before it, within the same piece of text. */
  #trimPrevious(open: Token): void {
    const previous = this.#parts.at(-1);
    if (open.end - open.start === 3 && previous?.kind === "text") previous.text = previous.text.trimEnd();
  }

  #interpolation(open: Token, first: Token, quoted: boolean): void {
    const { cursor } = this;
    const expression = this.parse(cursor);
    const close = cursor.peek();
    if (close.type === "sequence-end") this.#close();
    else {
      this.#unclosed(close, first, quoted);
      cursor.recover("sequence-end");
    }
    this.#parts.push({ kind: "value", expression, span: between(open, cursor.last) });
  }

  #unclosed(found: Token, first: Token, quoted: boolean): void {
    const errantQuote = quoted && (found.type === "quote-close" || found.type === "quote-open");
    if (found.type === "end" || errantQuote) {
      const where = errantQuote ? "quoted template" : "file";
      const detail = `There is no closing brace for this interpolation sequence before the end of the ${where}. This might be caused by incorrect nesting inside the given expression.`;
      this.cursor.firstError(between(first, found), "Unclosed template interpolation sequence", detail);
    } else {
      const detail = found.type === ":" ? unexpectedColon : unexpectedText;
      this.cursor.firstError(found, "Extra characters after interpolation expression", detail);
    }
  }

  #close(): void {
    const close = this.cursor.read();
    this.#trimNext = close.end - close.start === 2;
  }

  #directive(open: Token): void {
    const { cursor } = this;
    const keyword = cursor.peek();
    if (keyword.type !== "identifier") {
      const detail = 'A template directive keyword ("if", "for", etc) is expected at the beginning of a %{ sequence.';
      this.#fail(keyword, "Invalid template directive", detail);
      return;
    }
    cursor.read();
    const name = cursor.text(keyword);
    const part = this.#directivePart(name, keyword);
    if (!part) return;
    const close = cursor.peek();
    if (close.type === "sequence-end") this.#close();
    else {
      const detail = "Expected a closing brace to end the sequence, but found extra characters.";
      this.#fail(close, `Extra characters in ${name} marker`, detail);
    }
    this.#parts.push({ ...part, span: between(open, close) });
  }

  #directivePart(name: string, keyword: Token): WithoutSpan<TemplatePart> | undefined {
    const { cursor } = this;
    switch (name) {
      case "if":
        return { kind: "if", condition: this.parse(cursor) };
      case "for":
        return this.#forPart();
      case "else":
      case "endif":
      case "endfor":
        return { kind: name };
      default: {
        const meant = keywords.find((word) => isClose(name, word));
        const advice = meant ? ` Did you mean "${meant}"?` : "";
        const detail = `"${name}" is not a valid template control keyword.${advice}`;
        this.#fail(keyword, "Invalid template control keyword", detail);
        return undefined;
      }
    }
  }

  #forPart(): WithoutSpan<TemplatePart> | undefined {
    const { cursor } = this;
    const summary = "Invalid 'for' directive";
    let keyName: string | undefined;
    let valueName = "";
    for (const what of ["variable name after 'for'", "value variable name after comma"]) {
      if (cursor.peek().type !== "identifier") {
        this.#fail(cursor.peek(), summary, `For directive requires ${what}.`);
        return undefined;
      }
      keyName = valueName || undefined;
      valueName = cursor.text(cursor.read());
      if (cursor.peek().type !== "," || keyName) break;
      cursor.read();
    }
    if (!cursor.isKeyword("in")) {
      this.#fail(cursor.peek(), summary, "For directive requires 'in' keyword after names.");
      return undefined;
    }
    cursor.read();
    return { kind: "for", keyName, valueName, collection: this.parse(cursor) };
  }

  #fail(span: Span, summary: string, detail: string): void {
    this.cursor.firstError(span, summary, detail);
    this.cursor.recover("sequence-end");
  }
}

const keywords = ["if", "for", "else", "endif", "endfor"];

/** Whether at most two letters must be changed, added or dropped to make one of the other. */
function isClose(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 2) return false;
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return (row.at(-1) ?? 0) <= 2;
}

type WithoutSpan<T> = T extends unknown ? Omit<T, "span"> : never;
