import type { Cursor } from "./cursor.ts";
import { parseFor } from "./for-expression.ts";
import type { Token, TokenType } from "./lexer.ts";
import { between, type Span } from "./source.ts";
import { parseSteps } from "./steps.ts";
import type { Expression, ObjectItem } from "./syntax.ts";
import { parseTemplate } from "./template-parts.ts";

/** Binary operators from the loosest to the tightest. */
const levels: readonly (readonly TokenType[])[] = [
  ["||"],
  ["&&"],
  ["==", "!="],
  [">", "<", ">=", "<="],
  ["+", "-"],
  ["*", "/", "%"],
];

const broken = (span: Span): Expression => ({ kind: "broken", span });

/** Parses one expression. Mistakes are diagnostics; what comes back is then partly `broken`. */
export function parseExpression(cursor: Cursor): Expression {
  return cursor.nest(() => conditional(cursor), broken);
}

function conditional(cursor: Cursor): Expression {
  const errors = cursor.diagnostics.count;
  const condition = binary(cursor, 0);
  if (cursor.failed(errors) || cursor.peek().type !== "?") return condition;
  cursor.read();
  const yes = parseExpression(cursor);
  if (cursor.failed(errors)) return condition;
  const colon = cursor.peek();
  if (colon.type !== ":") {
    const detail = "The conditional operator (...?...:...) requires a false expression, delimited by a colon.";
    cursor.error(colon, "Missing false expression in conditional", detail);
    return condition;
  }
  cursor.read();
  const no = parseExpression(cursor);
  return { kind: "conditional", condition, yes, no, span: between(condition.span, no.span) };
}

function binary(cursor: Cursor, level: number): Expression {
  const errors = cursor.diagnostics.count;
  const operators = levels[level];
  if (!operators) return operand(cursor);
  let left = binary(cursor, level + 1);
  while (!cursor.failed(errors) && operators.includes(cursor.peek().type)) {
    const operator = cursor.read().type;
    const right = binary(cursor, level + 1);
    left = { kind: "binary", operator, left, right, span: between(left.span, right.span) };
  }
  return left;
}

/** A term with its steps; `-` and `!` bind to that and no more. */
function operand(cursor: Cursor): Expression {
  return parseSteps(cursor, term(cursor), parseExpression);
}

function term(cursor: Cursor): Expression {
  const token = cursor.peek();
  switch (token.type) {
    case "(":
      return parentheses(cursor);
    case "number":
      return number(cursor);
    case "identifier":
      return named(cursor);
    case "quote-open":
    case "heredoc-open":
      return parseTemplate(cursor, parseExpression);
    case "-":
    case "!": {
      const operator = cursor.read().type as "-" | "!";
      const inner = cursor.nest(() => operand(cursor), broken);
      return { kind: "unary", operator, operand: inner, span: between(token, inner.span) };
    }
    case "[":
      return tuple(cursor);
    case "{":
      return object(cursor);
    default: {
      const detail = "Expected the start of an expression, but found an invalid expression token.";
      cursor.firstError(token, "Invalid expression", detail);
      cursor.recovering = true;
      return broken(token);
    }
  }
}

function parentheses(cursor: Cursor): Expression {
  const open = cursor.read();
  return cursor.withLineBreaks(false, () => {
    const errors = cursor.diagnostics.count;
    const inner = parseExpression(cursor);
    if (cursor.diagnostics.count > errors) {
      cursor.recover(")");
      return inner;
    }
    const close = cursor.peek();
    if (close.type !== ")") {
      cursor.error(close, "Unbalanced parentheses", "Expected a closing parenthesis to terminate the expression.");
      cursor.recovering = true;
    }
    return { kind: "parentheses", inner, span: between(open, cursor.read()) };
  });
}

function number(cursor: Cursor): Expression {
  const token = cursor.read();
  const text = cursor.text(token);
  if (!/^\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text)) {
    const detail = "Failed to recognize the value of this number literal.";
    cursor.error(token, "Invalid number literal", detail);
    return broken(token);
  }
  return { kind: "number", text, span: token };
}

function named(cursor: Cursor): Expression {
  const span = cursor.read();
  const name = cursor.text(span);
  const next = cursor.peek().type;
  if (next === "(" || next === "::") return call(cursor, span, name);
  if (name === "true" || name === "false") return { kind: "bool", value: name === "true", span };
  return name === "null" ? { kind: "null", span } : { kind: "reference", name, span };
}

function call(cursor: Cursor, start: Token, firstName: string): Expression {
  let name = firstName;
  while (cursor.peek().type === "::") {
    cursor.read();
    const next = cursor.read();
    if (next.type !== "identifier") {
      const detail = "Function scope resolution symbol :: must be followed by a function name in this scope.";
      cursor.error(next, "Missing function name", detail);
      return { kind: "call", name, args: [], span: between(start, cursor.recover(")")) };
    }
    name += `::${cursor.text(next)}`;
  }
  const open = cursor.read();
  if (open.type !== "(") {
    const detail = "Function selector must be followed by an open parenthesis to begin the function call.";
    cursor.error(open, "Missing open parenthesis", detail);
    return { kind: "call", name, args: [], span: between(start, cursor.recover(")")) };
  }
  const args: Expression[] = [];
  const close = cursor.withLineBreaks(false, () => callArguments(cursor, args, between(start, open)));
  return { kind: "call", name, args, span: between(start, close) };
}

function callArguments(cursor: Cursor, args: Expression[], head: Span): Token {
  while (cursor.peek().type !== ")") {
    const errors = cursor.diagnostics.count;
    args.push(parseExpression(cursor));
    if (cursor.failed(errors)) return cursor.recover(")");
    const separator = cursor.read();
    if (separator.type === ")") return separator;
    if (separator.type === "...") {
      if (cursor.peek().type === ")") break;
      const detail = "An expanded function argument (with ...) must be immediately followed by closing parentheses.";
      cursor.firstError(separator, "Missing closing parenthesis", detail);
      return cursor.recover(")");
    }
    if (separator.type === "end") {
      const detail =
        "There is no closing parenthesis for this function call before the end of the file. This may be caused by incorrect parenthesis nesting elsewhere in this file.";
      cursor.error(head, "Unterminated function call", detail);
      return cursor.recover(")");
    }
    if (separator.type !== ",") {
      const detail = "A comma is required to separate each function argument from the next.";
      cursor.error(separator, "Missing argument separator", detail);
      return cursor.recover(")");
    }
  }
  return cursor.read();
}

function tuple(cursor: Cursor): Expression {
  const open = cursor.read();
  return cursor.withLineBreaks(false, () => {
    if (cursor.isKeyword("for")) return parseFor(cursor, open, parseExpression);
    const items: Expression[] = [];
    const close = tupleItems(cursor, items, open);
    return { kind: "tuple", items, span: between(open, close) };
  });
}

function tupleItems(cursor: Cursor, items: Expression[], open: Token): Token {
  while (cursor.peek().type !== "]") {
    const errors = cursor.diagnostics.count;
    items.push(parseExpression(cursor));
    if (cursor.failed(errors)) return cursor.recover("]");
    const next = cursor.peek();
    if (next.type === "]") break;
    if (next.type === ",") {
      cursor.read();
      continue;
    }
    if (next.type === "end") {
      const detail =
        "There is no corresponding closing bracket before the end of the file. This may be caused by incorrect bracket nesting elsewhere in this file.";
      cursor.firstError(open, "Unterminated tuple constructor expression", detail);
    } else {
      cursor.firstError(next, "Missing item separator", "Expected a comma to mark the beginning of the next item.");
    }
    return cursor.recover("]");
  }
  return cursor.read();
}

function object(cursor: Cursor): Expression {
  const open = cursor.read();
  // Only here do line breaks count within brackets; but not in front of a "for".
  const first = cursor.peekWith(false);
  if (first.type === "identifier" && cursor.text(first) === "for") {
    return cursor.withLineBreaks(false, () => parseFor(cursor, open, parseExpression));
  }
  return cursor.withLineBreaks(true, () => {
    const items: ObjectItem[] = [];
    const close = objectItems(cursor, items, open);
    return { kind: "object", items, unique: false, span: between(open, close) };
  });
}

const objectUnclosed =
  "There is no corresponding closing brace before the end of the file. This may be caused by incorrect brace nesting elsewhere in this file.";

function objectItems(cursor: Cursor, items: ObjectItem[], open: Token): Token {
  for (;;) {
    if (cursor.peek().type === "newline") {
      cursor.read();
      continue;
    }
    if (cursor.peek().type === "}") return cursor.read();
    const errors = cursor.diagnostics.count;
    const key = parseExpression(cursor);
    if (cursor.failed(errors)) return cursor.recover("}");
    const separator = cursor.peek();
    if (separator.type !== "=" && separator.type !== ":") {
      missingSeparator(cursor, separator, open);
      return cursor.recover("}");
    }
    cursor.read();
    const value = parseExpression(cursor);
    if (cursor.failed(errors)) return cursor.recover("}");
    items.push({ key, value });
    const next = cursor.peek();
    if (next.type === "," || next.type === "newline") cursor.read();
    else if (next.type !== "}") {
      if (next.type === "end") cursor.firstError(open, "Unterminated object constructor expression", objectUnclosed);
      else {
        const detail = "Expected a newline or comma to mark the beginning of the next attribute.";
        cursor.firstError(next, "Missing attribute separator", detail);
      }
      return cursor.recover("}");
    }
  }
}

function missingSeparator(cursor: Cursor, found: Token, open: Token): void {
  if (found.type === "end") {
    cursor.firstError(open, "Unterminated object constructor expression", objectUnclosed);
  } else if (found.type === "newline" || found.type === ",") {
    const detail = 'Expected an attribute value, introduced by an equals sign ("=").';
    cursor.firstError(found, "Missing attribute value", detail);
  } else {
    const expected = 'Expected an equals sign ("=") to mark the beginning of the attribute value.';
    const advice =
      " If you intended to given an attribute name containing periods or spaces, write the name in quotes to create a string literal.";
    const detail = found.type === "identifier" ? expected + advice : expected;
    cursor.firstError(found, "Missing key/value separator", detail);
  }
}
