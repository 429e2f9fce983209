import { type Json, type JsonObject, Span } from "./json.ts";
import { compareBytes } from "./order.ts";

/** A container that is being printed: what is left of it, each member with its key, and how it ends. */
interface Frame {
  readonly members: Iterator<readonly [key: string | number, value: Json]>;
  readonly closer: "]" | "}";
  count: number;
}

/**
 * Prints values as compact JSON with sorted keys and `<`, `>`, `&`, U+2028, U+2029 escaped (spec/04 §7.2), each cut at
 * `maxChars` characters and then marked by an ellipsis. Nothing recurses; the work ends with the cut, and an object is
 * sorted once, however often it is shown.
 */
export class JsonPrinter {
  readonly #sorted = new Map<JsonObject, Array<[string, Json]>>();

  constructor(private readonly maxChars: number) {}

  print(value: Json): string {
    const frames: Frame[] = [];
    let text = this.#begin(value, frames);
    for (let frame = frames.at(-1); frame && text.length <= this.maxChars; frame = frames.at(-1)) {
      const next = frame.members.next();
      if (next.done) {
        text += frame.closer;
        frames.pop();
        continue;
      }
      const [key, member] = next.value;
      if (frame.count++ > 0) text += ",";
      if (typeof key === "string") text += `${this.#string(key)}:`;
      text += this.#begin(member, frames);
    }
    return text.length > this.maxChars ? `${text.slice(0, this.maxChars).toWellFormed()}…` : text;
  }

  /** The text of a value without members, or the opening of one that has them. */
  #begin(value: Json, frames: Frame[]): string {
    if (typeof value === "string") return this.#string(value);
    if (typeof value === "number") return Object.is(value, -0) ? "-0" : String(value);
    if (Array.isArray(value)) {
      frames.push({ members: value.entries(), closer: "]", count: 0 });
      return "[";
    }
    if (value instanceof Map) {
      frames.push({ members: this.#members(value).values(), closer: "}", count: 0 });
      return "{";
    }
    return value instanceof Span ? "…" : String(value);
  }

  #members(object: JsonObject): Array<[string, Json]> {
    let members = this.#sorted.get(object);
    if (!members) {
      members = [...object].sort(([a], [b]) => compareBytes(a, b));
      this.#sorted.set(object, members);
    }
    return members;
  }

  #string(text: string): string {
    const json = JSON.stringify(text.slice(0, this.maxChars + 1));
    return json.replace(/[<>&\u2028\u2029]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  }
}
