import type { Cursor } from "./cursor.ts";
import type { Span } from "./source.ts";

const simple: Record<string, string> = { n: "\n", r: "\r", t: "\t", '"': '"', "\\": "\\" };
/** `$${` and `%%{`, and in quoted text a backslash with what it takes along. */
const quotedEscape = /\$\$\{|%%\{|\\(?:u[0-9a-fA-F]{0,4}|U[0-9a-fA-F]{0,8}|[\s\S]|$)/gu;
const heredocEscape = /\$\$\{|%%\{/g;

/** The text that a piece of string literal stands for; a wrong escape is a diagnostic (spec/04 §8.2). */
export function unescapeText(cursor: Cursor, span: Span, quoted: boolean): string {
  const text = cursor.text(span);
  if (!/[\\$%]/.test(text)) return text;
  return text.replace(quoted ? quotedEscape : heredocEscape, (sequence: string, at: number) => {
    if (sequence[0] !== "\\") return sequence.slice(1);
    const selector = sequence.slice(1);
    const plain = simple[selector];
    if (plain !== undefined) return plain;
    const place = { start: span.start + at, end: span.start + at + sequence.length };
    const fail = (detail: string) => {
      cursor.error(place, "Invalid escape sequence", detail);
      return selector;
    };
    if (selector[0] === "u" || selector[0] === "U") return unicode(selector, fail);
    return fail(`The symbol ${JSON.stringify(selector)} is not a valid escape sequence selector.`);
  });
}

function unicode(selector: string, fail: (detail: string) => string): string {
  const digits = selector.slice(1);
  const [wanted, word] = selector[0] === "u" ? [4, "four"] : [8, "eight"];
  if (digits.length !== wanted) {
    return fail(`The \\${selector[0]} escape sequence must be followed by ${word} hexadecimal digits.`);
  }
  const point = Number.parseInt(digits, 16);
  if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) {
    return fail(`Cannot encode character U+${point.toString(16).padStart(4, "0")} in UTF-8.`);
  }
  return String.fromCodePoint(point);
}
