import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { parseNative } from "../../src/template/bodies.ts";
import { Diagnostics } from "../../src/template/diagnostics.ts";
import { Evaluator } from "../../src/template/evaluate.ts";
import { Source } from "../../src/template/source.ts";
import { toJson } from "../../src/template/value.ts";
import { brokenSources } from "../support/broken-sources.ts";
import { constantSource, everyConstruct, mutated } from "../support/hcl-generator.ts";
import { seededRandom } from "../support/seeded-random.ts";

const env = { PATH: process.env["PATH"], TF_CLI_CONFIG_FILE: "/dev/null", CHECKPOINT_DISABLE: "1" };
const terraform = (cwd: string, args: string[], input = "") =>
  spawnSync("terraform", args, { cwd, env, input, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
const hasTerraform = terraform(tmpdir(), ["version"]).status === 0;

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

function folderWith(files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), "outpost-template-"));
  folders.push(folder);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

interface TerraformDiagnostic {
  summary: string;
  detail: string;
  range?: { filename: string; start: { line: number; column: number } };
}

/** What Terraform adds where it decodes what could be parsed; not a matter of syntax. */
const notSyntax =
  /^(Unsupported (block|argument|attribute)|Duplicate|Extraneous|Unexpected ".*" block|Missing .* for|Invalid (local|provider)|Ambiguous)/;

/** Diagnostics by file, `LINE:COLUMN SUMMARY: DETAIL`. */
function terraformSays(files: Record<string, string>): Map<string, string[]> {
  const run = terraform(folderWith(files), ["validate", "-json"]);
  const { diagnostics } = JSON.parse(run.stdout) as { diagnostics: TerraformDiagnostic[] };
  const byFile = new Map<string, string[]>();
  for (const { summary, detail, range } of diagnostics) {
    if (!range || notSyntax.test(summary)) continue;
    const { line, column } = range.start;
    byFile.set(range.filename, [...(byFile.get(range.filename) ?? []), `${line}:${column} ${summary}: ${detail}`]);
  }
  return byFile;
}

function weSay(name: string, text: string): string[] {
  const diagnostics = new Diagnostics();
  parseNative(new Source(name, Buffer.from(text)), diagnostics);
  return diagnostics.kept.map(({ start, summary, detail }) => `${start.line}:${start.column} ${summary}: ${detail}`);
}

const numbered = (texts: readonly string[]) => Object.fromEntries(texts.map((text, n) => [`f${n}.tf`, text]));

test.skipIf(!hasTerraform)("mistakes are told in Terraform's words, at its line and column", () => {
  const files = numbered(brokenSources);
  const theirs = terraformSays(files);
  for (const [name, text] of Object.entries(files)) {
    expect.soft(weSay(name, text), text).toEqual(theirs.get(name) ?? []);
  }
});

test.skipIf(!hasTerraform)("what Terraform refuses we refuse, and the other way round", () => {
  const { random, seed } = seededRandom();
  const files = numbered(Array.from({ length: 300 }, () => mutated(random, everyConstruct)));
  const theirs = terraformSays(files);
  for (const [name, text] of Object.entries(files)) {
    const [ours] = weSay(name, text);
    expect.soft(ours !== undefined, `seed ${seed}, ${JSON.stringify(text)}, ${ours}`).toBe(theirs.has(name));
  }
});

/** Expressions beyond plain constants; each must come to what Terraform makes of it. */
const expressions = [
  ...["0.1 + 0.2", "1 / 4", "7 % -3", "-7 % 3", "7.5 % 2", "2 * 3 + 4", "2 + 3 * 4", "(2 + 3) * 4", "-0", "- -1"],
  ...['"1" + "2"', "1 == 1.0", '1 == "1"', '"a" == "a"', "[1] == [1]", "{a = 1} == {a = 1}", "null == null", "1 != 2"],
  ...["1 < 2", '"10" > 9', "!true", '!"false"', "true && false || true", "true ? 1 : 2", 'true ? 1 : "a"'],
  ...["false ? null : [1]", "[1, 2, 3][1]", '{ a = 5 }["a"]', "{ a = 5 }.a", "[[1], [2]][1][0]", "[1, 2].1"],
  ...["[1, 2][*]", "[{ a = 1 }, { a = 2 }][*].a", "[{ a = [1] }].*.a", "[{ a = [1, 2] }][*].a[1]", "null[*]", "5[*]"],
  ...["[for x in [1, 2] : x * 2]", "[for i, x in ['a'] : i]".replaceAll("'", '"'), "[for x in [1, 2, 3] : x if x > 1]"],
  ...["{ for x in [1, 2] : x => x }", "{ for x in [1, 2] : 'k' => x... }".replaceAll("'", '"')],
  ...[
    "[for k, v in { b = 1, a = 2 } : k]",
    "{ for k, v in { a = 1 } : v => k }",
    "[for x in [[1], [2]] : [for y in x : y]]",
  ],
  ...["{ true = 1, null = 2, 1 = 3 }", '{ ("a") = 1 }', '{ "${"a"}b" = 1 }', "{ a = 1, a = 2 }", "{ a : 1, }"],
  ...['"a${1}b"', '"${1}"', '"${true}"', '"${[1]}"', '"x${1.50}${1e3}${0.001}"', '"x${1e21}"', '"${"a"}${"b"}"'],
  ...['"a $${b} %%{c} $ % $$ %% $$${1}"', '"\\n\\r\\t\\"\\\\\\u00e9\\U0001F600"', '"e\\u0301"', '"a${~ 1 ~} b"'],
  ...['"%{ if true }a%{ else }b%{ endif }"', '"%{ if false }a%{ endif }"', '"%{ for x in [1, 2] }<${x}>%{ endfor }"'],
  ...['" %{~ if true ~} a %{~ endif ~} "', '"%{ for k, v in { a = 1 } }${k}${v}%{ endfor }"', '""'],
  ...[
    "<<EOT\na\n  b\nEOT\n",
    "<<-EOT\n    a\n\n      b\n   c\n  EOT\n",
    "<<EOT\nEOT\n",
    "<<-EOT\n  a ${1}\n    ${2}\n  EOT\n",
  ],
  ...['<<EOT\n\\n $${x} "q"\nEOT\n', "<<-EOT\n  %{ for x in [1, 2] ~}\n  it ${x}\n  %{ endfor ~}\n  EOT\n"],
  ...["<<-EOT\n\t\ta\n\t  b\n\tEOT\n", "<<EOT\r\na\r\nEOT\r\n", "[<<A\nx\nA\n, 1]", "<<EOT\n  ${~ 1 ~}  \nEOT\n"],
  ...["1234567890123456789", "12345678901234567890123", "1.7976931348623157e308", "5e-324", "1e-7", "123456.789"],
];

function weEvaluate(text: string): string | undefined {
  const diagnostics = new Diagnostics();
  const source = new Source("x.tf", Buffer.from(text));
  const body = parseNative(source, diagnostics);
  const attribute = body.kind === "native" ? body.attributes.get("x") : undefined;
  const value = attribute && new Evaluator(source, diagnostics).evaluate(attribute.value);
  expect(diagnostics.kept, text).toEqual([]);
  return value && toJson(value);
}

test.skipIf(!hasTerraform)("constants come to what Terraform makes of them", () => {
  const { random, seed } = seededRandom();
  const all = [...expressions, ...Array.from({ length: 200 }, () => constantSource(random))];
  const locals = all.map((text, n) => `v${n} = ${text}\n`).join("");
  const folder = folderWith({ "main.tf": `locals {\n${locals}}\n` });
  const list = all.map((_, n) => `local.v${n}`).join(", ");
  const { stdout, stderr } = terraform(folder, ["console"], `jsonencode([${list}])\n`);
  expect(stderr).toBe("");
  const theirs = JSON.parse(JSON.parse(stdout)) as unknown[];
  for (const [n, text] of all.entries()) {
    expect.soft(JSON.parse(weEvaluate(`x = ${text}\n`) ?? ""), `seed ${seed}, ${text}`).toEqual(theirs[n]);
  }
});
