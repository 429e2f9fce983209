import fc from "fast-check";
import { expect, test } from "vitest";
import { Diagnostics } from "../../src/template/diagnostics.ts";
import { readJson } from "../../src/template/json-reader.ts";
import { parseTemplate } from "../../src/template/parse.ts";
import { Source } from "../../src/template/source.ts";
import { mutated } from "../support/hcl-generator.ts";
import { templateFiles } from "../support/template-files.ts";

function reads(text: string): boolean {
  const diagnostics = new Diagnostics();
  readJson(new Source("main.tf.json", Buffer.from(text)), diagnostics);
  return diagnostics.count === 0;
}

function isJson(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null;
  } catch {
    return false;
  }
}

test("JSON is accepted and refused as JSON.parse does", () => {
  const chance = fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }));
  fc.assert(
    fc.property(fc.object(), chance, fc.boolean(), (value, stream, broken) => {
      const text = JSON.stringify(value);
      const source = broken ? mutated(() => stream.next().value ?? 0, text) : text;
      expect(reads(source), source).toBe(isJson(source));
    }),
    { numRuns: 1000 },
  );
});

test("a default of any JSON value comes through", () => {
  fc.assert(
    fc.property(fc.jsonValue({ depthSize: "small" }), (value) => {
      const text = JSON.stringify({ variable: { a: { default: [value] } } });
      const [variable] = parseTemplate(templateFiles({ "a.tf.json": text })).templateVariables;
      const normal = JSON.parse(JSON.stringify([value]).normalize("NFC"));
      expect(JSON.parse(variable?.defaultValue ?? "")).toEqual(normal);
    }),
  );
});

test.each([
  ['{"variable":{"a":{}}', "Unclosed object (main.tf.json:1)"],
  ['{"variable":\n{"a":{"default":[1,]}}}', "Trailing comma in array (main.tf.json:2)"],
  ['{"variable" {}}', "Missing property value colon"],
  ["{variable: {}}", "Invalid object property name"],
  ['{"a": nope}', "Invalid JSON keyword"],
  ['{"a": "\\q"}', "Invalid JSON string"],
  ['{"a": 1} x', "Extraneous data after value"],
  ["", "Missing JSON value"],
  ["1", "Root value must be object"],
  ['{"variable": 1}', "Incorrect JSON value type"],
  ['{"variable": {"a": 1}}', "Incorrect JSON value type"],
  ['{"variable": {}}', "Missing block label"],
  ['{"data": {"a": {}}}', "Missing block label"],
  ['{"variable": {"a": {"default": {"x": 1, "x": 2}}}}', "Duplicate object attribute"],
  ['{"variable": {"a": {"type": "a", "type": "b"}}}', "Duplicate argument"],
  ['{"variable": {"a": {"description": ["x"]}}}', "Unsuitable value type"],
])("%j is an error", (text, expected) => {
  expect(() => parseTemplate(templateFiles({ "main.tf.json": text }))).toThrow(expected);
});
