import fc from "fast-check";
import { expect, test } from "vitest";
import { scanObject, scanState } from "../../src/kit/state-scan.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

test("a state is an object with a numeric version and a lineage, or encrypted data", () => {
  const state = '{"version":4,"serial":7,"lineage":"x","resources":[{"version":9,"serial":8}]}';
  expect(scanState(bytes(state))).toEqual({ version: 4, serial: 7, lineage: "x", encrypted: false });
  expect(scanState(bytes('{"encrypted_data":"abc"}'))?.encrypted).toBe(true);
  for (const bad of [
    "",
    "garbage",
    "{}",
    "[]",
    "null",
    '{"version":4}',
    '{"version":"4","lineage":"x"}',
    `${state}}`,
  ]) {
    expect(scanState(bytes(bad)), bad).toBeUndefined();
  }
});

test("a state that was cut anywhere is none", () => {
  const state = bytes(
    '{"version":4,"serial":7,"lineage":"x\\u00e9\\n","outputs":{"a":{"value":[1,-2.5e3,true,null]}}}',
  );
  for (let length = 0; length < state.length; length++) expect(scanState(state.subarray(0, length))).toBeUndefined();
  expect(scanState(state)?.serial).toBe(7);
});

test("deep nesting and long scalars end the scan instead of the process", () => {
  expect(scanState(bytes(`{"version":4,"lineage":"x","a":${"[".repeat(200_000)}`))).toBeUndefined();
  expect(scanState(bytes(`{"version":${"1".repeat(5000)},"lineage":"x"}`))).toBeUndefined();
});

test("the scanner and JSON.parse agree on what is an object", () => {
  const agree = (text: string) => {
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch {}
    const expected = typeof parsed === "object" && parsed !== null && !Array.isArray(parsed);
    const members: Record<string, unknown> = {};
    const raw = bytes(text);
    const found = scanObject(raw, (name, start, end) => {
      Object.defineProperty(members, name, {
        value: JSON.parse(new TextDecoder().decode(raw.subarray(start, end))),
        enumerable: true,
        configurable: true,
        writable: true,
      });
    });
    expect(found, text).toBe(expected);
    if (expected) expect(members).toEqual(parsed);
  };
  fc.assert(fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => agree(JSON.stringify(value, null, 1))));
  // The same with one character changed: most are broken, and both must see it.
  const damaged = fc.tuple(fc.dictionary(fc.string(), fc.jsonValue()), fc.nat(), fc.constantFrom(...'{}[]",:0e-. x\\'));
  fc.assert(
    fc.property(damaged, ([value, place, replacement]) => {
      const text = JSON.stringify(value);
      const at = place % text.length;
      const changed = text.slice(0, at) + replacement + text.slice(at + 1);
      if (changed.isWellFormed()) agree(changed);
    }),
    { numRuns: 500 },
  );
});
