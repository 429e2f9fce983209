import { cleanText } from "../kit/text.ts";

/** A line that is longer than the cap: its head, and how long it was. */
export interface CutLine {
  head: string;
  bytes: number;
}

export interface LineSplitterOptions {
  /** Lines above this are cut: no message needs it, and parsing what a job prints costs memory (spec/03 §5.9). */
  capBytes?: number;
  /** Lines that look like the state's emergency dump are kept whole up to this: the state may be nowhere else (spec/03 §9.6). */
  dumpBytes?: number;
  onLine: (line: string) => void;
  onCut: (line: CutLine) => void;
  /** An emergency dump that is longer than the cap, whole, in place of `onLine`. */
  onDump?: (line: Uint8Array) => void;
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
/** What of a cut line is shown: the control plane stores 1,024 characters of an entry. */
const headBytes = 4096;
/** Members come in alphabetical order, so the message stands before the state. */
const dumpMark = /^\{[^{}]{0,200}"@message":"Emergency state dump"/;

/**
 * Bytes in, lines out: LF ends a line, one CR before it goes, the last line needs no LF. A character that two chunks
 * share stays whole, bad UTF-8 becomes U+FFFD. Never stops reading: a line beyond the cap is cut and skipped to its end.
 */
export class LineSplitter {
  readonly #options: Required<Omit<LineSplitterOptions, "onDump">> & Pick<LineSplitterOptions, "onDump">;
  #parts: Uint8Array[] = [];
  /** Bytes of the line so far, those that were thrown away included. */
  #length = 0;
  #kept = 0;
  #mode: "line" | "dump" | "skip" = "line";

  constructor(options: LineSplitterOptions) {
    this.#options = { capBytes: 1024 * 1024, dumpBytes: 128 * 1024 * 1024, ...options };
  }

  push(chunk: Uint8Array): void {
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, start)) {
      this.#add(chunk.subarray(start, end));
      this.#finish();
      start = end + 1;
    }
    if (start < chunk.length) this.#add(chunk.subarray(start));
  }

  /** The stream is over. */
  end(): void {
    if (this.#length > 0) this.#finish();
  }

  #add(part: Uint8Array): void {
    this.#length += part.length;
    if (this.#mode === "skip" || part.length === 0) return;
    this.#parts.push(part);
    this.#kept += part.length;
    if (this.#mode === "line" && this.#kept > this.#options.capBytes) {
      const head = cleanText(this.#joined().subarray(0, headBytes));
      this.#mode = this.#options.onDump && dumpMark.test(head) ? "dump" : "skip";
    }
    if (this.#mode === "dump" && this.#kept > this.#options.dumpBytes) this.#mode = "skip";
    if (this.#mode === "skip") this.#parts = [this.#joined().slice(0, Math.min(headBytes, this.#options.capBytes))];
  }

  #finish(): void {
    const { onLine, onCut, onDump } = this.#options;
    let line = this.#joined();
    const [length, mode] = [this.#length, this.#mode];
    this.#parts = [];
    this.#length = 0;
    this.#kept = 0;
    this.#mode = "line";
    if (line.at(-1) === carriageReturn && mode !== "skip") line = line.subarray(0, -1);
    if (mode === "skip") onCut({ head: cleanText(line), bytes: length });
    else if (mode === "dump") onDump?.(line);
    else onLine(cleanText(line));
  }

  #joined(): Uint8Array {
    const [only, ...more] = this.#parts;
    if (more.length === 0) return only ?? new Uint8Array();
    const whole = Buffer.concat(this.#parts);
    this.#parts = [whole];
    return whole;
  }
}
