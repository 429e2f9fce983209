import type { Evaluator } from "./evaluate.ts";
import type { Span } from "./source.ts";
import type { Attribute, Expression } from "./syntax.ts";
import { toText } from "./value.ts";

const summary = "Unsuitable value type";

/** Entries of `required_providers` are a version in a string, or an object of strings (spec/04 §7.1). */
export function checkRequiredProviders(entries: readonly Attribute[], evaluator: Evaluator): void {
  const fail = (span: Span, detail: string) => evaluator.diagnostics.add(evaluator.source, span, summary, detail);
  for (const { value } of entries) {
    if (value.kind === "object") {
      for (const item of value.items) checkItem(item.key, item.value, value.span);
      continue;
    }
    const constant = evaluator.quietly(value);
    if (constant.kind === "null") fail(value.span, "Unsuitable value: null value is not allowed");
    else if (toText(constant) === undefined) fail(value.span, "required_providers entries must be strings or objects.");
  }

  function checkItem(key: Expression, value: Expression, span: Span): void {
    const name = evaluator.key(key);
    if (name !== "source" && name !== "version") return;
    const { kind } = evaluator.quietly(value);
    if (kind !== "string" && kind !== "null") fail(span, "Unsuitable value: string required");
  }
}
