import type { Cursor } from "./cursor.ts";
import type { Token } from "./lexer.ts";
import { between } from "./source.ts";
import type { Expression, ForParts } from "./syntax.ts";

const summary = "Invalid 'for' expression";

/** `[for k, v in coll : v if cond]` and `{for k, v in coll : k => v...}`; the bracket is read, the keyword is next. */
export function parseFor(cursor: Cursor, open: Token, parse: (cursor: Cursor) => Expression): Expression {
  const closer = open.type === "{" ? "}" : "]";
  const parts = forParts(cursor, parse);
  if (!parts) return { kind: "broken", span: between(open, cursor.recover(closer)) };
  if (cursor.peek().type === closer) cursor.read();
  else {
    cursor.firstError(cursor.peek(), summary, "Extra characters after the end of the 'for' expression.");
    cursor.recover(closer);
  }
  const span = between(open, cursor.last);
  const { key, value, ellipsis } = parts;
  if (closer === "}" && !key) {
    cursor.error(value.span, summary, "Key expression is required when building an object.");
  } else if (closer === "]" && key) {
    cursor.error(key.span, summary, "Key expression is not valid when building a tuple.");
  }
  if (closer === "]" && ellipsis) {
    cursor.error(ellipsis, summary, "Grouping ellipsis (...) cannot be used when building a tuple.");
  }
  return { kind: "for", ...parts, span };
}

function forParts(cursor: Cursor, parse: (cursor: Cursor) => Expression): ForParts | undefined {
  const errors = cursor.diagnostics.count;
  const fail = (detail: string) => {
    cursor.firstError(cursor.peek(), summary, detail);
    return undefined;
  };
  cursor.read();
  if (cursor.peek().type !== "identifier") return fail("For expression requires variable name after 'for'.");
  let keyName: string | undefined;
  let valueName = cursor.text(cursor.read());
  if (cursor.peek().type === ",") {
    cursor.read();
    if (cursor.peek().type !== "identifier") return fail("For expression requires value variable name after comma.");
    keyName = valueName;
    valueName = cursor.text(cursor.read());
  }
  if (!cursor.isKeyword("in")) return fail("For expression requires the 'in' keyword after its name declarations.");
  cursor.read();
  const collection = parse(cursor);
  if (cursor.failed(errors)) return undefined;
  if (cursor.peek().type !== ":") return fail("For expression requires a colon after the collection expression.");
  cursor.read();
  let value = parse(cursor);
  let key: Expression | undefined;
  if (cursor.peek().type === "=>") {
    cursor.read();
    key = value;
    value = parse(cursor);
  }
  if (cursor.failed(errors)) return undefined;
  const ellipsis = cursor.peek().type === "..." ? cursor.read() : undefined;
  let condition: Expression | undefined;
  if (cursor.isKeyword("if")) {
    cursor.read();
    condition = parse(cursor);
    if (cursor.failed(errors)) return undefined;
  }
  return { keyName, valueName, collection, key, value, condition, ellipsis };
}
