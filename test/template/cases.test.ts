import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseTemplate } from "../../src/template/parse.ts";
import { sharedFolder } from "../support/shared.ts";
import { plainVariables, templateFiles } from "../support/template-files.ts";

interface Expected {
  template_variables?: Record<string, unknown>[];
  workspace_tags?: Record<string, string>;
  error_contains?: string;
}
interface Case {
  name: string;
  files: Record<string, string>;
  expect: Expected;
  parse_expect?: Expected;
}

const cases: { parse: Case[]; evaluate_tags: Case[] } = sharedFolder
  ? JSON.parse(readFileSync(`${sharedFolder}/cases/parse/cases.json`, "utf8"))
  : { parse: [], evaluate_tags: [] };

test.skipIf(!sharedFolder)("the recorded parse cases are there", () => {
  expect(cases.parse.length).toBeGreaterThanOrEqual(18);
  expect(cases.evaluate_tags.length).toBeGreaterThanOrEqual(17);
});

describe("recorded parse cases", () => {
  for (const one of [...cases.parse, ...cases.evaluate_tags]) {
    const expected = one.parse_expect ?? one.expect;
    test(one.name, () => {
      const files = templateFiles(one.files);
      if (expected.error_contains !== undefined) {
        expect(() => parseTemplate(files)).toThrow(expected.error_contains);
        return;
      }
      const parsed = parseTemplate(files);
      expect(plainVariables(parsed.templateVariables)).toEqual(expected.template_variables ?? []);
      expect(parsed.workspaceTags).toEqual(expected.workspace_tags ?? {});
    });
  }
});
