import { JobError } from "../../src/kit/errors.ts";
import { isTemplateFile, type TemplateFile } from "../../src/template/files.ts";
import { findInputs } from "../../src/template/inputs.ts";
import { parseTemplate } from "../../src/template/parse.ts";
import { constantSource, everyConstruct, mutated } from "../support/hcl-generator.ts";

const seeds: readonly string[] = [
  everyConstruct,
  'variable "a" {\n  type = list(string)\n  description = "d"\n  sensitive = true\n  default = ["x"]\n}\n',
  'data "coder_workspace_tags" "t" {\n  tags = { "a" = "b", c = var.d }\n}\n',
  'data "coder_parameter" "p" {\n  name = "p"\n  option {\n    name = "o"\n    value = 1\n  }\n}\n',
  'terraform {\n  required_providers {\n    a = { source = "x/y" }\n  }\n}\nresource "a" "b" {\n  provider = a.c\n}\n',
  '{"variable":{"a":{"default":{"x":[1,"${y}",null]},"type":"string"}},"data":{"coder_parameter":{"p":{}}}}',
];

/** The template reader on damaged and hostile sources: an answer or a JobError, whatever the bytes, and soon. */
export const templateFuzz = {
  name: "template",
  async run(random: () => number, count: number): Promise<void> {
    for (let n = 0; n < count; n++) fuzzOnce(random);
  },
};

const upTo = (random: () => number, limit: number) => Math.floor(random() * limit);

/** No text here is longer than a few kilobytes. */
const soonMs = 2000;

function fuzzOnce(random: () => number): void {
  const files = Array.from({ length: 1 + upTo(random, 2) }, (_, n) => anyFile(random, n));
  const start = performance.now();
  for (const read of [parseTemplate, findInputs]) {
    try {
      read(files);
    } catch (error) {
      if (!(error instanceof JobError)) throw new Error(`not a JobError for ${described(files)}`, { cause: error });
    }
  }
  const tookMs = performance.now() - start;
  if (tookMs > soonMs) throw new Error(`took ${Math.round(tookMs)} ms: ${described(files)}`);
}

function anyFile(random: () => number, n: number): TemplateFile {
  const seed = seeds[upTo(random, seeds.length + 1)] ?? `variable "v" {\n  default = ${constantSource(random)}\n}\n`;
  const name = `f${n}${random() < 0.2 ? "_override" : ""}${seed.startsWith("{") || random() < 0.1 ? ".tf.json" : ".tf"}`;
  if (!isTemplateFile(name)) throw new Error(`no template file: ${name}`);
  const bytes = Buffer.from(repeated(random, mutated(random, seed)));
  for (let count = upTo(random, 3); count > 0 && random() < 0.3; count--) {
    bytes[upTo(random, bytes.length)] = upTo(random, 256);
  }
  return { name, bytes };
}

/** Sometimes a piece comes very often: that is how depth and length break things. */
function repeated(random: () => number, text: string): string {
  if (random() < 0.8) return text;
  const at = upTo(random, text.length);
  const piece = text.slice(at, at + 1 + upTo(random, 6));
  return text.slice(0, at) + piece.repeat(upTo(random, 3000)) + text.slice(at);
}

const described = (files: readonly TemplateFile[]) =>
  files.map(({ name, bytes }) => `${name} = ${Buffer.from(bytes).toString("base64")}`).join(", ");
