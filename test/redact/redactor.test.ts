import fc from "fast-check";
import { expect, test } from "vitest";
import { mark, Redactor } from "../../src/redact/redactor.ts";

function redactorOf(...values: string[]): Redactor {
  const redactor = new Redactor();
  redactor.add(values);
  return redactor;
}

/** The text through a stream, cut into chunks of these lengths, the rest in one. */
function streamed(redactor: Redactor, text: string, lengths: number[]): string {
  const stream = redactor.stream();
  let output = "";
  let at = 0;
  for (const length of lengths) {
    output += stream.push(text.slice(at, at + length));
    at += length;
  }
  return output + stream.push(text.slice(at)) + stream.end();
}

test("03#77 a secret becomes the mark, also as JSON, in a URL and inside base64 at any place", () => {
  const secret = 'p&ss<w>"ört\\ 1!';
  const redactor = redactorOf(secret);
  const json = JSON.stringify(secret).slice(1, -1);
  const go = json.replaceAll("&", "\\u0026").replaceAll("<", "\\u003c").replaceAll(">", "\\u003e");
  const url = encodeURIComponent(secret);
  for (const form of [secret, json, go, url, url.replace("!", "%21").replace("%20", "+")]) {
    expect(redactor.redact(`a ${form} b`), form).toBe(`a ${mark} b`);
  }
  for (const before of ["", "u", "us", "user:"]) {
    for (const encoding of ["base64", "base64url"] as const) {
      const encoded = Buffer.from(`${before}${secret}@host`).toString(encoding);
      const output = redactor.redact(encoded);
      expect(output).toContain(mark);
      const shown = Buffer.from(output.replace(mark, ""), encoding).toString("latin1");
      expect(shown, `${before} ${encoding}`).not.toContain("ss<w");
    }
  }
});

test("03#77 values of eight characters are masked, shorter ones are not", () => {
  const redactor = redactorOf("12345678", "1234567");
  expect(redactor.redact("x12345678y 1234567")).toBe(`x${mark}y 1234567`);
  expect(redactorOf("").redact("text")).toBe("text");
});

test("03#77 each line of a private key is masked by itself, its frame is not", () => {
  const lines = ["b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAA", "AAAAMwAAAAtzc2gtZWQyNTUxOQAAACD8", "short=="];
  const key = ["-----BEGIN OPENSSH PRIVATE KEY-----", ...lines, "-----END OPENSSH PRIVATE KEY-----", ""].join("\n");
  const redactor = redactorOf(key);
  expect(redactor.redact(`  | ${lines[0]}\n  | ${lines[1]}`)).toBe(`  | ${mark}\n  | ${mark}`);
  expect(redactor.redact("-----BEGIN OPENSSH PRIVATE KEY-----")).not.toContain(mark);
  expect(redactor.redact(`{"key":${JSON.stringify(key)}}`)).toBe(`{"key":"${mark}"}`);
});

test("a secret around two others is one mark, in a stream too", () => {
  const redactor = redactorOf("--first-key----second-key--", "first-key", "second-key");
  const text = "a --first-key----second-key-- b first-key";
  expect(redactor.redact(text)).toBe(`a ${mark} b ${mark}`);
  for (let at = 0; at <= text.length; at++) expect(streamed(redactor, text, [at])).toBe(`a ${mark} b ${mark}`);
});

test("a secret that is added while a stream is open is masked even if its beginning is held back", () => {
  const redactor = redactorOf("abcdefghij-long");
  const stream = redactor.stream();
  expect(stream.push("x abcdefgh")).toBe("x ");
  redactor.add(["cdefghij"]);
  expect(stream.push("ij-")).toBe("");
  expect(stream.push("short") + stream.end()).toBe(`ab${mark}-short`);
});

test("a stream holds back nothing that can't be a secret's beginning, and never more than the bound", () => {
  const redactor = redactorOf("s".repeat(100_000));
  const stream = redactor.stream();
  expect(stream.push("plain text\n")).toBe("plain text\n");
  let given = 0;
  for (let n = 0; n < 40; n++) given += stream.push("s".repeat(1000)).length;
  // Whatever was not given out as marks is held: the piece that is looked for has 16,384 characters.
  expect(given).toBeGreaterThan(0);
  expect(stream.push("x") + stream.end()).not.toContain("ssssssss");
});

const alphabet = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 8, maxLength: 14 });

test("no secret survives any chunking, and a stream gives the same as the whole", () => {
  fc.assert(
    fc.property(
      fc.array(alphabet, { minLength: 1, maxLength: 6 }),
      fc.array(fc.oneof(alphabet, fc.string({ unit: fc.constantFrom("a", "b", "c", "-"), maxLength: 5 }), fc.nat(5))),
      fc.array(fc.nat(9), { maxLength: 40 }),
      (values, parts, lengths) => {
        const redactor = redactorOf(...values);
        const text = parts.map((part) => (typeof part === "number" ? (values[part] ?? "") : part)).join("");
        const whole = redactor.redact(text);
        for (const value of values) expect(whole).not.toContain(value);
        expect(streamed(redactor, text, lengths)).toBe(whole);
        expect(streamed(redactor, text, new Array<number>(text.length).fill(1))).toBe(whole);
        // Nothing but secrets is taken away.
        const rest = whole.split(mark).join("");
        for (const char of "-") expect(rest.split(char).length).toBe(text.split(char).length);
      },
    ),
  );
});

test("thousands of secrets and a line of 1 MiB, hostile ones too, take linear time", () => {
  const values = Array.from({ length: 2000 }, (_, n) => `ghp_common_prefix_${n}_${"x".repeat(20)}`);
  const redactor = redactorOf(...values, "a".repeat(5000));
  const started = performance.now();
  expect(redactor.redact("ghp_common_prefix_".repeat(58_254)).length).toBeGreaterThan(1_000_000);
  expect(redactor.redact(`${"a".repeat(4999)}b`.repeat(200))).not.toContain(mark);
  // A generous bound: quadratic search takes minutes here.
  expect(performance.now() - started).toBeLessThan(10_000);
});
