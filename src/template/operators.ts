import { add, compare, type Decimal, divide, multiply, negate, remainder } from "./decimal.ts";
import { boolValue, equal, numberValue, toBool, toDecimal, type Value } from "./value.ts";

/** Why an operator cannot work: `where` it looks at one operand or at the whole. */
export interface OperatorFault {
  where: "left" | "right" | "whole";
  summary: string;
  detail: string;
}

type Result = Value | { fault: OperatorFault };

const arithmetic: Record<string, (a: Decimal, b: Decimal) => Decimal | undefined> = {
  "+": add,
  "-": (a, b) => add(a, negate(b)),
  "*": multiply,
  "/": divide,
  "%": remainder,
};

const comparison: Record<string, (order: number) => boolean> = {
  "<": (order) => order < 0,
  ">": (order) => order > 0,
  "<=": (order) => order <= 0,
  ">=": (order) => order >= 0,
};

/** Applies a binary operator to known values. */
export function applyBinary(operator: string, left: Value, right: Value): Result {
  if (operator === "==" || operator === "!=") return boolValue(equal(left, right) === (operator === "=="));
  if (operator === "&&" || operator === "||") {
    const a = toBool(left);
    const b = toBool(right);
    if (a === undefined) return wrongOperand("left", left, "a bool");
    if (b === undefined) return wrongOperand("right", right, "a bool");
    return boolValue(operator === "&&" ? a && b : a || b);
  }
  const a = toDecimal(left);
  const b = toDecimal(right);
  if (!a) return wrongOperand("left", left, "a number");
  if (!b) return wrongOperand("right", right, "a number");
  const holds = comparison[operator];
  if (holds) return boolValue(holds(compare(a, b)));
  const result = arithmetic[operator]?.(a, b);
  if (result) return numberValue(result);
  const why = b.digits === 0n ? "division by zero" : "the result is out of range";
  return { fault: { where: "whole", summary: "Operation failed", detail: `Error during operation: ${why}.` } };
}

export function applyUnary(operator: "-" | "!", operand: Value): Result {
  const number = operator === "-" ? toDecimal(operand) : undefined;
  if (number) return numberValue(negate(number));
  const bool = operator === "!" ? toBool(operand) : undefined;
  if (bool !== undefined) return boolValue(!bool);
  return wrongOperand("right", operand, operator === "-" ? "a number" : "a bool", "unary");
}

function wrongOperand(where: "left" | "right", value: Value, wanted: string, name: string = where): Result {
  const why = value.kind === "null" ? "argument must not be null" : `${wanted} is required`;
  const detail = `Unsuitable value for ${name} operand: ${why}.`;
  return { fault: { where, summary: "Invalid operand", detail } };
}
