import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Outpost } from "../support/outpost.ts";
import { mirrorConfig } from "../support/providers.ts";
import { recordedTerraform } from "../support/real-jobs.ts";

interface Broken {
  files: Record<string, string>;
  /** Lines of the log, one after the other: what, where, why. */
  log: string[];
  error: string;
}

const initFails = "template import init error: initialize terraform: exit status 1";
const planFails =
  "template import provision for start: plan during template import provision error: terraform plan: exit status 1";

const broken: Record<string, Broken> = {
  "a variable of a module that nobody sets": {
    files: {
      "main.tf": 'module "m" {\n  source = "./m"\n}\n',
      "m/main.tf": 'variable "needed" {\n  type = string\n}\n',
    },
    log: [
      "Error: Missing required argument",
      'on main.tf line 1, in module "m":',
      '  1: module "m" {',
      "",
      'The argument "needed" is required, but no definition was found.',
    ],
    error: planFails,
  },
  "a syntax error in one file of two": {
    files: {
      "main.tf": 'resource "terraform_data" "fine" {\n}\n',
      "broken.tf": '# A list is not closed.\nresource "terraform_data" "a" {\n  input = [1, 2\n}\n',
    },
    log: [
      "Error: Missing item separator",
      'on broken.tf line 4, in resource "terraform_data" "a":',
      "  3:   input = [1, 2",
      "  4: }",
      "",
      "Expected a comma to mark the beginning of the next item.",
    ],
    error: initFails,
  },
  // Terraform names the provider, but no file that asks for it.
  "a provider that does not exist": {
    files: {
      "main.tf":
        'terraform {\n  required_providers {\n    nothing = {\n      source = "example/nothing"\n    }\n  }\n}\n',
    },
    log: [
      "Error: Failed to query available provider packages",
      "Could not retrieve the list of available versions for provider example/nothing: provider registry.terraform.io/example/nothing was not found in any of the search locations",
    ],
    error: initFails,
  },
  "a module of a server that nobody reaches": {
    files: { "main.tf": '# Nobody listens there.\nmodule "far" {\n  source = "https://127.0.0.1:1/far.zip"\n}\n' },
    log: [
      "Error: Failed to download module",
      "on main.tf line 2:",
      '  2: module "far" {',
      "",
      'Could not download module "far" (main.tf:2) source code from "https://127.0.0.1:1/far.zip": Get "https://127.0.0.1:1/far.zip": dial tcp 127.0.0.1:1: connect: connection refused',
    ],
    error: initFails,
  },
  "a module of a repository that is not there": {
    files: { "main.tf": 'module "far" {\n  source = "git::file:///no/such/repository"\n}\n' },
    log: [
      "Error: Failed to download module",
      "on main.tf line 1:",
      '  1: module "far" {',
      "",
      "Could not download module \"far\" (main.tf:1) source code from \"git::file:///no/such/repository\": error downloading 'file:///no/such/repository': git exited with 128: Cloning into '.terraform/modules/far'...",
      "fatal: '/no/such/repository' does not appear to be a git repository",
    ],
    error: initFails,
  },
};

let scratch: string;
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), "outpost-real-"));
  await mkdir(join(scratch, "tmp"));
  await mkdir(join(scratch, "mirror"));
  await writeFile(join(scratch, "terraformrc"), mirrorConfig(join(scratch, "mirror")));
});
afterEach(() => rm(scratch, { recursive: true, force: true }));

async function template(files: Record<string, string>): Promise<string> {
  const folder = join(scratch, "template");
  for (const [name, source] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), source);
  }
  return folder;
}

/** Where git lies differs from machine to machine. */
const withoutPath = (text: unknown): string => String(text).replace(/\S+\/git exited/, "git exited");

const run = (folder: string) =>
  new Outpost(["run", folder, "--json"], {
    TMPDIR: join(scratch, "tmp"),
    OUTPOST_CACHE_DIRECTORY: join(scratch, "cache"),
    TF_CLI_CONFIG_FILE: join(scratch, "terraformrc"),
  });

describe.skipIf(!recordedTerraform())(
  "an import that must fail says what, where and why, ends with 1, and leaves nothing",
  () => {
    test.each(Object.entries(broken))("%s", async (_name, { files, log, error }) => {
      await using outpost = run(await template(files));
      expect(await outpost.ended).toBe(1);
      const lines = outpost.events.filter(({ kind, job }) => kind === "log" && job === "import");
      expect(lines.map(({ level, text }) => `${level}: ${withoutPath(text)}`).join("\n")).toContain(
        log.map((line) => `error: ${line}`).join("\n"),
      );
      expect(outpost.events.filter(({ kind }) => kind === "job-ended")).toMatchObject([
        { job: "import", succeeded: false, error },
      ]);
      expect(outpost.events.at(-1)).toMatchObject({ kind: "finished", succeeded: false, jobs: 1 });
      expect(await readdir(join(scratch, "tmp"))).toEqual([]);
    });

    test("a variable of the template itself is missed before anything begins: that is usage, 64", async () => {
      await using outpost = run(
        await template({ "main.tf": "", "variables.tf": '\nvariable "needed" {\n  type = string\n}\n' }),
      );
      expect(await outpost.ended).toBe(64);
      expect(outpost.text).toContain("OUT-INPUTS");
      expect(outpost.text).toMatch(/variable +needed +string +variables\.tf:2/);
      expect(outpost.text).toContain("--var needed=VALUE");
      expect(outpost.events).toEqual([]);
    });
  },
);
