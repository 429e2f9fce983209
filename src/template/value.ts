import { compare, type Decimal, decimalText, doubleText, parseDecimal } from "./decimal.ts";

/** What a constant expression comes to. Strings are in Unicode's form NFC, as HCL keeps them. */
export type Value =
  /** Not a constant; a diagnostic says why. Whatever is made of it is unknown too. */
  | { readonly kind: "unknown" }
  | { readonly kind: "null" }
  | { readonly kind: "string"; readonly text: string }
  | { readonly kind: "number"; readonly number: Decimal }
  | { readonly kind: "bool"; readonly value: boolean }
  /** `size` counts all that is inside: parts may be shared, so that a walk may be longer than the source. */
  | { readonly kind: "tuple"; readonly items: readonly Value[]; readonly size: number }
  | { readonly kind: "object"; readonly entries: ReadonlyMap<string, Value>; readonly size: number };

export const unknown: Value = { kind: "unknown" };
export const nothing: Value = { kind: "null" };
export const stringValue = (text: string): Value => ({ kind: "string", text: text.normalize("NFC") });
export const numberValue = (number: Decimal): Value => ({ kind: "number", number });
export const boolValue = (value: boolean): Value => ({ kind: "bool", value });

export function sizeOf(value: Value): number {
  if (value.kind === "string") return 1 + value.text.length;
  return value.kind === "tuple" || value.kind === "object" ? value.size : 1;
}

export function tupleValue(items: readonly Value[]): Value {
  let size = 1;
  for (const item of items) size += sizeOf(item);
  return { kind: "tuple", items, size };
}

export function objectValue(entries: ReadonlyMap<string, Value>): Value {
  let size = 1;
  for (const [name, value] of entries) size += name.length + sizeOf(value);
  return { kind: "object", entries, size };
}

/** The value as a string, where HCL converts by itself; undefined for the rest. */
export function toText(value: Value): string | undefined {
  if (value.kind === "string") return value.text;
  if (value.kind === "number") return decimalText(value.number);
  return value.kind === "bool" ? String(value.value) : undefined;
}

export function toDecimal(value: Value): Decimal | undefined {
  if (value.kind === "number") return value.number;
  return value.kind === "string" ? parseDecimal(value.text) : undefined;
}

export function toBool(value: Value): boolean | undefined {
  if (value.kind === "bool") return value.value;
  if (value.kind !== "string") return undefined;
  if (value.text === "true" || value.text === "1") return true;
  return value.text === "false" || value.text === "0" ? false : undefined;
}

/** Whether nothing unknown is inside. */
export function isKnown(value: Value): boolean {
  if (value.kind === "tuple") return value.items.every(isKnown);
  if (value.kind === "object") return [...value.entries.values()].every(isKnown);
  return value.kind !== "unknown";
}

/** Equal in type and content: 1 and "1" differ. */
export function equal(a: Value, b: Value): boolean {
  if (a.kind === "tuple" && b.kind === "tuple") {
    return a.items.length === b.items.length && a.items.every((item, index) => equal(item, b.items[index] ?? unknown));
  }
  if (a.kind === "object" && b.kind === "object") {
    if (a.entries.size !== b.entries.size) return false;
    return [...a.entries].every(([name, value]) => equal(value, b.entries.get(name) ?? unknown));
  }
  if (a.kind === "number" && b.kind === "number") return compare(a.number, b.number) === 0;
  if (a.kind === "string" && b.kind === "string") return a.text === b.text;
  if (a.kind === "bool" && b.kind === "bool") return a.value === b.value;
  return a.kind === "null" && b.kind === "null";
}

/** JSON as the control plane gets it: names sorted, `<`, `>`, `&` escaped (spec/04 §7.2). Undefined: a number is too big. */
export function toJson(value: Value): string | undefined {
  switch (value.kind) {
    case "string":
      return jsonString(value.text);
    case "number":
      return doubleText(value.number);
    case "bool":
      return String(value.value);
    case "tuple":
      return joined("[", value.items.map(toJson), "]");
    case "object": {
      const member = ([name, inner]: [string, Value]) => {
        const json = toJson(inner);
        return json && `${jsonString(name)}:${json}`;
      };
      return joined("{", sortedEntries(value.entries).map(member), "}");
    }
    default:
      return "null";
  }
}

export function sortedEntries(entries: ReadonlyMap<string, Value>): [string, Value][] {
  return [...entries].sort(([a], [b]) => compareBytes(a, b));
}

/** Order of the texts' UTF-8 bytes, which is that of their code points. */
export function compareBytes(a: string, b: string): number {
  if (a === b) return 0;
  return /[\ud800-\uffff]/.test(a + b) ? Buffer.compare(Buffer.from(a), Buffer.from(b)) : a < b ? -1 : 1;
}

function joined(open: string, parts: (string | undefined)[], close: string): string | undefined {
  return parts.includes(undefined) ? undefined : open + parts.join(",") + close;
}

function jsonString(text: string): string {
  const escaped = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(text.toWellFormed()).replaceAll(/[<>&\u2028\u2029]/g, escaped);
}
