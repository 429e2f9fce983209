import { isUtf8 } from "node:buffer";

/** Half-open range of UTF-16 units in a source's text. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A place for people: both count from 1, the column in characters as a person sees them. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export const between = (from: Span, to: Span): Span => ({ start: from.start, end: to.end });

/** Stands for bytes that are not UTF-8: a lone surrogate, which no valid text holds. */
export const badByte = "\udfff";

/** A character column is counted only on lines up to this long; on longer ones code points do, to stay linear. */
const exactColumnUnits = 2000;

/** One file's text, without byte order mark, and its way from offsets to lines. Line ends stay as they are. */
export class Source {
  readonly text: string;
  #lineStarts: number[] | undefined;

  constructor(
    readonly name: string,
    bytes: Uint8Array,
  ) {
    const text = new TextDecoder("utf-8").decode(bytes);
    this.text = isUtf8(bytes) ? text : text.replaceAll("\ufffd", badByte);
  }

  /** The source text of a span, character for character (spec/04 §7.4). */
  slice(span: Span): string {
    return this.text.slice(span.start, span.end).toWellFormed();
  }

  line(offset: number): number {
    const starts = this.#starts();
    let low = 0;
    let high = starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((starts[middle] ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  position(offset: number): Position {
    const line = this.line(offset);
    const before = this.text.slice(this.#starts()[line - 1], offset);
    return { line, column: characters(before) + 1 };
  }

  /** `main.tf:3,5-12`, or `main.tf:3,5-4,2` over several lines: the form in which HCL names a place inside a sentence. */
  rangeText(span: Span): string {
    const start = this.position(span.start);
    const end = this.position(span.end);
    const tail = start.line === end.line ? `${end.column}` : `${end.line},${end.column}`;
    return `${this.name}:${start.line},${start.column}-${tail}`;
  }

  #starts(): number[] {
    if (this.#lineStarts) return this.#lineStarts;
    const starts = [0];
    for (let at = this.text.indexOf("\n"); at >= 0; at = this.text.indexOf("\n", at + 1)) starts.push(at + 1);
    this.#lineStarts = starts;
    return starts;
  }
}

function characters(text: string): number {
  if (/^[\x20-\x7e\t]*$/.test(text)) return text.length;
  if (text.length > exactColumnUnits) return Array.from(text).length;
  return Array.from(new Intl.Segmenter("en", { granularity: "grapheme" }).segment(text)).length;
}
