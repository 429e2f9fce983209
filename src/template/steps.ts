import type { Cursor } from "./cursor.ts";
import type { Token } from "./lexer.ts";
import { between } from "./source.ts";
import type { Expression, Step } from "./syntax.ts";

type Parse = (cursor: Cursor) => Expression;

/** Reads what follows a term: attributes, indexes and splats. */
export function parseSteps(cursor: Cursor, from: Expression, parse: Parse): Expression {
  const steps: Step[] = [];
  readSteps(cursor, steps, parse);
  const last = steps.at(-1);
  return last ? { kind: "steps", from, steps, span: between(from.span, last.span) } : from;
}

function readSteps(cursor: Cursor, steps: Step[], parse: Parse): void {
  for (;;) {
    const { type } = cursor.peek();
    if (type !== "." && type !== "[") return;
    const start = cursor.read();
    const step = type === "." ? afterDot(cursor, start) : afterBracket(cursor, start, parse);
    if (step) steps.push(step);
  }
}

function afterDot(cursor: Cursor, dot: Token): Step | undefined {
  const { type } = cursor.peek();
  if (type === "*") return attributeSplat(cursor, dot);
  if (type === "identifier" || type === "number") return attribute(cursor, dot);
  cursor.error(cursor.peek(), "Invalid attribute name", "An attribute name is required after a dot.");
  cursor.recovering = true;
  return undefined;
}

/** `.name`, or the old `.0`, which is an index. */
function attribute(cursor: Cursor, dot: Token): Step {
  const token = cursor.read();
  const span = between(dot, token);
  const text = cursor.text(token);
  if (token.type === "identifier") return { kind: "attribute", name: text, span };
  const [first, second] = text.split(".", 2);
  if (second !== undefined) {
    const detail = `When using the legacy index syntax, chaining two indexes together is not permitted. Use the proper index syntax instead, like [${first}][${second}].`;
    cursor.error(token, "Invalid legacy index syntax", detail);
  }
  return { kind: "index", key: { kind: "number", text: first ?? "0", span: token }, span };
}

/** `.*` takes attributes only, unlike `[*]`. */
function attributeSplat(cursor: Cursor, dot: Token): Step {
  cursor.read();
  const steps: Step[] = [];
  while (cursor.peek().type === ".") {
    const nextDot = cursor.read();
    const { type } = cursor.peek();
    if (type === "identifier" || type === "number") {
      steps.push(attribute(cursor, nextDot));
      continue;
    }
    if (type === "*") {
      const detail = "A splat expression (*) cannot be used inside another attribute-only splat expression.";
      cursor.firstError(cursor.peek(), "Nested splat expression not allowed", detail);
    } else {
      cursor.firstError(cursor.peek(), "Invalid attribute name", "An attribute name is required after a dot.");
    }
    cursor.recovering = true;
    break;
  }
  return { kind: "splat", steps, span: between(dot, cursor.last) };
}

function afterBracket(cursor: Cursor, open: Token, parse: Parse): Step {
  if (cursor.peek().type === "*") {
    cursor.read();
    const detail = 'The star for a full splat operator must be immediately followed by a closing bracket ("]").';
    closeBracket(cursor, "Missing close bracket on splat index", detail);
    const steps: Step[] = [];
    cursor.nest(
      () => readSteps(cursor, steps, parse),
      () => undefined,
    );
    return { kind: "splat", steps, span: between(open, cursor.last) };
  }
  return cursor.withLineBreaks(false, () => {
    const errors = cursor.diagnostics.count;
    const key = parse(cursor);
    if (cursor.failed(errors)) cursor.recover("]");
    else {
      const detail = 'The index operator must end with a closing bracket ("]").';
      closeBracket(cursor, "Missing close bracket on index", detail);
    }
    return { kind: "index", key, span: between(open, cursor.last) };
  });
}

/** What is wrong is told at the bracket that is found in the end, as Terraform does. */
function closeBracket(cursor: Cursor, summary: string, detail: string): void {
  if (cursor.read().type === "]" || cursor.recovering) return;
  cursor.error(cursor.recover("]"), summary, detail);
}
