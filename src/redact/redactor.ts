import { Automaton } from "./automaton.ts";
import { formsOf } from "./forms.ts";

/** What stands in place of a secret. */
export const mark = "[secret]";

/** Longer texts are looked for in pieces of this many characters, so that a stream never holds back more. */
const pieceChars = 16_384;
/** Derived forms stop here, in characters (some 20 bytes each); the values themselves, which came in a message of 4 MiB, never do. */
const maxFormChars = 4_194_304;
/** No key or token is longer; of what is, only the text itself is looked for. */
const maxValueChars = 65_536;

/**
 * Masks values that are known to be secret, and their common forms (see forms.ts), as `[secret]`. Values of fewer than
 * `minLength` characters (8, spec/03 §5.10) are not masked: they would blacken half the log.
 */
export class Redactor {
  readonly #minLength: number;
  readonly #patterns = new Set<string>();
  #formChars = 0;
  #automaton: Automaton | undefined;

  constructor(options: { minLength?: number } = {}) {
    this.#minLength = Math.max(1, options.minLength ?? 8);
  }

  /** More secrets; streams that are open mask them from here on. */
  add(values: Iterable<string>): void {
    for (const value of values) {
      if (value.length < this.#minLength || this.#patterns.has(value)) continue;
      this.#addPattern(value);
      if (value.length > maxValueChars || this.#formChars > maxFormChars) continue;
      for (const form of formsOf(value, this.#minLength)) {
        this.#formChars += form.length;
        this.#addPattern(form);
      }
    }
  }

  /** A text that is whole in itself. */
  redact(text: string): string {
    const automaton = this.#compiled();
    if (!automaton) return text;
    let output = "";
    let at = 0;
    for (const { start, end } of automaton.scan(text).stretches) {
      output += text.slice(at, start) + mark;
      at = end;
    }
    return at === 0 ? text : output + text.slice(at);
  }

  /** A text that comes in chunks: what may be the beginning of a secret is held back, 16,384 characters at most. */
  stream(): RedactedStream {
    return new RedactedStream(() => this.#compiled());
  }

  #addPattern(text: string): void {
    this.#automaton = undefined;
    for (let at = 0; at < text.length; at += pieceChars) {
      const start = Math.max(0, Math.min(at, text.length - pieceChars));
      this.#patterns.add(text.slice(start, start + pieceChars));
    }
  }

  #compiled(): Automaton | undefined {
    if (this.#patterns.size > 0) this.#automaton ??= new Automaton(this.#patterns);
    return this.#automaton;
  }
}

/** The state of one masked stream. */
export class RedactedStream {
  /** Characters that are not given out yet: they may be the beginning of a secret. */
  #held = "";
  /** How many of them, from the start, a mark that was given out covers already. */
  #covered = 0;

  constructor(private readonly compiled: () => Automaton | undefined) {}

  /** Takes a chunk and gives out what is certain. */
  push(chunk: string): string {
    return this.#step(chunk, false);
  }

  /** The end: gives out the rest. */
  end(): string {
    return this.#step("", true);
  }

  #step(chunk: string, last: boolean): string {
    const text = this.#held + chunk;
    const { stretches, open } = this.compiled()?.scan(text) ?? { stretches: [], open: 0 };
    const safe = last ? text.length : text.length - open;
    let output = "";
    let at = this.#covered;
    for (const { start, end } of stretches) {
      // What begins later may turn out to be the inside of a longer one.
      if (start >= safe && !last) break;
      if (start >= at) output += text.slice(at, start) + mark;
      at = Math.max(at, end);
    }
    if (safe > at) output += text.slice(at, safe);
    this.#held = text.slice(safe);
    this.#covered = Math.max(0, at - safe);
    return output;
  }
}
