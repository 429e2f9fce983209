/**
 * A number as HCL has it: decimal, about 512 bits of precision, so that 0.1 + 0.2 is 0.3 (spec/04 §8.4).
 * The value is ±digits × 10^exponent; zero has a sign.
 */
export interface Decimal {
  readonly negative: boolean;
  readonly digits: bigint;
  readonly exponent: number;
}

/** 512 bits hold this many decimal digits. */
const precision = 154;
/** Beyond any double, and small enough that lining up two numbers stays cheap. */
const maxExponent = 1000;

const pattern = /^([+-]?)(?:(\d+)(?:\.(\d*))?|\.(\d+))(?:[eE]([+-]?\d+))?$/;

/** Reads `1`, `-1.5`, `1e3`; undefined for any other text and for numbers beyond 10^±1000. */
export function parseDecimal(text: string): Decimal | undefined {
  const match = pattern.exec(text);
  if (!match) return undefined;
  const [, sign, whole = "", fraction = "", bareFraction = "", power = "0"] = match;
  const places = fraction + bareFraction;
  const significant = (whole + places).replace(/^0+/, "");
  // Further digits cannot be seen in any result, and a bigint of all of them would cost their square.
  const kept = significant.slice(0, precision + 1) || "0";
  const exponent = Number(power) - places.length + Math.max(0, significant.length - kept.length);
  return make(sign === "-", BigInt(kept), exponent);
}

export const decimalOf = (value: number): Decimal => make(value < 0, BigInt(Math.abs(value)), 0) ?? zero;

const zero: Decimal = { negative: false, digits: 0n, exponent: 0 };

function make(negative: boolean, digits: bigint, exponent: number): Decimal | undefined {
  if (digits === 0n) return { negative, digits, exponent: 0 };
  let text = digits.toString();
  let power = exponent;
  if (text.length > precision) {
    const extra = text.length - precision;
    const unit = 10n ** BigInt(extra);
    text = ((digits + unit / 2n) / unit).toString();
    power += extra;
  }
  const trimmed = text.replace(/0+$/, "");
  power += text.length - trimmed.length;
  if (Math.abs(power + trimmed.length) > maxExponent) return undefined;
  return { negative, digits: BigInt(trimmed), exponent: power };
}

const signed = ({ negative, digits }: Decimal) => (negative ? -digits : digits);

function alignedTo(exponent: number, value: Decimal): bigint {
  return signed(value) * 10n ** BigInt(value.exponent - exponent);
}

function fromSigned(value: bigint, exponent: number): Decimal | undefined {
  return make(value < 0n, value < 0n ? -value : value, exponent);
}

export const negate = (a: Decimal): Decimal => ({ ...a, negative: !a.negative });

export function add(a: Decimal, b: Decimal): Decimal | undefined {
  const exponent = Math.min(a.exponent, b.exponent);
  return fromSigned(alignedTo(exponent, a) + alignedTo(exponent, b), exponent);
}

export function multiply(a: Decimal, b: Decimal): Decimal | undefined {
  return make(a.negative !== b.negative, a.digits * b.digits, a.exponent + b.exponent);
}

/** Undefined for a zero divisor, as for results out of range. */
export function divide(a: Decimal, b: Decimal): Decimal | undefined {
  if (b.digits === 0n) return undefined;
  const shift = 2 * precision;
  const quotient = (a.digits * 10n ** BigInt(shift)) / b.digits;
  return make(a.negative !== b.negative, quotient, a.exponent - b.exponent - shift);
}

/** The remainder has the sign of `a`. */
export function remainder(a: Decimal, b: Decimal): Decimal | undefined {
  if (b.digits === 0n) return undefined;
  const exponent = Math.min(a.exponent, b.exponent);
  return fromSigned(alignedTo(exponent, a) % alignedTo(exponent, b), exponent);
}

/** Below, at or above zero, as `a` is below, at or above `b`. */
export function compare(a: Decimal, b: Decimal): number {
  const exponent = Math.min(a.exponent, b.exponent);
  const difference = alignedTo(exponent, a) - alignedTo(exponent, b);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** Plain decimal digits, never an exponent: how a number reads inside a string. */
export function decimalText({ negative, digits, exponent }: Decimal): string {
  let text = digits.toString();
  if (exponent >= 0) text += "0".repeat(exponent);
  else {
    const padded = text.padStart(1 - exponent, "0");
    text = `${padded.slice(0, exponent)}.${padded.slice(exponent)}`;
  }
  return negative ? `-${text}` : text;
}

/** As a double in JavaScript's notation, `1e-7` (spec/04 §7.2); undefined where a double would be infinite. */
export function doubleText({ negative, digits, exponent }: Decimal): string | undefined {
  const value = Number(`${digits}e${exponent}`);
  if (!Number.isFinite(value)) return undefined;
  return (negative ? "-" : "") + String(value);
}

/** As an index: a whole number that a list could have. */
export function wholeNumber(value: Decimal): number | undefined {
  const number = Number(`${signed(value)}e${value.exponent}`);
  return Number.isSafeInteger(number) ? number : undefined;
}
