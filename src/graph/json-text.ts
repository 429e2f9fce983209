import { type Json, type JsonObject, Span } from "./json.ts";
import { compareBytes } from "./order.ts";

type Piece = { text: string } | { value: Json };

/**
 * Prints values as compact JSON with sorted keys and `<`, `>`, `&`, U+2028, U+2029 escaped (spec/04 §7.2), each cut at about
 * `maxChars` characters and then marked by an ellipsis. Nothing recurses; an object is sorted once, however often it is shown.
 */
export class JsonPrinter {
  readonly #sorted = new Map<JsonObject, Array<[string, Json]>>();

  constructor(private readonly maxChars: number) {}

  print(value: Json): string {
    let shown = "";
    const pending: Piece[] = [{ value }];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      if ("text" in next) shown += next.text;
      else {
        const pieces = this.#pieces(next.value);
        if (typeof pieces === "string") shown += pieces;
        else pending.push(...pieces.reverse());
      }
      if (shown.length > this.maxChars) return `${shown.slice(0, this.maxChars).toWellFormed()}…`;
    }
    return shown;
  }

  /** The text of a value without parts, or the brackets, keys and values of one that has them: as many as can be shown. */
  #pieces(value: Json): string | Piece[] {
    if (typeof value === "string") return this.#string(value);
    if (typeof value === "number") return Object.is(value, -0) ? "-0" : String(value);
    if (Array.isArray(value)) {
      const items = value.slice(0, this.maxChars).flatMap((item, i) => [{ text: i > 0 ? "," : "" }, { value: item }]);
      return [{ text: "[" }, ...items, { text: "]" }];
    }
    if (value instanceof Map) {
      const members = this.#members(value).flatMap(([key, member], i) => [
        { text: `${i > 0 ? "," : ""}${this.#string(key)}:` },
        { value: member },
      ]);
      return [{ text: "{" }, ...members, { text: "}" }];
    }
    return value instanceof Span ? "…" : String(value);
  }

  #members(object: JsonObject): Array<[string, Json]> {
    let members = this.#sorted.get(object);
    if (!members) {
      members = [...object].sort(([a], [b]) => compareBytes(a, b)).slice(0, this.maxChars);
      this.#sorted.set(object, members);
    }
    return members;
  }

  #string(text: string): string {
    const json = JSON.stringify(text.slice(0, this.maxChars + 1));
    return json.replace(/[<>&\u2028\u2029]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  }
}
