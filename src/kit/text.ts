/** Bytes as well-formed text: bad UTF-8 becomes U+FFFD and NUL disappears (spec/01#115). */
export function cleanText(input: Uint8Array | string): string {
  const text = typeof input === "string" ? input.toWellFormed() : decoder.decode(input);
  return text.includes("\0") ? text.replaceAll("\0", "") : text;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
