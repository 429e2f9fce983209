import { limits } from "../contract/limits.ts";
import { cleanText } from "../kit/text.ts";

/** Words of an output as it can be stored: well-formed, without NUL, cut at 1024 characters (spec/02 §3.2, 02#48, 02#49). */
export function storable(output: string): string[] {
  return splitAt(cleanText(output), limits.logOutputChars);
}

/** Cuts a text into pieces of at most `maxChars` code points, never inside one. An empty text is one empty piece. */
export function splitAt(text: string, maxChars: number): string[] {
  // A text has at most as many characters as UTF-16 units.
  if (text.length <= maxChars) return [text];
  const pieces: string[] = [];
  for (let start = 0; start < text.length; ) {
    let end = start;
    for (let chars = 0; chars < maxChars && end < text.length; chars++) {
      end += (text.codePointAt(end) as number) > 0xffff ? 2 : 1;
    }
    pieces.push(text.slice(start, end));
    start = end;
  }
  return pieces;
}
