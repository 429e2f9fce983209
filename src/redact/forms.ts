/** Shorter lines of a secret of several lines are too common to mask: `}`, `Host example.com` (spec/03 §5.10 [ours]). */
const minLineChars = 16;

/**
 * The texts under which a value may appear in a log: itself, its lines, and both as JSON, in a URL and in base64, with
 * whatever stands before or after it. Texts of fewer than `minLength` characters are left out.
 */
export function formsOf(value: string, minLength: number): Set<string> {
  const forms = new Set<string>();
  const add = (form: string) => {
    if (form.length >= minLength) forms.add(form);
  };
  for (const text of [value, ...linesOf(value)]) {
    if (text.length < minLength) continue;
    add(text);
    for (const form of jsonForms(text)) add(form);
    for (const form of urlForms(text)) add(form);
    for (const form of base64Forms(text)) add(form);
  }
  return forms;
}

function linesOf(value: string): string[] {
  if (!value.includes("\n")) return [];
  const lines = value.split("\n").map((line) => line.trim());
  // The frame of a PEM block is the same in every key, and no secret.
  return lines.filter((line) => line.length >= minLineChars && !/^-----(BEGIN|END) [A-Z0-9 ]+-----$/.test(line));
}

/** As JSON writes it, with and without Go's escapes of `<`, `>`, `&`; and as HCL does, which doubles `${` and `%{`. */
function* jsonForms(text: string): Generator<string> {
  const json = JSON.stringify(text).slice(1, -1);
  yield json;
  const escaped = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  yield json.replace(/[<>&\u2028\u2029]/g, escaped);
  yield json.replace(/([$%])\{/g, "$1$1{");
}

/** Percent-encoded: as JavaScript does it, strictly (RFC 3986), and with `+` for a blank as in a form. */
function* urlForms(text: string): Generator<string> {
  const url = encodeURIComponent(text.toWellFormed());
  yield url;
  const strict = url.replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
  yield strict;
  yield strict.replaceAll("%20", "+");
}

/** Base64 where 0, 1 or 2 bytes stand before the value: only characters that the value alone decides. */
function* base64Forms(text: string): Generator<string> {
  const bytes = Buffer.from(text);
  for (const before of [0, 1, 2]) {
    const encoded = Buffer.concat([Buffer.alloc(before), bytes]).toString("base64");
    const first = Math.ceil((before * 8) / 6);
    const end = Math.floor(((before + bytes.length) * 8) / 6);
    const form = encoded.slice(first, end);
    yield form;
    yield form.replaceAll("+", "-").replaceAll("/", "_");
  }
}
