import { limits } from "./limits.ts";

/** What `modulePath` gives for an address that does not parse: a value, not an error (spec/04 §4). */
export const invalidAddress = "invalid terraform address";

const nameAt = /[A-Za-z_-][A-Za-z0-9_-]*/y;
/** What fits into 64 bits has at most 19 digits. */
const integerAt = /-?[0-9]{1,19}/y;

/** The module part of a resource's address with its indexes, "" in the root module, or `invalidAddress` (spec/04 §4). */
export function modulePath(address: string): string {
  if (address.length > limits.addressChars) return invalidAddress;
  const steps: string[] = [];
  const cursor = new Cursor(address);
  for (;;) {
    const first = cursor.name();
    if (first === undefined || !cursor.take(".")) return invalidAddress;
    const name = cursor.name();
    const index = name === undefined ? undefined : cursor.index();
    if (index === undefined) return invalidAddress;
    if (cursor.ended) return steps.join(".");
    if (first !== "module" || !cursor.take(".")) return invalidAddress;
    steps.push(`module.${name}${index}`);
  }
}

class Cursor {
  #at = 0;

  constructor(private readonly text: string) {}

  get ended(): boolean {
    return this.#at === this.text.length;
  }

  take(expected: string): boolean {
    if (!this.text.startsWith(expected, this.#at)) return false;
    this.#at += expected.length;
    return true;
  }

  name(): string | undefined {
    return this.#match(nameAt);
  }

  /** An index in brackets as it is printed again, "" where there is none, undefined for a broken one. */
  index(): string | undefined {
    if (!this.take("[")) return "";
    const integer = this.#match(integerAt);
    const key = integer === undefined ? this.#quoted() : BigInt(integer).toString();
    return key !== undefined && this.take("]") ? `[${key}]` : undefined;
  }

  #quoted(): string | undefined {
    if (this.text[this.#at] !== '"') return undefined;
    let end = this.#at + 1;
    while (end < this.text.length && this.text[end] !== '"') end += this.text[end] === "\\" ? 2 : 1;
    const quoted = this.text.slice(this.#at, end + 1);
    this.#at = end + 1;
    try {
      return JSON.stringify(JSON.parse(quoted));
    } catch {
      return undefined;
    }
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }
}
