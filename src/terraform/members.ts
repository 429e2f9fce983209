/*
 * Members of JSON that the engine printed. Null and absent are empty, as they are for Go's reader; a value of another
 * type throws TypeError, and then the line is no record.
 */

export type Members = Record<string, unknown>;

export function object(value: unknown): Members {
  if (value === null || value === undefined) return {};
  if (typeof value !== "object" || Array.isArray(value)) throw new TypeError("not an object");
  return value as Members;
}

export function list(value: unknown): unknown[] {
  if (value === null || value === undefined) return [];
  if (!Array.isArray(value)) throw new TypeError("not an array");
  return value;
}

export function text(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value !== "string") throw new TypeError("not a string");
  return value;
}

export function integer(value: unknown): number {
  if (value === null || value === undefined) return 0;
  if (!Number.isInteger(value)) throw new TypeError("not an integer");
  return value as number;
}
