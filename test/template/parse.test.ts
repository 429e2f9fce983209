import { describe, expect, test } from "vitest";
import { JobError, messageOf } from "../../src/kit/errors.ts";
import { parseTemplate } from "../../src/template/parse.ts";
import { plainVariables, templateFiles } from "../support/template-files.ts";

const parse = (texts: Record<string, string>) => parseTemplate(templateFiles(texts));
const variables = (texts: Record<string, string>) => plainVariables(parse(texts).templateVariables);
const defaultOf = (expression: string) =>
  parse({ "main.tf": `variable "a" {\n  default = ${expression}\n}\n` }).templateVariables[0]?.defaultValue;
const typeOf = (expression: string) =>
  parse({ "main.tf": `variable "a" {\n  type = ${expression}\n}\n` }).templateVariables[0]?.type;
const tags = (body: string) => parse({ "main.tf": tagsBlock(body) }).workspaceTags;
const tagsBlock = (body: string, name = "t") => `data "coder_workspace_tags" "${name}" {\n${body}\n}\n`;

function failure(texts: Record<string, string>): string {
  try {
    parse(texts);
  } catch (error) {
    expect(error).toBeInstanceOf(JobError);
    return messageOf(error);
  }
  throw new Error("parse should have failed");
}

describe("variables", () => {
  test("04#114 a variable with a description only is required and has an empty default", () => {
    const found = variables({ "main.tf": 'variable "a" {\n  description = "what"\n}' });
    expect(found).toEqual([{ name: "a", description: "what", required: true }]);
  });

  test.each([
    ['"plain <text>"', "plain <text>"],
    ["1", "1"],
    ["1.50", "1.5"],
    ["1e3", "1000"],
    ["0.0000001", "1e-7"],
    ["12345678901234567890123", "1.2345678901234568e+22"],
    ["1e21", "1e+21"],
    ["-2", "-2"],
    ["0.1 + 0.2", "0.3"],
    ["true", "true"],
    ['["a", 1, null]', '["a",1,null]'],
    ['{ b = 1, a = "x", "c d" : [] }', '{"a":"x","b":1,"c d":[]}'],
    ['{ Z = 1, é = 2, a = 3, "\\U0001F600" = 4, "\\uFFFD" = 5 }', '{"Z":1,"a":3,"é":2,"\ufffd":5,"😀":4}'],
    ['["<a>&\\u2028\\u2029"]', '["\\u003ca\\u003e\\u0026\\u2028\\u2029"]'],
    ['["tab\\tquote\\"back\\\\"]', '["tab\\tquote\\"back\\\\"]'],
    ["[]", "[]"],
    ["{}", "{}"],
    ["<<EOT\nline\n  two\nEOT", "line\n  two\n"],
    ["<<-EOT\n    line\n\n      two\n    EOT", "line\n\n  two\n"],
    ['"a${1}b${true}"', "a1btrue"],
    ['"${true}"', "true"],
    ['"$${x} %%{y} \\n \\u00e9"', "${x} %{y} \n é"],
    ['[for v in ["a", "b"] : "${v}!" if v != "b"]', '["a!"]'],
    ["{ for k, v in { x = 1 } : v => k }", '{"1":"x"}'],
    ['"%{ for v in [1, 2] ~}\\n<${v}>%{ endfor }"', "<1><2>"],
    ['[1, 2][1] == 2 ? "yes" : "no"', "yes"],
    ["(1 + 2) * 3 % 4", "1"],
    ["!true || 2 >= 1 && true", "true"],
    ["[{ a = 1 }, { a = 2 }][*].a", "[1,2]"],
  ])("04#115 the default %s is sent as %s", (expression, text) => {
    expect(defaultOf(expression)).toBe(text);
  });

  test("04#116 a default of null leaves the variable required", () => {
    expect(variables({ "main.tf": 'variable "a" {\n  default = null\n}' })).toEqual([{ name: "a", required: true }]);
  });

  test("04#117 a default of an empty string does not leave the variable required", () => {
    expect(variables({ "main.tf": 'variable "a" {\n  default = ""\n}' })).toEqual([{ name: "a" }]);
  });

  test.each([
    ["string", "string"],
    ['"string"', "string"],
    ["true", "true"],
    ["list(string)", "list(string)"],
    ["(string)", "(string)"],
    ["null", "null"],
    [
      "object({\n    a = string # why\n    b = optional(number)\n  })",
      "object({\n    a = string # why\n    b = optional(number)\n  })",
    ],
    ["map(any) // comment", "map(any)"],
  ])("04#118 the type %j is sent as %j", (expression, text) => {
    expect(typeOf(expression)).toBe(text);
  });

  test("04#118 line breaks of a type stay as they are in the file", () => {
    const found = variables({ "main.tf": 'variable "a" {\r\n  type = object({\r\n    b = string\r\n  })\r\n}\r\n' });
    expect(found).toEqual([{ name: "a", type: "object({\r\n    b = string\r\n  })", required: true }]);
  });

  test("04#119 variables come by file name in bytes, then by line", () => {
    const found = variables({
      "a.tf": 'variable "z" {}\nvariable "a" {}',
      "B.tf": 'variable "m" {}',
      "é.tf": 'variable "e" {}',
      "z.tf": 'variable "zz" {}',
    });
    expect(found.map(({ name }) => name)).toEqual(["m", "z", "a", "zz", "e"]);
  });

  test("04#120 of a variable that comes twice the later block alone counts, override files last", () => {
    const description = 'description = "first"';
    expect(
      variables({
        "a.tf": `variable "one" {\n  ${description}\n}\nvariable "two" {\n  ${description}\n}`,
        "b.tf": 'variable "one" {\n  type = string\n}',
        "a_override.tf": 'variable "two" {\n  default = 2\n}',
        "override.tf": 'variable "two" {\n  default = 3\n}',
        "z.tf": 'variable "two" {\n  default = 1\n}',
      }),
    ).toEqual([
      { name: "one", type: "string", required: true },
      { name: "two", default_value: "3" },
    ]);
  });

  test("04#121 variables in .tf.json are read and their templates taken literally", () => {
    const text = JSON.stringify({
      variable: [
        { a: { default: "${1+1}", description: "d", sensitive: true, type: "string" } },
        { b: [{ default: { z: 1, y: ["%{if x}"] } }], c: {} },
      ],
    });
    expect(variables({ "main.tf.json": text })).toEqual([
      { name: "a", description: "d", type: "string", default_value: "${1+1}", sensitive: true },
      { name: "b", default_value: '{"y":["%{if x}"],"z":1}' },
      { name: "c", required: true },
    ]);
  });

  test("04#122 hidden, backup, .tofu and other files are not read", () => {
    const text = 'variable "a" {}';
    const names = [".a.tf", "a.tf~", "#a.tf#", "a.tofu", "a.tfvars", "sub/a.tf", "a.tf.bak", "a.json", "tf"];
    expect(variables(Object.fromEntries(names.map((name) => [name, text])))).toEqual([]);
    expect(variables({ "~a.tf": text, "#b.tf": 'variable "b" {}', ".tf.json.tf": text })).toHaveLength(2);
  });

  test("04#123 no .tf file, or an empty one, is an empty answer", () => {
    expect(parse({})).toEqual({ templateVariables: [], workspaceTags: {} });
    expect(parse({ "main.tf": "" })).toEqual({ templateVariables: [], workspaceTags: {} });
    expect(parse({ "main.tf": "\ufeff# only a comment" })).toEqual({ templateVariables: [], workspaceTags: {} });
  });

  test("04#127 a validation block is ignored, as are unknown blocks and attributes", () => {
    const body = 'nullable = false\n  validation {\n    condition = var.a != foo(1)\n  }\n  sensitive = "true"\n';
    const found = variables({
      "main.tf": `variable "a" {\n  ${body}}\nmoved {\n  from = x\n}\nlocals {\n  b = var.a\n}`,
    });
    expect(found).toEqual([{ name: "a", required: true, sensitive: true }]);
  });

  test("strings are kept in Unicode's form NFC, a byte order mark is skipped", () => {
    const found = variables({ "main.tf": '\ufeffvariable "a" {\n  default = "e\u0301"\n}' });
    expect(found).toEqual([{ name: "a", default_value: "é" }]);
  });

  test("a description of another primitive type is converted", () => {
    expect(variables({ "main.tf": 'variable "a" {\n  description = 5\n}' })).toEqual([
      { name: "a", description: "5", required: true },
    ]);
  });
});

describe("errors", () => {
  test.each([
    ["var.b", "Variables not allowed"],
    ["local.b", "Variables not allowed"],
    ["[1, data.x.y.z]", "Variables not allowed"],
    ['"x-${var.b}"', "Variables not allowed"],
    ["[for x in var.y : x]", "Variables not allowed"],
    ['file("x")', "Function calls not allowed"],
    ["provider::x::y(1)", "Function calls not allowed"],
    ['{ a = jsonencode(["a"]) }', "Function calls not allowed"],
  ])("04#124 the default %s is an error", (expression, summary) => {
    expect(failure({ "vars.tf": `# one\nvariable "a" {\n  default = ${expression}\n}\n` })).toMatch(
      new RegExp(`^load module:  ERROR: ${summary} \\(vars\\.tf:3\\)\n> `),
    );
  });

  test('04#125 bad syntax is an error that names the ";"', () => {
    const message = failure({ "main.tf": "a;sd;ajsd;lajsd;lasjdf;a" });
    expect(message.startsWith("load module: ")).toBe(true);
    expect(message).toContain('The ";" character is not valid.');
  });

  test("04#126 one diagnostic stands behind one blank", () => {
    expect(failure({ "main.tf": 'variable "a" {\n  default = x\n}' })).toBe(
      "load module:  ERROR: Variables not allowed (main.tf:2)\n> Variables may not be used here.",
    );
  });

  test("04#126 several stand behind two line breaks, with an empty line between, details wrapped at 78", () => {
    const message = failure({
      "a.tf": 'variable "a" {\n  default = x\n}',
      "b.tf": 'locals {\n  x = 1\n  x = 2\n}\nresource "only_type" {}',
    });
    expect(message).toBe(
      [
        "load module: ",
        "",
        "ERROR: Variables not allowed (a.tf:2)",
        "> Variables may not be used here.",
        "",
        "ERROR: Attribute redefined (b.tf:3)",
        '> The argument "x" was already set at b.tf:2,3-4. Each argument may be set only',
        "> once.",
        "",
        "ERROR: Missing name for resource (b.tf:5)",
        "> All resource blocks must have 2 labels (type, name).",
      ].join("\n"),
    );
  });

  test.each([
    ['variable "a" "b" {}', "Extraneous label for variable"],
    ["variable {}", "Missing name for variable"],
    ['data "a" {}', "Missing name for data"],
    ['terraform "x" {}', "Extraneous label for terraform"],
    ['output "a" {\n  description = var.x\n}', "Variables not allowed"],
    ['output "a" {\n  sensitive = null\n}', "Unsuitable value type"],
    ['variable "a" {\n  description = ["x"]\n}', "Unsuitable value type"],
    ['variable "a" {\n  sensitive = 1\n}', "Unsuitable value type"],
    ['provider "a" {\n  alias = upper("x")\n}', "Function calls not allowed"],
    ['module "a" {\n  source = "x-${var.y}"\n}', "Variables not allowed"],
    ["terraform {\n  required_version = var.x\n}", "Variables not allowed"],
    ["terraform {\n  required_providers {\n    a = { source = var.x }\n  }\n}", "Unsuitable value type"],
    ["terraform {\n  required_providers {\n    a = foo(1)\n  }\n}", "Unsuitable value type"],
    ['resource "a" "b" {\n  provider = foo()\n}', "Invalid provider reference"],
    ['data "a" "b" {\n  provider = 1\n}', "Invalid provider reference"],
  ])("04 §7.1 %j is an error", (text, summary) => {
    expect(failure({ "main.tf": text })).toContain(`ERROR: ${summary} (main.tf:`);
  });

  test.each([
    'terraform {\n  required_version = ">= 1"\n  required_providers {\n    a = "1.0"\n    b = { source = "x/y", version = "1" }\n  }\n}',
    'resource "a" "b" {\n  provider = aws.x\n  foo = var.bar\n}\nresource a c {}\nresource "a" "d" {\n  provider = "aws.y"\n}',
    'provider "a" {\n  alias = "b"\n  region = var.x\n}\nmodule "m" {\n  source = "./m"\n  x = foo(1)\n}\noutput "o" {\n  value = var.x\n}',
  ])("04 §7.1 %j is fine", (text) => {
    expect(parse({ "main.tf": text }).templateVariables).toEqual([]);
  });

  test("text that is not UTF-8 is an error, except in a comment", () => {
    const bytes = (before: string, after: string) =>
      Buffer.concat([Buffer.from(before), Buffer.from([0xff]), Buffer.from(after)]);
    const file = (content: Uint8Array) => parseTemplate([{ name: "main.tf", bytes: content }]);
    expect(() => file(bytes('variable "a" {\n  default = "', '"\n}'))).toThrow(
      "Invalid character encoding (main.tf:2)",
    );
    expect(file(bytes("# caf", '\nvariable "a" {}')).templateVariables).toHaveLength(1);
  });
});

describe("workspace tags", () => {
  test.each([
    ['"cluster" = "developers"', "cluster", '"developers"'],
    ["os = data.coder_parameter.os.value", "os", "data.coder_parameter.os.value"],
    ['"debug" = "${data.coder_parameter.d.value}+12345"', "debug", '"${data.coder_parameter.d.value}+12345"'],
    ['"cache" = X == "true" ? "a" : "b"', "cache", 'X == "true" ? "a" : "b"'],
    ['(var.region) = "3"', "(var.region)", '"3"'],
    ['"c-${var.r}" = "4"', "c-${var.r}", '"4"'],
    ['"d.e" : "5"', "d.e", '"5"'],
    ['g = ("par")', "g", '("par")'],
    ['p = "a" # comment', "p", '"a"'],
    ['p = "a" /* comment */ # more', "p", '"a"'],
    ['f = try(split(".", var.x)[1],\n    "y"\n  )', "f", 'try(split(".", var.x)[1],\n    "y"\n  )'],
    ["h = <<-EOT\n    x\n  EOT", "h", "<<-EOT\n    x\n  EOT"],
    ["s = var.x[*].y.z", "s", "var.x[*].y.z"],
    ["i = !a.b[0] && -c > 1", "i", "!a.b[0] && -c > 1"],
    ["q = [for x in y : x]", "q", "[for x in y : x]"],
    ["__proto__ = 1", "__proto__", "1"],
  ])("04#128 %j is sent as its source text", (item, key, value) => {
    expect(Object.entries(tags(`  tags = {\n  ${item}\n  }`))).toEqual([[key, value]]);
  });

  test("04#128 tags may be spread over three files", () => {
    const found = parse({
      "a.tf": tagsBlock('tags = { a = "1", b = 2 }', "a"),
      "b.tf": tagsBlock("count = 0\ntags = { c = x\n d = y }", "b"),
      "c.tf": tagsBlock("tags = {}", "c"),
    });
    expect(found.workspaceTags).toEqual({ a: '"1"', b: "2", c: "x", d: "y" });
  });

  test("04#129 a tag that comes twice is an error, in one block or in two", () => {
    const expected = `can't load workspace tags: workspace tag "a" is defined multiple times`;
    expect(failure({ "main.tf": tagsBlock('tags = { a = 1, "a" = 2 }') })).toBe(expected);
    expect(failure({ "a.tf": tagsBlock("tags = { a = 1 }", "x"), "b.tf": tagsBlock("tags = { a = 1 }", "y") })).toBe(
      expected,
    );
  });

  test("04 §7.4 a block repeated in its file counts each time, in another file only the last file counts", () => {
    expect(failure({ "a.tf": tagsBlock("tags = { a = 1 }") + tagsBlock("tags = { a = 1 }") })).toContain(
      "is defined multiple times",
    );
    const found = parse({ "a.tf": tagsBlock("tags = { a = 1 }"), "b.tf": tagsBlock("tags = { b = 1 }") });
    expect(found.workspaceTags).toEqual({ b: "1" });
  });

  test("04#130 tags as a block, or none at all, is an error", () => {
    const expected = `can't load workspace tags: "tags" attribute is required by coder_workspace_tags`;
    expect(failure({ "main.tf": tagsBlock('tags {\n  a = "b"\n}') })).toBe(expected);
    expect(failure({ "main.tf": tagsBlock("") })).toBe(expected);
  });

  test.each(["var.x", "foo()", "{ for k in x : k => k }", "null", "({ a = 1 })", '["a"]', '"a"', "merge({}, {})"])(
    "04#131 tags = %s is an error",
    (expression) => {
      expect(failure({ "main.tf": tagsBlock(`tags = ${expression}`) })).toBe(
        `can't load workspace tags: "tags" attribute is expected to be a key-value map`,
      );
    },
  );

  test("04#132 tags that could never be evaluated are sent all the same", () => {
    expect(tags("tags = { a = nope(local.x, 1 / 0) }")).toEqual({ a: "nope(local.x, 1 / 0)" });
  });

  test("04#133 tags in .tf.json are ignored", () => {
    const text = JSON.stringify({ data: { coder_workspace_tags: { t: { tags: { a: "b" } } } } });
    expect(parse({ "main.tf.json": text }).workspaceTags).toEqual({});
    expect(parse({ "a.tf": tagsBlock("tags = { a = 1 }"), "b.tf.json": text }).workspaceTags).toEqual({});
  });

  test("a resource of that type is not looked at", () => {
    expect(parse({ "main.tf": 'resource "coder_workspace_tags" "t" {}' }).workspaceTags).toEqual({});
  });
});
