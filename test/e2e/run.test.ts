import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { fixture, Outpost } from "../support/outpost.ts";
import { processesIn } from "../support/processes.ts";
import { mirrorConfig, providerMirror } from "../support/providers.ts";

/** An engine whose apply ignores the interrupt. */
const deafEngine = `#!/bin/sh
case "$1 $2" in
"version -json") echo '{"terraform_version":"1.11.4"}' ;;
"show -json") echo '{"format_version":"1.0"}' ;;
graph*) echo 'digraph {}' ;;
apply*) trap '' INT; echo '{"version":4,"serial":1,"lineage":"l"}' > terraform.tfstate; echo deaf; sleep 1000 & sleep 1000 ;;
esac
`;

let scratch: string;
let cache: string;
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), "outpost-e2e-cache-"));
});
afterAll(() => rm(cache, { recursive: true, force: true }));
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), "outpost-e2e-"));
});
afterEach(() => rm(scratch, { recursive: true, force: true }));

const run = (args: string[], environment: Record<string, string> = {}) =>
  new Outpost(["run", ...args], { TMPDIR: scratch, XDG_CACHE_HOME: cache, ...environment }, scratch);

type Ended = { job: string; succeeded: boolean; error?: string; changes?: object; left?: number; stateBytes?: number };
const jobs = (outpost: Outpost) => outpost.events.filter((event) => event.kind === "job-ended") as unknown as Ended[];

describe("a template's whole life", () => {
  test("hello: import, start, stop, delete; everything succeeds and nothing is left behind", async () => {
    await using outpost = run([fixture("hello"), "--json"]);
    expect(await outpost.ended).toBe(0);
    expect(jobs(outpost).map(({ job, succeeded }) => [job, succeeded])).toEqual([
      ["import", true],
      ["start", true],
      ["stop", true],
      ["delete", true],
    ]);
    const [, start, , gone] = jobs(outpost);
    expect(start).toMatchObject({ changes: { made: 1, changed: 0, destroyed: 0 }, left: 1 });
    expect(start?.stateBytes).toBeGreaterThan(100);
    expect(gone).toMatchObject({ left: 0 });
    expect(outpost.events.at(-1)).toMatchObject({ kind: "finished", succeeded: true, jobs: 4 });
    expect(await readdir(scratch)).toEqual([]);
  });

  test("hello on a screen: stages with times, log lines, resources and a summary", async () => {
    await using outpost = run([fixture("hello")]);
    expect(await outpost.ended).toBe(0);
    expect(outpost.text).toMatch(/✓ import {2}\d+\.\d s .*init \d/);
    expect(outpost.text).toMatch(/start \| plan {2}\| Plan: 1 to add/);
    expect(outpost.text).toMatch(/start \| apply \| terraform_data\.hello: Creation complete/);
    expect(outpost.text).toMatch(/✓ start .*1 made .*state [\d.]+ k?B/);
    expect(outpost.text).toMatch(/✓ delete .*nothing left/);
    expect(outpost.text).toMatch(/4 jobs succeeded in .*Terraform .*, Outpost /);
    expect(outpost.text).not.toContain("\u001b[");
  });

  test("modules: local and nested ones, with for_each", async () => {
    await using outpost = run([fixture("modules"), "--json"]);
    expect(await outpost.ended).toBe(0);
    expect(jobs(outpost)[1]).toMatchObject({ job: "start", succeeded: true, changes: { made: 4 } });
  });

  test("tags of the template and of the command line: the agent takes every job", async () => {
    await writeFile(join(scratch, "main.tf"), 'data "coder_workspace_tags" "t" {\n  tags = { region = "eu" }\n}\n');
    await using tagged = run([scratch, "--tag", "gpu=a100", "--until", "import", "--json"]);
    await tagged.ended;
    // Without the provider's mirror the import fails, but it was taken: an agent without the tags would wait for ever.
    expect(jobs(tagged).map(({ job }) => job)).toEqual(["import"]);
    await using plain = run([fixture("hello"), "--tag", "gpu=a100", "--json"]);
    expect(await plain.ended).toBe(0);
    expect(jobs(plain)).toHaveLength(4);
  });

  test("--until plan makes nothing", async () => {
    await using outpost = run([fixture("hello"), "--until", "plan", "--json"]);
    expect(await outpost.ended).toBe(0);
    expect(jobs(outpost).map(({ job }) => job)).toEqual(["import", "plan"]);
  });

  test("--keep leaves what was made, and its state beside you", async () => {
    await using outpost = run([fixture("hello"), "--keep", "--workspace", "mine", "--json"]);
    expect(await outpost.ended).toBe(0);
    const state = JSON.parse(await readFile(join(scratch, "outpost-mine.tfstate"), "utf8"));
    expect(state.resources).toHaveLength(1);
    expect(outpost.events.at(-1)).toMatchObject({
      kind: "finished",
      stateFile: expect.stringContaining("outpost-mine.tfstate"),
    });
  });
});

describe("templates that fail", () => {
  test("a plan that fails ends with 1, says where and why, and makes nothing", async () => {
    await using outpost = run([fixture("fails-plan"), "--json"]);
    expect(await outpost.ended).toBe(1);
    expect(jobs(outpost).at(-1)).toMatchObject({ job: "import", succeeded: false });
    expect(outpost.text).toContain("This template refuses every plan.");
    expect(outpost.text).toContain("main.tf");
  });

  test("an apply that fails half-way: its state arrives, and what was made is destroyed", async () => {
    await using outpost = run([fixture("fails-apply-half"), "--json"]);
    expect(await outpost.ended).toBe(1);
    const [, start, gone] = jobs(outpost);
    expect(start).toMatchObject({ job: "start", succeeded: false, error: expect.stringContaining("terraform apply") });
    expect(start?.left).toBeGreaterThanOrEqual(1);
    expect(gone).toMatchObject({ job: "delete", succeeded: true, left: 0 });
  });

  test("Ctrl-C in an apply cancels, reports with state, cleans up and ends with 130", async () => {
    await using outpost = run([fixture("slow"), "--json"]);
    await outpost.says(/step 1 of/);
    outpost.kill("SIGINT");
    expect(await outpost.ended).toBe(130);
    const [, start, gone] = jobs(outpost);
    expect(start).toMatchObject({ job: "start", succeeded: false });
    expect(gone).toMatchObject({ job: "delete", succeeded: true, left: 0 });
  });
});

test("Ctrl-C twice kills an engine that does not listen, and leaves the state of what was made", async () => {
  const engine = join(scratch, "deaf");
  await writeFile(engine, deafEngine, { mode: 0o755 });
  await using outpost = run([fixture("hello"), "--engine", engine, "--workspace", "w"]);
  await outpost.says(/deaf/);
  outpost.kill("SIGINT");
  await outpost.says(/once more kills/);
  outpost.kill("SIGINT");
  expect(await outpost.ended).toBe(130);
  expect(outpost.text).toMatch(/the state of what was made: .*outpost-w\.tfstate/);
  expect(await readFile(join(scratch, "outpost-w.tfstate"), "utf8")).toContain('"serial":1');
  expect(processesIn(scratch)).toEqual([]);
});

describe("bad input", () => {
  test.each([
    [["/no/such/folder"], /\/no\/such\/folder/],
    [[fixture("hello"), "--var", "greeting"], /NAME=VALUE/],
    [[fixture("hello"), "--var-file", "/no/such/file"], /\/no\/such\/file/],
    [[fixture("hello"), "--until", "later"], /later/],
  ])("outpost run %j is refused with 64 in words", async (args, words) => {
    await using outpost = run(args);
    expect(await outpost.ended).toBe(64);
    expect(outpost.text).toMatch(words);
    expect(outpost.text).not.toMatch(/\n {4}at /);
  });

  test.skipIf(!providerMirror)(
    "a parameter that the template does not have, or a value that it does not allow, is refused",
    async () => {
      const config = join(scratch, "mirror.tfrc");
      await writeFile(config, mirrorConfig(providerMirror as string));
      for (const [parameter, words] of [
        ["size=nonsense", /size/],
        ["nope=1", /nope/],
      ] as const) {
        await using outpost = run([fixture("workspace"), "--param", parameter], { TF_CLI_CONFIG_FILE: config });
        expect(await outpost.ended).toBe(64);
        expect(outpost.text).toMatch(/OUT-INPUTS/);
        expect(outpost.text).toMatch(words);
        expect(outpost.text).not.toMatch(/\n {4}at /);
      }
    },
  );

  test("an empty folder is refused with what a template is", async () => {
    await using outpost = run([scratch]);
    expect(await outpost.ended).toBe(64);
    expect(outpost.text).toMatch(/\.tf/);
  });
});
