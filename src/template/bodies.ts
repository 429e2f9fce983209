import { Cursor } from "./cursor.ts";
import type { Diagnostics } from "./diagnostics.ts";
import { parseExpression } from "./expressions.ts";
import { scan, type Token, type TokenType } from "./lexer.ts";
import { between, type Source, type Span } from "./source.ts";
import { unescapeText } from "./string-literal.ts";
import type { Attribute, Block, Body } from "./syntax.ts";
import { checkTokens } from "./token-checks.ts";

type NativeBody = Body & { kind: "native" };

const required = "An argument or block definition is required here.";
const requiredSummary = "Argument or block definition required";
const missingEquals = `${required} To set an argument, use the equals sign "=" to introduce the argument value.`;

/** Parses a file of native syntax. What is wrong goes to `diagnostics`; what could be read comes back all the same. */
export function parseNative(source: Source, diagnostics: Diagnostics): Body {
  const tokens = scan(source);
  checkTokens(source, tokens, diagnostics);
  return parseBody(new Cursor(source, tokens, diagnostics), "end");
}

function parseBody(cursor: Cursor, end: TokenType): NativeBody {
  const body: NativeBody = { kind: "native", attributes: new Map(), blocks: [] };
  const start = cursor.last;
  for (;;) {
    const next = cursor.peek();
    if (next.type === "newline") cursor.read();
    else if (next.type === "identifier") parseItem(cursor, body);
    else {
      cursor.read();
      if (next.type === end) return body;
      if (next.type === "end") unclosed(cursor, start);
      else if (next.type === "quote-open") {
        cursor.firstError(next, "Invalid argument name", "Argument names must not be quoted.");
      } else cursor.firstError(next, requiredSummary, required);
      cursor.recover(end);
      return body;
    }
  }
}

function unclosed(cursor: Cursor, open: Span): void {
  const detail =
    "There is no closing brace for this block before the end of the file. This may be caused by incorrect brace nesting elsewhere in this file.";
  cursor.firstError(open, "Unclosed configuration block", detail);
}

function parseItem(cursor: Cursor, body: NativeBody): void {
  const name = cursor.read();
  switch (cursor.peek().type) {
    case "=":
      addAttribute(cursor, body, parseAttribute(cursor, name, false));
      break;
    case "quote-open":
    case "{":
    case "identifier": {
      const block = cursor.nest<Block | undefined>(
        () => parseBlock(cursor, name),
        () => undefined,
      );
      if (block) body.blocks.push(block);
      break;
    }
    default:
      cursor.recoverAfterItem();
      cursor.error(name, requiredSummary, missingEquals);
  }
}

function addAttribute(cursor: Cursor, body: NativeBody, attribute: Attribute): void {
  const existing = body.attributes.get(attribute.name);
  if (!existing) {
    body.attributes.set(attribute.name, attribute);
    return;
  }
  const at = () => cursor.source.rangeText(existing.nameSpan);
  const detail = () =>
    `The argument "${attribute.name}" was already set at ${at()}. Each argument may be set only once.`;
  cursor.error(attribute.nameSpan, "Attribute redefined", detail);
}

function parseAttribute(cursor: Cursor, nameSpan: Token, oneLine: boolean): Attribute {
  cursor.read();
  const errors = cursor.diagnostics.count;
  const value = parseExpression(cursor);
  if (cursor.failed(errors)) cursor.recoverAfterItem();
  else if (!oneLine) {
    const end = cursor.peek();
    if (end.type === "newline" || end.type === "end") cursor.read();
    else {
      const newline = "An argument definition must end with a newline.";
      if (end.type === ",") {
        const detail = `Argument definitions must be separated by newlines, not commas. ${newline}`;
        cursor.firstError(end, "Unexpected comma after argument", detail);
      } else cursor.firstError(end, "Missing newline after argument", newline);
      cursor.recoverAfterItem();
    }
  }
  return { name: cursor.text(nameSpan), nameSpan, value };
}

function parseBlock(cursor: Cursor, type: Token): Block {
  const block: Block = {
    type: cursor.text(type),
    typeSpan: type,
    labels: [],
    labelSpans: [],
    at: type.start,
    openSpan: type,
    body: { kind: "native", attributes: new Map(), blocks: [] },
  };
  if (!parseHeader(cursor, block)) {
    cursor.recoverAfterItem();
    return block;
  }
  block.openSpan = cursor.last;
  const first = cursor.peek().type;
  const manyLines = first === "newline" || first === "end" || first === "}";
  const body = manyLines ? parseBody(cursor, "}") : parseOneLineBody(cursor);
  if (body) block.body = body;
  const end = cursor.peek();
  if (end.type === "newline" || end.type === "end") cursor.read();
  else {
    cursor.firstError(end, "Missing newline after block definition", "A block definition must end with a newline.");
    cursor.recoverAfterItem();
  }
  return block;
}

/** Labels up to and with the opening brace; false: something else came. */
function parseHeader(cursor: Cursor, block: Block): boolean {
  for (;;) {
    const token = cursor.peek();
    if (token.type === "{") {
      cursor.read();
      return true;
    }
    if (token.type === "identifier") {
      cursor.read();
      block.labels.push(cursor.text(token));
      block.labelSpans.push(token);
    } else if (token.type === "quote-open") {
      block.labels.push(parseLabel(cursor));
      block.labelSpans.push(between(token, cursor.last));
    } else {
      wrongHeader(cursor, token);
      return false;
    }
  }
}

function wrongHeader(cursor: Cursor, token: Token): void {
  const summary = "Invalid block definition";
  if (token.type === "=") {
    const detail = 'The equals sign "=" indicates an argument definition, and must not be used when defining a block.';
    cursor.error(token, summary, detail);
  } else if (token.type === "newline") {
    const detail =
      'A block definition must have block content delimited by "{" and "}", starting on the same line as the block header.';
    cursor.error(token, summary, detail);
  } else {
    const detail = 'Either a quoted string block label or an opening brace ("{") is expected here.';
    cursor.firstError(token, summary, detail);
  }
}

/** A quoted label: plain text, no sequences. */
function parseLabel(cursor: Cursor): string {
  cursor.read();
  let label = "";
  for (;;) {
    const token = cursor.read();
    switch (token.type) {
      case "quote-close":
        return label;
      case "quoted-text":
        label += unescapeText(cursor, token, true);
        break;
      case "interpolation":
      case "directive": {
        const sigil = cursor.text(token)[0];
        const detail = `Template sequences are not allowed in this string. To include a literal "${sigil}", double it (as "${sigil}${sigil}") to escape it.`;
        cursor.error(token, "Invalid string literal", detail);
        cursor.recover("sequence-end");
        break;
      }
      case "end":
        cursor.error(
          token,
          "Unterminated string literal",
          "Unable to find the closing quote mark before the end of the file.",
        );
        return label;
      default:
        cursor.error(token, "Invalid string literal", "This item is not valid in a string literal.");
        cursor.recover("quote-close");
        return label;
    }
  }
}

/** `TYPE { NAME = EXPR }`: at most one argument, no blocks. */
function parseOneLineBody(cursor: Cursor): NativeBody | undefined {
  const name = cursor.read();
  const next = cursor.peek();
  if (name.type !== "identifier") {
    cursor.error(name, requiredSummary, required);
    cursor.recoverAfterItem();
    return undefined;
  }
  if (next.type !== "=") {
    if (next.type === "quote-open" || next.type === "{" || next.type === "identifier") {
      const detail = `A single-line block definition can contain only a single argument. If you meant to define argument "${cursor.text(name)}", use an equals sign to assign it a value. To define a nested block, place it on a line of its own within its parent block.`;
      cursor.error(between(name, next), "Argument definition required", detail);
    } else cursor.error(name, requiredSummary, missingEquals);
    cursor.recoverAfterItem();
    return undefined;
  }
  const attribute = parseAttribute(cursor, name, true);
  closeOneLineBody(cursor);
  return { kind: "native", attributes: new Map([[attribute.name, attribute]]), blocks: [] };
}

function closeOneLineBody(cursor: Cursor): void {
  const next = cursor.peek();
  if (next.type === "}") {
    cursor.read();
    return;
  }
  const summary = "Invalid single-argument block definition";
  if (next.type === ",") {
    const detail =
      "Single-line block syntax can include only one argument definition. To define multiple arguments, use the multi-line block syntax with one argument definition per line.";
    cursor.firstError(next, summary, detail);
  } else if (next.type === "newline") {
    const detail =
      "An argument definition on the same line as its containing block creates a single-line block definition, which must also be closed on the same line. Place the block's closing brace immediately after the argument definition.";
    cursor.firstError(next, "Invalid single-argument block definition", detail);
  } else {
    const detail =
      "A single-line block definition must end with a closing brace immediately after its single argument definition.";
    cursor.firstError(next, summary, detail);
  }
  cursor.recover("}");
}
