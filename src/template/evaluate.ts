import { decimalOf, parseDecimal, wholeNumber } from "./decimal.ts";
import type { Diagnostics } from "./diagnostics.ts";
import { applyBinary, applyUnary, type OperatorFault } from "./operators.ts";
import type { Source, Span } from "./source.ts";
import type { Expression, ObjectItem, Step } from "./syntax.ts";
import {
  boolValue,
  isKnown,
  nothing,
  numberValue,
  objectValue,
  sizeOf,
  sortedEntries,
  stringValue,
  toBool,
  toDecimal,
  toText,
  tupleValue,
  unknown,
  type Value,
} from "./value.ts";

/** Names that `for` has bound; nothing else can be referred to in a constant. */
type Scope = ReadonlyMap<string, Value>;
type For = Expression & { kind: "for" };

const noNames: Scope = new Map();

/** Work that one file's constants may cost beside their text: far less than nested loops can ask for. */
const extraWork = 5_000_000;
/** How often one character of the text may be looked at: strings inside lists inside objects are measured at each level. */
const workPerCharacter = 8;

/**
 * Evaluates constants: no variables, no functions (spec/04 §7.1, §8.4). A diagnostic says why something is none, and the
 * result is then unknown.
 */
export class Evaluator {
  #work: number;
  /** Set while mistakes do not count, as in the branch that a condition did not choose. */
  #quiet = false;

  constructor(
    readonly source: Source,
    readonly diagnostics: Diagnostics,
  ) {
    this.#work = extraWork + workPerCharacter * source.text.length;
  }

  evaluate(expression: Expression, scope: Scope = noNames): Value {
    if (!this.#spend(1, expression.span)) return unknown;
    switch (expression.kind) {
      case "string":
        return stringValue(expression.value);
      case "number":
        return this.#number(expression.text, expression.span);
      case "bool":
        return boolValue(expression.value);
      case "null":
        return nothing;
      case "broken":
        return unknown;
      case "reference":
        return (
          scope.get(expression.name) ??
          this.#fail(expression.span, "Variables not allowed", "Variables may not be used here.")
        );
      case "call":
        return this.#fail(expression.span, "Function calls not allowed", "Functions may not be called here.");
      case "parentheses":
      case "wrap":
        return this.evaluate(expression.inner, scope);
      case "steps":
        return this.#steps(this.evaluate(expression.from, scope), expression.steps, scope);
      case "unary": {
        const operand = this.evaluate(expression.operand, scope);
        if (operand.kind === "unknown") return unknown;
        return this.#operated(
          applyUnary(expression.operator, operand),
          expression,
          expression.operand,
          expression.operand,
        );
      }
      case "binary":
        return this.#binary(expression, scope);
      case "conditional":
        return this.#conditional(expression, scope);
      case "tuple":
        return this.#sized(tupleValue(expression.items.map((item) => this.evaluate(item, scope))), expression.span);
      case "object":
        return this.#sized(this.#object(expression.items, expression.unique, scope), expression.span);
      case "for":
        return this.#sized(this.#for(expression, scope), expression.span);
      case "template":
        return this.#template(expression.parts, scope, expression.span);
      case "join": {
        const rounds = this.evaluate(expression.loop, scope);
        if (rounds.kind !== "tuple" || !isKnown(rounds)) return unknown;
        return stringValue(rounds.items.map((item) => toText(item) ?? "").join(""));
      }
    }
  }

  /** As `evaluate`, without saying why something is no constant. */
  quietly(expression: Expression, scope: Scope = noNames): Value {
    const quiet = this.#quiet;
    this.#quiet = true;
    const value = this.evaluate(expression, scope);
    this.#quiet = quiet;
    return value;
  }

  #fail(span: Span, summary: string, detail: string | (() => string)): Value {
    if (!this.#quiet) this.diagnostics.add(this.source, span, summary, detail);
    return unknown;
  }

  /** False when there was too much to do; said once. */
  #spend(work: number, span: Span): boolean {
    if (this.#work < 0) return false;
    this.#work -= work;
    if (this.#work >= 0) return true;
    const detail = "This value takes too much work to evaluate: nested loops multiply.";
    this.diagnostics.add(this.source, span, "Value too large", detail);
    return false;
  }

  #sized(value: Value, span: Span): Value {
    return this.#spend(sizeOf(value), span) ? value : unknown;
  }

  #number(text: string, span: Span): Value {
    const number = parseDecimal(text);
    if (number) return numberValue(number);
    return this.#fail(span, "Invalid number literal", "Failed to recognize the value of this number literal.");
  }

  #operated(result: Value | { fault: OperatorFault }, whole: Expression, left: Expression, right: Expression): Value {
    if (!("fault" in result)) return result;
    const { where, summary, detail } = result.fault;
    return this.#fail({ left, right, whole }[where].span, summary, detail);
  }

  /** Chains lean to the left and may be long: they are walked, not recursed into. */
  #binary(expression: Expression, scope: Scope): Value {
    const chain: (Expression & { kind: "binary" })[] = [];
    let first = expression;
    for (; first.kind === "binary"; first = first.left) chain.push(first);
    let left = this.evaluate(first, scope);
    for (const link of chain.reverse()) {
      const right = this.evaluate(link.right, scope);
      if (!this.#spend(sizeOf(left) + sizeOf(right), link.span)) return unknown;
      if (!isKnown(left) || !isKnown(right)) left = unknown;
      else left = this.#operated(applyBinary(link.operator, left, right), link, link.left, link.right);
    }
    return left;
  }

  #conditional({ condition, yes, no, span }: Expression & { kind: "conditional" }, scope: Scope): Value {
    const decided = this.#bool(this.evaluate(condition, scope), condition.span, "condition");
    const value = this.evaluate(decided === false ? no : yes, scope);
    const other = this.quietly(decided === false ? yes : no, scope);
    return decided === undefined ? unknown : this.#ofOneType(value, other, span);
  }

  /** Both branches have one type: next to a string, a number or bool is a string too. */
  #ofOneType(value: Value, other: Value, span: Span): Value {
    const untyped = (one: Value) => one.kind === "unknown" || one.kind === "null";
    if (value.kind === other.kind || untyped(value) || untyped(other)) return value;
    const text = toText(value);
    if (text !== undefined && other.kind === "string") return this.#sized(stringValue(text), span);
    if (value.kind === "string" && toText(other) !== undefined) return value;
    const detail = "The true and false result expressions must have consistent types.";
    return this.#fail(span, "Inconsistent conditional result types", detail);
  }

  #bool(value: Value, span: Span, name: string): boolean | undefined {
    if (value.kind === "unknown") return undefined;
    if (value.kind === "null") {
      this.#fail(span, `Null ${name}`, `The ${name} value is null. Conditions must either be true or false.`);
      return undefined;
    }
    const bool = toBool(value);
    if (bool === undefined) this.#fail(span, `Incorrect ${name} type`, `The ${name} expression must be of type bool.`);
    return bool;
  }

  #object(items: readonly ObjectItem[], unique: boolean, scope: Scope): Value {
    const entries = new Map<string, Value>();
    const places = new Map<string, Span>();
    let known = true;
    for (const item of items) {
      const name = this.key(item.key, scope);
      const value = this.evaluate(item.value, scope);
      if (name === undefined) {
        known = false;
        continue;
      }
      const first = places.get(name);
      if (unique && first) {
        const detail = () => `An attribute named "${name}" was already defined at ${this.source.rangeText(first)}.`;
        this.#fail(item.key.span, "Duplicate object attribute", detail);
      } else {
        entries.set(name, value);
        places.set(name, item.key.span);
      }
    }
    return known ? objectValue(entries) : unknown;
  }

  /** A bare word is a name, everything else an expression that must come to a string. */
  key(key: Expression, scope: Scope = noNames): string | undefined {
    if (key.kind === "steps" && key.from.kind === "reference" && key.steps.every((step) => step.kind !== "splat")) {
      const detail =
        "If this expression is intended to be a reference, wrap it in parentheses. If it's instead intended as a literal name containing periods, wrap it in quotes to create a string literal.";
      this.#fail(key.span, "Ambiguous attribute key", detail);
      return undefined;
    }
    if (key.kind === "reference") return key.name;
    const value: Value = key.kind === "null" ? { kind: "string", text: "null" } : this.evaluate(key, scope);
    return this.#name(value, key.span);
  }

  #name(value: Value, span: Span): string | undefined {
    if (value.kind === "unknown") return undefined;
    const text = toText(value);
    if (text !== undefined) return text;
    if (value.kind === "null") this.#fail(span, "Null value as key", "Can't use a null value as a key.");
    else this.#fail(span, "Incorrect key type", "Can't use this value as a key: string required.");
    return undefined;
  }

  #template(parts: readonly Expression[], scope: Scope, span: Span): Value {
    let text = "";
    let known = true;
    for (const part of parts) {
      const value = this.evaluate(part, scope);
      const piece = toText(value);
      if (piece !== undefined) {
        if (!this.#spend(piece.length, span)) return unknown;
        text += piece;
        continue;
      }
      known = false;
      if (value.kind === "unknown") continue;
      const detail =
        value.kind === "null"
          ? "The expression result is null. Cannot include a null value in a string template."
          : "Cannot include the given value in a string template: string required.";
      this.#fail(part.span, "Invalid template interpolation value", detail);
    }
    return known ? stringValue(text) : unknown;
  }

  #steps(from: Value, steps: readonly Step[], scope: Scope): Value {
    let value = from;
    for (const step of steps) {
      if (!this.#spend(1, step.span)) return unknown;
      if (step.kind === "splat") value = this.#splat(value, step, scope);
      else if (step.kind === "attribute") value = this.#member(value, stringValue(step.name), step.span);
      else value = this.#member(value, this.evaluate(step.key, scope), step.span);
    }
    return value;
  }

  /** Null has no elements, a single value is a list of one. */
  #splat(value: Value, step: Step & { kind: "splat" }, scope: Scope): Value {
    if (value.kind === "unknown") return unknown;
    if (value.kind === "null") return tupleValue([]);
    const items = value.kind === "tuple" ? value.items : [value];
    return this.#sized(tupleValue(items.map((item) => this.#steps(item, step.steps, scope))), step.span);
  }

  #member(value: Value, key: Value, span: Span): Value {
    if (value.kind === "unknown" || key.kind === "unknown") return unknown;
    if (value.kind === "null") {
      return this.#fail(span, "Attempt to index null value", "This value is null, so it does not have any indices.");
    }
    if (value.kind === "tuple") {
      const number = toDecimal(key);
      const item = value.items[(number && wholeNumber(number)) ?? -1];
      if (item) return item;
    } else if (value.kind === "object") {
      const item = value.entries.get(toText(key) ?? "");
      if (item) return item;
    }
    const detail = "The given key does not identify an element in this collection value.";
    return this.#fail(span, "Invalid index", detail);
  }

  #for(loop: For, scope: Scope): Value {
    const collection = this.evaluate(loop.collection, scope);
    if (collection.kind === "unknown") return unknown;
    if (collection.kind !== "tuple" && collection.kind !== "object") {
      const [summary, detail] =
        collection.kind === "null"
          ? ["Iteration over null value", "A null value cannot be used as the collection in a 'for' expression."]
          : ["Iteration over non-iterable value", "This value cannot be used as the collection in a 'for' expression."];
      return this.#fail(loop.collection.span, summary, detail);
    }
    const rounds: [Value, Value][] =
      collection.kind === "tuple"
        ? collection.items.map((item, index) => [numberValue(decimalOf(index)), item])
        : sortedEntries(collection.entries).map(([name, item]) => [stringValue(name), item]);
    return loop.key ? this.#forObject(loop, loop.key, rounds, scope) : this.#forTuple(loop, rounds, scope);
  }

  #forTuple(loop: For, rounds: readonly [Value, Value][], scope: Scope): Value {
    const items: Value[] = [];
    for (const round of rounds) {
      const inner = bind(loop, round, scope);
      const included = this.#included(loop, inner);
      if (included === undefined) return unknown;
      if (included) items.push(this.evaluate(loop.value, inner));
    }
    return tupleValue(items);
  }

  #forObject(loop: For, key: Expression, rounds: readonly [Value, Value][], scope: Scope): Value {
    const entries = new Map<string, Value>();
    const groups = new Map<string, Value[]>();
    for (const round of rounds) {
      const inner = bind(loop, round, scope);
      const included = this.#included(loop, inner);
      if (included === undefined) return unknown;
      if (!included) continue;
      const name = this.#name(this.evaluate(key, inner), key.span);
      if (name === undefined) return unknown;
      const value = this.evaluate(loop.value, inner);
      if (loop.ellipsis) {
        const group = groups.get(name);
        if (group) group.push(value);
        else groups.set(name, [value]);
      } else if (entries.has(name)) {
        const detail = `Two different items produced the key "${name}" in this 'for' expression. If duplicates are expected, use the ellipsis (...) after the value expression to enable grouping by key.`;
        return this.#fail(key.span, "Duplicate object key", detail);
      } else entries.set(name, value);
    }
    for (const [name, group] of groups) entries.set(name, tupleValue(group));
    return objectValue(entries);
  }

  #included(loop: For, scope: Scope): boolean | undefined {
    if (!this.#spend(scope.size, loop.span)) return undefined;
    if (!loop.condition) return true;
    return this.#bool(this.evaluate(loop.condition, scope), loop.condition.span, "condition");
  }
}

function bind(loop: For, [key, value]: [Value, Value], scope: Scope): Scope {
  const inner = new Map(scope);
  if (loop.keyName !== undefined) inner.set(loop.keyName, key);
  return inner.set(loop.valueName, value);
}
