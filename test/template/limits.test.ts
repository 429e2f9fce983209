import { expect, test } from "vitest";
import { JobError } from "../../src/kit/errors.ts";
import { parseTemplate } from "../../src/template/parse.ts";
import { templateFiles } from "../support/template-files.ts";

const parse = (text: string, name = "main.tf") => parseTemplate(templateFiles({ [name]: text }));
const defaulted = (expression: string) => `variable "a" {\n  default = ${expression}\n}\n`;

const nesting: [string, string][] = [
  ["[", "]"],
  ["(", ")"],
  ["{a=", "}"],
  ["f(", ")"],
  ['"${', '}"'],
  ["a[", "]"],
  ["!", ""],
  ["true ? 1 : ", ""],
  ["[for x in ", " : x]"],
  ['"%{ if ', ' }%{ endif }"'],
];

test.each(nesting)("5,000 nested %j end in an error, not in a stack overflow", (open, close) => {
  const text = defaulted(`${open.repeat(5000)}true${close.repeat(5000)}`);
  expect(() => parse(text)).toThrow("Nesting too deep (main.tf:2)");
});

test.each(nesting.filter(([open]) => !/^(f|a|!|\[for|"%)/.test(open)))("100 nested %j are fine", (open, close) => {
  expect(parse(defaulted(`${open.repeat(100)}true${close.repeat(100)}`)).templateVariables).toHaveLength(1);
});

test("5,000 nested blocks, directives and JSON arrays end in an error", () => {
  expect(() => parse("a {\n".repeat(5000) + "}\n".repeat(5000))).toThrow("Nesting too deep");
  expect(() => parse(defaulted(`"${"%{ if true }".repeat(5000)}${"%{ endif }".repeat(5000)}"`))).toThrow(
    "Nesting too deep",
  );
  const json = `{"variable":{"a":{"default":${"[".repeat(5000)}${"]".repeat(5000)}}}}`;
  expect(() => parse(json, "main.tf.json")).toThrow("Nesting too deep (main.tf.json:1)");
});

test("brackets that are only opened are an error even where the file ends too soon to tell", () => {
  for (let depth = 150; depth < 260; depth++) expect(() => parse(`a = ${"[".repeat(depth)}`)).toThrow(JobError);
});

/** Each is over in well under a second per megabyte; were it quadratic, it would take longer than any test may. */
const long: [string, string][] = [
  ["a chain of operators", defaulted(`1${"+1".repeat(200_000)}`)],
  ["a chain of steps", defaulted(`x${"[0]".repeat(200_000)}`)],
  ["dots behind a digit", defaulted(`1${".".repeat(500_000)}5`)],
  ["digits", defaulted("1".repeat(500_000))],
  ["digits in a string that is no number", defaulted(`"${"1".repeat(500_000)}x" + 1`)],
  ["characters that mean nothing", "@".repeat(500_000)],
  ["comments that are never closed", "/*".repeat(500_000)],
  ["heredocs that are never closed", "<<A\n".repeat(200_000)],
  ["wrong escapes", defaulted(`"${"\\q".repeat(300_000)}"`)],
  ["arguments that come again", `locals {\n${"a = 1\n".repeat(100_000)}}`],
  ["members that come again on one line", `{"variable":{"a":{${Array(100_000).fill('"default":1').join(",")}}}}`],
  ["else directives", defaulted(`"${"%{ else }".repeat(50_000)}"`)],
  ["tags of one name", 'data "coder_workspace_tags" "t" {\n  tags = {}\n}\n'.repeat(20_000)],
];

test.each(long)("time grows with the text, not with its square: %s", (what, text) => {
  const name = what.startsWith("members") ? "main.tf.json" : "main.tf";
  try {
    parse(text, name);
  } catch (error) {
    expect(error).toBeInstanceOf(JobError);
    expect((error as Error).message.length).toBeLessThan(1_000_000);
  }
});

test("loops that multiply end in an error", () => {
  const ten = "[1,2,3,4,5,6,7,8,9,10]";
  const rounds = defaulted(`${`[for a in ${ten} : `.repeat(12)}1${"]".repeat(12)}`);
  expect(() => parse(rounds)).toThrow("Value too large");
  const doubling = (inner: string) => {
    const loops = Array.from({ length: 60 }, (_, n) => `[for x${n + 1} in [${inner.replaceAll("N", `x${n}`)}] : `);
    return defaulted(`[for x0 in ["aa"] : ${loops.join("")}x60${"]".repeat(61)}`);
  };
  expect(() => parse(doubling("[N, N]"))).toThrow("Value too large");
  expect(() => parse(doubling('"${N}${N}"'))).toThrow("Value too large");
});

test("a number that no double holds is an error", () => {
  expect(() => parse(defaulted("1e999"))).toThrow("can't load template variables");
  expect(() => parse(defaulted("1e99999999"))).toThrow("Invalid number literal (main.tf:2)");
});

test("at most a hundred mistakes are told", () => {
  const text = Array.from({ length: 500 }, (_, n) => `variable "v${n}" {\n  default = x\n}\n`).join("");
  expect(() => parse(text)).toThrow(JobError);
  try {
    parse(text);
  } catch (error) {
    expect((error as Error).message.match(/ERROR/g)).toHaveLength(100);
  }
});
