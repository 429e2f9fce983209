import { GraphError, type GraphErrorCategory } from "./errors.ts";
import type { Json, JsonObject } from "./json.ts";

const int32 = { min: -(2 ** 31), max: 2 ** 31 - 1 };
const int64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };

/**
 * The attributes of one resource, or of a block in it, read strictly (spec/04 §2.1): null and absent are zero, another type
 * is an error that starts with the table's prefix. Numbers lose their fraction and are clamped to the range of their field.
 */
export class Attributes {
  constructor(
    private readonly values: JsonObject,
    private readonly category: GraphErrorCategory,
    private readonly prefix: string,
    private readonly path = "",
  ) {}

  /** True when the attribute is there, even as null. */
  has(key: string): boolean {
    return this.values.has(key);
  }

  string(key: string): string {
    const value = this.values.get(key) ?? "";
    return typeof value === "string" ? value : this.#fail(key, "a string", value);
  }

  bool(key: string): boolean {
    const value = this.values.get(key) ?? false;
    return typeof value === "boolean" ? value : this.#fail(key, "a bool", value);
  }

  int32(key: string): number {
    const value = this.#number(key);
    return Math.max(int32.min, Math.min(int32.max, Math.trunc(value))) + 0;
  }

  int64(key: string): bigint {
    const value = this.#number(key);
    if (!Number.isFinite(value)) return value < 0 ? int64.min : int64.max;
    const whole = BigInt(Math.trunc(value));
    return whole < int64.min ? int64.min : whole > int64.max ? int64.max : whole;
  }

  /** A list of nested blocks. A null element is a block of zeros. */
  blocks(key: string): Attributes[] {
    const value = this.values.get(key) ?? [];
    if (!Array.isArray(value)) return this.#fail(key, "a list", value);
    return value.map((block, index) => {
      if (block !== null && !(block instanceof Map)) return this.#fail(`${key}[${index}]`, "an object", block);
      return new Attributes(block ?? new Map(), this.category, this.prefix, `${this.path}${key}[${index}].`);
    });
  }

  /** A map of strings, as its entries in document order. */
  strings(key: string): Array<[string, string]> {
    const value = this.values.get(key) ?? new Map<string, Json>();
    if (!(value instanceof Map)) return this.#fail(key, "a map of strings", value);
    return Array.from(value, ([name, text]) => {
      if (text !== null && typeof text !== "string") return this.#fail(`${key}.${name}`, "a string", text);
      return [name, text ?? ""];
    });
  }

  #number(key: string): number {
    const value = this.values.get(key) ?? 0;
    return typeof value === "number" ? value : this.#fail(key, "a number", value);
  }

  #fail(key: string, expected: string, value: Json): never {
    throw new GraphError(
      this.category,
      `${this.prefix}: attribute "${this.path}${key}": ${kindOf(value)}: expected ${expected}`,
    );
  }
}

/** What a value is, without the value: it may be a secret. */
function kindOf(value: Json): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return typeof value === "boolean" ? "a bool" : `a ${typeof value}`;
}
