import type { Cursor } from "./cursor.ts";
import type { Span } from "./source.ts";
import type { Expression } from "./syntax.ts";

/** A piece of a template in the order of the text; directives are not yet paired. */
export type TemplatePart = { span: Span } & (
  | { kind: "text"; text: string }
  | { kind: "value"; expression: Expression }
  | { kind: "if"; condition: Expression }
  | { kind: "for"; keyName: string | undefined; valueName: string; collection: Expression }
  | { kind: "else" }
  | { kind: "endif" }
  | { kind: "endfor" }
);

type PartOf<K> = Extract<TemplatePart, { kind: K }>;

/** What `<<-` does: takes the smallest indentation off every line (spec/04 §8.2). Blank lines neither count nor change. */
export function removeIndentation(parts: TemplatePart[]): void {
  let smallest = Number.POSITIVE_INFINITY;
  let lineStart = true;
  const indented: { text: string }[] = [];
  for (const part of parts) {
    if (lineStart) {
      const text = part.kind === "text" ? part.text : "";
      const indentation = text.length - text.trimStart().length;
      const blank = indentation === text.length && text.endsWith("\n");
      if (!blank) smallest = Math.min(smallest, indentation);
      if (!blank && part.kind === "text") indented.push(part);
    }
    lineStart = part.kind === "text" && part.text.endsWith("\n");
  }
  if (smallest === Number.POSITIVE_INFINITY) return;
  for (const part of indented) part.text = part.text.slice(smallest);
}

/** Pairs the directives; what is left over or left open is a diagnostic. `end` is the template's closing mark. */
export function treeOf(cursor: Cursor, parts: readonly TemplatePart[], end: Span): Expression[] {
  return new TreeBuilder(cursor, parts, end).build();
}

class TreeBuilder {
  #index = 0;

  constructor(
    readonly cursor: Cursor,
    readonly parts: readonly TemplatePart[],
    readonly end: Span,
  ) {}

  build(): Expression[] {
    const result = this.#sequence([]);
    for (let extra = this.parts[this.#index]; extra; extra = this.parts[this.#index]) {
      const detail = "The control directives within this template are unbalanced.";
      this.cursor.error(extra.span, `Unexpected ${extra.kind} directive`, detail);
      this.#index++;
      this.#sequence(result);
    }
    return result;
  }

  /** Everything up to a part of these kinds, or any that closes something. */
  #sequence(result: Expression[]): Expression[] {
    for (let part = this.parts[this.#index]; part; part = this.parts[this.#index]) {
      const { span } = part;
      if (part.kind === "else" || part.kind === "endif" || part.kind === "endfor") break;
      this.#index++;
      if (part.kind === "text") result.push({ kind: "string", value: part.text, span });
      else if (part.kind === "value") result.push(part.expression);
      else {
        const parse = part.kind === "if" ? () => this.#if(part) : () => this.#for(part);
        result.push(this.cursor.nest<Expression>(parse, () => ({ kind: "broken", span })));
      }
    }
    return result;
  }

  #if(open: PartOf<"if">): Expression {
    const yes = this.#sequence([]);
    let no: Expression[] = [];
    if (this.parts[this.#index]?.kind === "else") {
      this.#index++;
      no = this.#sequence([]);
    }
    if (this.parts[this.#index]?.kind === "else") {
      const at = () => this.cursor.source.rangeText(open.span);
      const detail = () => `Already in the else clause for the if started at ${at()}.`;
      this.cursor.error(this.parts[this.#index++]?.span ?? open.span, "Unexpected else directive", detail);
    } else this.#close(open, "endif");
    const template = (parts: Expression[]): Expression => ({ kind: "template", parts, span: open.span });
    return {
      kind: "conditional",
      condition: open.condition,
      yes: template(yes),
      no: template(no),
      span: open.span,
    };
  }

  #for(open: PartOf<"for">): Expression {
    const value: Expression = { kind: "template", parts: this.#sequence([]), span: open.span };
    this.#close(open, "endfor");
    const { span } = open;
    const loop: Expression = { ...open, value, key: undefined, condition: undefined, ellipsis: undefined };
    return { kind: "join", loop, span };
  }

  #close(open: TemplatePart, closer: "endif" | "endfor"): void {
    const part = this.parts[this.#index];
    if (part?.kind === closer) {
      this.#index++;
      return;
    }
    const at = () => this.cursor.source.rangeText(open.span);
    if (!part) {
      const detail = () => `The ${open.kind} directive at ${at()} is missing its corresponding ${closer} directive.`;
      this.cursor.error(this.end, "Unexpected end of template", detail);
      return;
    }
    this.#index++;
    const detail = () => `Expecting an ${closer} directive for the ${open.kind} started at ${at()}.`;
    this.cursor.error(part.span, `Unexpected ${part.kind} directive`, detail);
  }
}
