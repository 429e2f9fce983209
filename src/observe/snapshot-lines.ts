/** A text with its place in all that was ever added. */
export interface Numbered {
  number: number;
  text: string;
}

/** The last lines of something that goes on: bounded in lines and in characters; who reads follows by number. */
export class RecentLines {
  #lines: string[] = [];
  #chars = 0;
  /** Number of the first line that is kept. */
  #first = 0;
  #ended: string | undefined;
  readonly #waiting = new Set<() => void>();

  constructor(
    private readonly maxLines: number,
    /** A single line is cut to a sixteenth of it. */
    private readonly maxChars: number,
  ) {}

  add(text: string): void {
    const most = Math.floor(this.maxChars / 16);
    const line = text.length > most ? `${text.slice(0, most).toWellFormed()}…` : text;
    this.#lines.push(line);
    this.#chars += line.length;
    let gone = 0;
    while (this.#lines.length - gone > this.maxLines || this.#chars > this.maxChars)
      this.#chars -= this.#lines[gone++]?.length ?? 0;
    if (gone > 0) {
      this.#lines.splice(0, gone);
      this.#first += gone;
    }
    this.#wake();
  }

  /** Nothing more comes; `how` is the last word. */
  end(how: string): void {
    this.#ended = how;
    this.#wake();
  }

  get ended(): string | undefined {
    return this.#ended;
  }

  /** The last `count` lines. */
  last(count: number): string[] {
    return count > 0 ? this.#lines.slice(-count) : [];
  }

  /** Number that the next line gets. */
  get next(): number {
    return this.#first + this.#lines.length;
  }

  /** What is kept from this number on. */
  from(number: number): Numbered[] {
    const start = Math.max(0, number - this.#first);
    return this.#lines.slice(start).map((text, index) => ({ number: this.#first + start + index, text }));
  }

  /** Resolves when there is a line of this number, or no more will come, or the signal aborts. */
  changed(number: number, signal: AbortSignal): Promise<void> {
    if (this.next > number || this.#ended !== undefined || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        this.#waiting.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener("abort", done, { once: true });
    });
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done();
  }
}
