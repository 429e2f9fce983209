import fc from "fast-check";
import { expect, test } from "vitest";
import { type Json, readJson, type Shape, Span } from "../../src/graph/json.ts";
import { JsonPrinter } from "../../src/graph/json-text.ts";
import { compareBytes } from "../../src/graph/order.ts";
import { bytes, graphError } from "../support/graph-documents.ts";

const read = (text: string, shape: Shape = "whole") => readJson(bytes(text), shape, { left: 1_000 });

/** The same with its lone surrogates replaced, as text is when it becomes bytes. */
function wellFormed(value: unknown): unknown {
  if (typeof value === "string") return value.toWellFormed();
  if (Array.isArray(value)) return value.map(wellFormed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key.toWellFormed(), wellFormed(member)]));
}

/** Maps as objects, so that results compare with those of JSON.parse. */
function plain(value: Json): unknown {
  if (Array.isArray(value)) return value.map(plain);
  return value instanceof Map ? Object.fromEntries(Array.from(value, ([key, member]) => [key, plain(member)])) : value;
}

const broken = [
  "",
  " ",
  "{",
  "[",
  "}",
  "[1",
  "[1,",
  "[1,]",
  "[,1]",
  "{,}",
  '{"a"}',
  '{"a":}',
  '{"a":1,}',
  '{"a" 1}',
  "{a:1}",
  "{1:1}",
  '"',
  '"\\"',
  '"\\x"',
  '"\\u12g4"',
  '"\\u12',
  '"\n"',
  '"\t"',
  "01",
  "-",
  "+1",
  "1.",
  ".5",
  "1e",
  "1e+",
  "0x1",
  "NaN",
  "Infinity",
  "nul",
  "nulll",
  "truE",
  "[1 2]",
  "1 2",
  "[]]",
  "[}",
  "{]",
  "//",
  "[1]x",
  "\ufeff1",
  "'a'",
  "-01",
];

test("what is no JSON is refused as JSON.parse refuses it, where it is kept and where it is skipped", () => {
  for (const text of broken) {
    expect(() => JSON.parse(text), text).toThrow();
    expect(graphError(() => read(text)).category, text).toBe("parse_json");
    expect(graphError(() => read(`{"skipped": ${text}}`, { members: new Map() })).category, text).toBe("parse_json");
  }
});

test("property: any JSON reads as JSON.parse reads it, with any blanks", () => {
  fc.assert(
    fc.property(fc.json({ depthSize: "large" }), fc.constantFrom(0, 1, "\t", "\r\n "), (text, blanks) => {
      const spaced = JSON.stringify(JSON.parse(text), null, blanks);
      expect(plain(read(spaced))).toEqual(plain(read(text)));
      expect(plain(read(text))).toEqual(JSON.parse(text));
    }),
    { numRuns: 500 },
  );
});

test("property: with a byte changed, cut or added, both accept or both refuse", () => {
  const change = fc.tuple(
    fc.nat(),
    fc.constantFrom(...'{}[]",:\\0-1.eEtnu \n\u0001'),
    fc.constantFrom("set", "cut", "add"),
  );
  fc.assert(
    fc.property(fc.json(), change, (text, [at, unit, how]) => {
      const index = at % (text.length + 1);
      const changed = text.slice(0, index) + (how === "cut" ? "" : unit) + text.slice(index + (how === "add" ? 0 : 1));
      let expected: { value: unknown } | undefined;
      try {
        expected = { value: JSON.parse(changed) };
      } catch {}
      if (expected) expect(plain(read(changed))).toEqual(wellFormed(expected.value));
      else expect(graphError(() => read(changed)).category).toBe("parse_json");
    }),
    { numRuns: 3_000 },
  );
});

test("a shape keeps what it names, and refuses other types but null", () => {
  const shape: Shape = {
    members: new Map<string, Shape>([
      ["a", { items: "string" }],
      ["o", "object"],
      ["l", "later"],
    ]),
  };
  expect(plain(read('{"a":["x",null],"b":[1],"o":null,"l":null}', shape))).toEqual({
    a: ["x", null],
    o: null,
    l: null,
  });
  const found = read('{"l": [1, 2] ,"o":{"x":1}}', shape) as Map<string, Json>;
  expect(found.get("l")).toEqual(new Span(6, 12));
  expect(found.get("o")).toEqual(new Span(18, 25));
  for (const text of ['{"a":{}}', '{"a":"x"}', '{"a":[1]}', '{"o":[]}', '{"o":1}', '{"o":"x"}', "[]", "1", '"x"']) {
    expect(graphError(() => read(text, shape)).category, text).toBe("parse_json");
  }
});

test("the budget bounds what is kept, not what is skipped", () => {
  const list = JSON.stringify(Array.from({ length: 100 }, () => 0));
  expect(graphError(() => readJson(bytes(list), "whole", { left: 100 })).category).toBe("too_big");
  expect(readJson(bytes(list), "whole", { left: 101 })).toHaveLength(100);
  expect(readJson(bytes(`{"x":${list}}`), { members: new Map() }, { left: 1 })).toEqual(new Map());
});

/** Sorted by the bytes of the keys, printed by JSON.stringify, then the escapes. */
function reference(value: unknown): string {
  const sorted = (item: unknown): unknown => {
    if (Array.isArray(item)) return item.map(sorted);
    if (typeof item !== "object" || item === null) return item;
    const keys = Object.keys(item).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    return `{${keys.map((key) => `${JSON.stringify(key)}:${inner((item as Record<string, unknown>)[key])}`).join(",")}}`;
  };
  const inner = (item: unknown): string => {
    if (Array.isArray(item)) return `[${item.map(inner).join(",")}]`;
    return typeof item === "object" && item !== null ? (sorted(item) as string) : JSON.stringify(item);
  };
  return inner(value).replace(/[<>&\u2028\u2029]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

test("property: printed JSON has sorted keys and the escapes, and no more characters than allowed", () => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false }), fc.integer({ min: 0, max: 20 }), (value, maxChars) => {
      const text = JSON.stringify(value);
      if (!text.isWellFormed() || /\\ud[89a-f]/.test(text) || text.includes("-0")) return;
      const json = readJson(bytes(text), "whole", { left: 10_000 });
      const whole = reference(JSON.parse(text));
      expect(new JsonPrinter(100_000).print(json)).toBe(whole);
      const cut = new JsonPrinter(maxChars).print(json);
      expect(cut.length).toBeLessThanOrEqual(Math.max(maxChars + 1, 0));
      if (whole.length <= maxChars) expect(cut).toBe(whole);
    }),
    { numRuns: 500 },
  );
});

test("property: order is the order of UTF-8 bytes", () => {
  const text = fc.string({ unit: "binary", maxLength: 6 }).map((one) => one.toWellFormed());
  const near = fc
    .array(fc.constantFrom("a", "[", "]", "\uff5e", "\u{1f600}", "\ue000", "\ud7ff"), { maxLength: 4 })
    .map((units) => units.join(""));
  fc.assert(
    fc.property(fc.oneof(text, near), fc.oneof(text, near), (a, b) => {
      expect(Math.sign(compareBytes(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
    }),
    { numRuns: 2_000 },
  );
});
