import { cleanText } from "../kit/text.ts";

/** The last bytes of a stream, at most `maxBytes` and one chunk more while it runs. */
export class Tail {
  #chunks: Uint8Array[] = [];
  #bytes = 0;

  constructor(private readonly maxBytes: number) {}

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    while (this.#bytes - (this.#chunks[0]?.length ?? 0) >= this.maxBytes) {
      this.#bytes -= this.#chunks.shift()?.length ?? 0;
    }
  }

  /** What is kept, as well-formed text; a character that was cut at the start shows as U+FFFD. */
  text(): string {
    return cleanText(Buffer.concat(this.#chunks).subarray(-this.maxBytes));
  }
}
