import { expect, test } from "vitest";
import { findInputs } from "../../src/template/inputs.ts";
import { templateFiles } from "../support/template-files.ts";

const find = (texts: Record<string, string>) => findInputs(templateFiles(texts));

test("variables and parameters are found with type, default, options and place", () => {
  const found = find({
    "main.tf": [
      'data "coder_parameter" "cpu" {',
      '  name = "CPU cores"',
      '  type = "number"',
      "  option {",
      '    name  = "two"',
      "    value = 2",
      "  }",
      "  option {",
      '    name  = "four"',
      '    value = "4"',
      "  }",
      "  option {",
      "    value = local.more",
      "  }",
      "}",
      'data "coder_parameter" "image" {',
      '  default = "ubuntu"',
      "}",
      'data "coder_parameter" "zone" {',
      "  default = jsonencode([local.zone])",
      "}",
      'data "other" "x" {}',
    ].join("\n"),
    "variables.tf":
      '\n\nvariable "namespace" {\n  type = string\n}\nvariable "size" {\n  type    = number\n  default = 3\n}',
  });
  expect(found).toEqual([
    {
      kind: "variable",
      name: "namespace",
      type: "string",
      required: true,
      default: undefined,
      options: [],
      file: "variables.tf",
      line: 3,
    },
    {
      kind: "variable",
      name: "size",
      type: "number",
      required: false,
      default: "3",
      options: [],
      file: "variables.tf",
      line: 6,
    },
    {
      kind: "parameter",
      name: "CPU cores",
      type: "number",
      required: true,
      default: undefined,
      options: ["2", "4"],
      file: "main.tf",
      line: 1,
    },
    {
      kind: "parameter",
      name: "image",
      type: "string",
      required: false,
      default: "ubuntu",
      options: [],
      file: "main.tf",
      line: 16,
    },
    {
      kind: "parameter",
      name: "zone",
      type: "string",
      required: false,
      default: undefined,
      options: [],
      file: "main.tf",
      line: 19,
    },
  ]);
});

test("parameters in JSON are found too", () => {
  const parameter = { name: "p", default: null, option: [{ value: "a" }, { value: "b" }] };
  const text = JSON.stringify({ data: { coder_parameter: { x: parameter } } });
  expect(find({ "main.tf.json": text })).toEqual([
    {
      kind: "parameter",
      name: "p",
      type: "string",
      required: true,
      default: undefined,
      options: ["a", "b"],
      file: "main.tf.json",
      line: 1,
    },
  ]);
});

test("a name that is no constant falls back to the label; bad syntax is an error", () => {
  const [found] = find({ "a.tf": 'data "coder_parameter" "p" {\n  name = "x-${local.y}"\n}' });
  expect(found?.name).toBe("p");
  expect(() => find({ "a.tf": "a" })).toThrow("load module: ");
});
