import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { parseNative } from "../../src/template/bodies.ts";
import { Diagnostics } from "../../src/template/diagnostics.ts";
import { Source } from "../../src/template/source.ts";
import { brokenSources } from "../support/broken-sources.ts";

const environment = { PATH: process.env["PATH"], TF_CLI_CONFIG_FILE: "/dev/null", CHECKPOINT_DISABLE: "1" };
const hasTerraform = spawnSync("terraform", ["version"], { env: environment }).status === 0;
const folder = mkdtempSync(join(tmpdir(), "outpost-template-"));
afterAll(() => rmSync(folder, { recursive: true }));

interface TerraformDiagnostic {
  summary: string;
  detail: string;
  range?: { filename: string; start: { line: number; column: number } };
}

/** Words that Terraform itself adds where it decodes what could be parsed. */
const notSyntax = /^(Unsupported (block|argument|attribute)|Duplicate|Extraneous|Unexpected ".*" block)/;

function terraformSays(): Map<string, string[]> {
  brokenSources.forEach((text, n) => void writeFileSync(join(folder, `f${n}.tf`), text));
  const run = spawnSync("terraform", ["validate", "-json"], { cwd: folder, env: environment, encoding: "utf8" });
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

test.skipIf(!hasTerraform)("mistakes are told in Terraform's words and places", () => {
  const theirs = terraformSays();
  const ours = new Map(brokenSources.map((text, n) => [`f${n}.tf`, weSay(`f${n}.tf`, text)]));
  for (const [n, text] of brokenSources.entries()) {
    const name = `f${n}.tf`;
    expect.soft(ours.get(name), text).toEqual(theirs.get(name) ?? []);
  }
});
