import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { doctorCommand } from "../../src/cli/commands/doctor.ts";
import { explainCommand } from "../../src/cli/commands/explain.ts";
import { type Plane, startPlane } from "../../src/plane/plane.ts";

let plane: Plane;
let folder: string;
beforeAll(async () => {
  plane = await startPlane();
  folder = await mkdtemp(join(tmpdir(), "outpost-doctor-"));
});
afterAll(async () => {
  await plane.close();
  await rm(folder, { recursive: true, force: true });
});

/** A command run in this process: what it wrote, and its exit code. */
async function run(command: Command, ...args: string[]): Promise<{ text: string; code: unknown }> {
  const before = { write: process.stdout.write, code: process.exitCode };
  let text = "";
  process.stdout.write = (chunk: Uint8Array | string) => {
    text += chunk.toString();
    return true;
  };
  process.exitCode = undefined;
  try {
    await command.exitOverride().parseAsync(args, { from: "user" });
    return { text, code: process.exitCode };
  } finally {
    process.stdout.write = before.write;
    process.exitCode = before.code;
  }
}

const explain = (...args: string[]) => run(explainCommand(), ...args);

describe("explain", () => {
  test("yes and no by the tags that are given, without any control plane", async () => {
    const tags = ["--tag", "region=eu", "--tag", "gpu=a100"];
    expect(await explain("region=eu", ...tags)).toEqual({
      text: "yes  a job with region=eu comes here\ntakes jobs whose tags are all in {gpu=a100, region=eu}; no untagged jobs: the agent has tags\n",
      code: undefined,
    });
    const no = await explain("region=us", ...tags);
    expect(no.text).toMatch(/^no {3}the job wants region=us, and the agent has region=eu\n/);
    expect(no.code).toBe(1);
    expect((await explain(...tags)).text).toMatch(/^no {3}the job has no tags/);
    expect((await explain()).text).toBe(
      "yes  an untagged job comes here\ntakes untagged jobs only: the agent has no tags\n",
    );
  });

  test("a user's own jobs go to that user's agents", async () => {
    const own = ["--tag", "scope=user", "--tag", "owner=ann"];
    expect((await explain("scope=user", "owner=ann", ...own)).text).toMatch(/^yes/);
    expect((await explain("scope=user", "owner=bob", ...own)).text).toMatch(/^no {3}the job is one user's own/);
  });

  test("by the tags of a key, which the control plane tells, also from a file", async () => {
    const file = join(folder, "key");
    await writeFile(file, `${plane.createKey("eu", { region: "eu" }).secret}\n`);
    const key = ["--url", plane.url, "--key-file", file];
    expect((await explain("region=eu", ...key)).text).toMatch(/^yes.*\ntakes jobs .*: the key has tags\n$/);
    expect((await explain("region=us", ...key)).code).toBe(1);
    expect(plane.daemons()).toEqual([]);
  });

  test("what is wrong is an error with a code, not an answer", async () => {
    await expect(explain("region")).rejects.toMatchObject({ code: "OUT-SETTINGS" });
    await expect(explain("a=b", "--key", "A".repeat(43))).rejects.toMatchObject({ code: "OUT-SETTINGS" });
    const unknown = explain("a=b", "--key", "A".repeat(43), "--url", plane.url);
    await expect(unknown).rejects.toMatchObject({ code: "OUT-KEY-UNKNOWN", exit: 77 });
    const nobody = explain("a=b", "--key", "A".repeat(43), "--url", "http://127.0.0.1:1");
    await expect(nobody).rejects.toMatchObject({ code: "OUT-UNREACHABLE", exit: 69 });
  });
});

describe("doctor", () => {
  test("--json is one object; a failure ends it with 1, and the key is nowhere in it", async () => {
    const { secret } = plane.createKey("json");
    const args = ["--url", plane.url, "--key", secret, "--engine", "/nowhere", "--state-dir", folder, "--json"];
    const { text, code } = await run(doctorCommand(), ...args);
    const report = JSON.parse(text);
    expect(report).toMatchObject({ url: plane.url, passed: false });
    expect(report.checks).toContainEqual(expect.objectContaining({ name: "key", status: "ok" }));
    expect(report.checks).toContainEqual(expect.objectContaining({ name: "engine", code: "OUT-NO-ENGINE" }));
    expect(code).toBe(1);
    expect(text).not.toContain(secret);
  });

  test("for people: two halves, a count, and no key needed with --pre", async () => {
    const { text } = await run(doctorCommand(), "--pre");
    expect(text).toMatch(/^Control plane\n {2}skip {2}url {12}no --url is given\n/);
    expect(text).toMatch(/\nThis machine\n/);
    expect(text).toMatch(/\n\d+ ok, \d+ warnings?, \d+ failures?, \d+ skipped\. {2}More: /);
  });

  test("without --pre a key and a URL are wanted, as by start", async () => {
    await expect(run(doctorCommand())).rejects.toMatchObject({ code: "OUT-SETTINGS", exit: 64 });
  });

  test("a key file that is missing is the key's failure, and the licence is known all the same", async () => {
    const args = ["--url", plane.url, "--key-file", join(folder, "none"), "--json"];
    const { checks } = JSON.parse((await run(doctorCommand(), ...args)).text);
    expect(checks).toContainEqual(expect.objectContaining({ name: "key", status: "fail", code: "OUT-KEY-SOURCE" }));
    expect(checks).toContainEqual(expect.objectContaining({ name: "licence", status: "ok" }));
  });
});
