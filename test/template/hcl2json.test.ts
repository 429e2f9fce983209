import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "@cdktn/hcl2json";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseNative } from "../../src/template/bodies.ts";
import { Diagnostics } from "../../src/template/diagnostics.ts";
import { parseTemplate } from "../../src/template/parse.ts";
import { Source } from "../../src/template/source.ts";
import { constantSource, everyConstruct, mutated } from "../support/hcl-generator.ts";
import { sharedFolder } from "../support/shared.ts";
import { templateFiles } from "../support/template-files.ts";

/** HashiCorp's own parser, compiled to WebAssembly: accepts and refuses what it is asked to imitate. */
const theyAccept = (text: string) =>
  parse("main.tf", text).then(
    () => true,
    () => false,
  );

function weAccept(text: string): boolean {
  const diagnostics = new Diagnostics();
  parseNative(new Source("main.tf", Buffer.from(text)), diagnostics);
  return diagnostics.count === 0;
}

/** Chance for the generators out of fast-check, so that it can shrink and print what failed. */
const chance = fc
  .infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }))
  .map((stream) => () => stream.next().value ?? 0);

test("generated constants are read as HashiCorp's parser reads them", async () => {
  await fc.assert(
    fc.asyncProperty(chance, async (random) => {
      const text = `variable "a" {\n  default = ${constantSource(random)}\n}\n`;
      const theirs = (await parse("main.tf", text)) as { variable: { a: { default: unknown }[] } };
      const expected = theirs.variable.a[0]?.default ?? null;
      const [ours] = parseTemplate(templateFiles({ "main.tf": text })).templateVariables;
      if (expected === null) expect(ours?.required, text).toBe(true);
      else if (typeof expected === "string") expect(ours?.defaultValue, text).toBe(expected.normalize("NFC"));
      else expect(JSON.parse(ours?.defaultValue ?? ""), text).toEqual(expected);
    }),
    { numRuns: 300 },
  );
});

test("mutated sources are accepted and refused as HashiCorp's parser does", async () => {
  await fc.assert(
    fc.asyncProperty(chance, async (random) => {
      const text = mutated(random, everyConstruct);
      expect(weAccept(text), text).toBe(await theyAccept(text));
    }),
    { numRuns: 300 },
  );
});

function terraformFilesIn(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return entries.filter((name) => name.endsWith(".tf")).map((name) => join(folder, name));
}

const fixtures = fileURLToPath(new URL("../../terraform-fixtures", import.meta.url));
const recorded = sharedFolder ? terraformFilesIn(join(sharedFolder, "cases")) : [];

test.skipIf(!sharedFolder)("the recorded templates are there", () => {
  expect(recorded.length).toBeGreaterThan(30);
});

describe("every template at hand parses, and HashiCorp's parser agrees", () => {
  test.each([...terraformFilesIn(fixtures), ...recorded])("%s", async (path) => {
    const text = readFileSync(path, "utf8");
    expect(weAccept(text)).toBe(true);
    expect(await theyAccept(text)).toBe(true);
  });
});
