import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { addSettings, readSettings } from "../../src/cli/command-settings.ts";
import { configCommand } from "../../src/cli/commands/config.ts";
import { startSettings } from "../../src/config/start-settings.ts";
import { OperatorError } from "../../src/kit/errors.ts";

const folder = mkdtempSync(join(tmpdir(), "outpost-config-"));
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(() => {
  for (const name of Object.keys(process.env)) if (/^(CODER|OUTPOST)_/.test(name)) vi.stubEnv(name, undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

async function config(...args: string[]): Promise<{ stdout: string; error: OperatorError | undefined }> {
  let stdout = "";
  vi.spyOn(process.stdout, "write").mockImplementation((chunk) => {
    stdout += chunk.toString();
    return true;
  });
  const root = new Command("outpost").exitOverride().addCommand(configCommand());
  try {
    await root.parseAsync(["config", ...args], { from: "user" });
    return { stdout, error: undefined };
  } catch (error) {
    if (error instanceof OperatorError) return { stdout, error };
    throw error;
  } finally {
    vi.restoreAllMocks();
  }
}

const file = (text: string) => {
  const path = join(folder, "outpost.yaml");
  writeFileSync(path, text);
  return path;
};

describe("config print", () => {
  test("each value and where it came from", async () => {
    vi.stubEnv("CODER_URL", "https://coder.example.com");
    vi.stubEnv("OUTPOST_JOB_ENV", "B");
    const path = file("slots: 4\nname: eu-1\njob-timeout: 2h\n");
    vi.stubEnv("OUTPOST_CONFIG", path);
    const { stdout, error } = await config("print", "--name", "eu-2", "--job-env", "A");
    expect(error).toBeUndefined();
    const line = (name: string) =>
      stdout
        .split("\n")
        .find((one) => one.startsWith(`${name} `))
        ?.split(/\s{2,}/);
    expect(line("url")).toEqual(["url", "https://coder.example.com", "variable CODER_URL"]);
    expect(line("slots")).toEqual(["slots", "4", `file ${path}:1:8`]);
    expect(line("name")).toEqual(["name", "eu-2", "flag"]);
    expect(line("job-env")).toEqual(["job-env", "A, B", "flag and variable OUTPOST_JOB_ENV"]);
    expect(line("job-timeout")).toEqual(["job-timeout", "2h", `file ${path}:3:14`]);
    expect(line("heartbeat")).toEqual(["heartbeat", "4s", "default"]);
  });

  test.each([[[]], [["--json"]]])("masks what is secret %j", async (form) => {
    vi.stubEnv("CODER_PROVISIONER_DAEMON_KEY", "s3cret-key");
    vi.stubEnv("CODER_HEADER", "X-Access=s3cret-header");
    const path = file("token: s3cret-token\nengine-mirror: https://me:s3cret@mirror.example\n");
    const { stdout } = await config("print", ...form, "--config", path, "--psk", "s3cret-psk");
    expect(stdout).not.toContain("s3cret");
    expect(stdout).toContain("X-Access=[secret]");
    expect(stdout).toContain("https://[secret]@mirror.example");
    expect(stdout.match(/\[secret\]/g)).toHaveLength(5);
  });

  test("--json has types and sources", async () => {
    const { stdout } = await config("print", "--json", "--slots", "2", "--verbose");
    const { settings, problems } = JSON.parse(stdout);
    expect(problems).toEqual([]);
    expect(settings).toContainEqual({ name: "slots", value: 2, source: "flag" });
    expect(settings).toContainEqual({ name: "verbose", value: true, source: "flag" });
    expect(settings).toContainEqual({ name: "tag", value: [], source: "default" });
    expect(settings).toContainEqual({ name: "heartbeat", value: "4s", source: "default" });
  });

  test("tells all that is wrong, from every place, and ends with 64", async () => {
    vi.stubEnv("OUTPOST_HEARTBEAT", "soon");
    const path = file("slot: 4\n");
    const { error } = await config("print", "--config", path, "--slots", "x", "--nmae", "n", "stray");
    expect(error?.exit).toBe(64);
    expect(error?.message.split("\n")).toEqual([
      "5 settings are wrong",
      '  --nmae: no such flag; did you mean "--name"?',
      '  "stray": no arguments are taken',
      `  ${path}:1:1: no setting has the name "slot"; did you mean "slots"?`,
      '  --slots "x": must be a whole number from 1 to 64',
      '  OUTPOST_HEARTBEAT "soon": must be a duration such as 90s, 10m or 1h30m',
    ]);
  });
});

test("a command with few settings and words of its own reads the same file, and complains about none of them", async () => {
  vi.stubEnv("OUTPOST_CONFIG", file("slots: 4\nstate-dir: /state\n"));
  const table = { stateFolder: startSettings.stateFolder };
  const command = addSettings(new Command("show").argument("<job>"), table).exitOverride();
  await command.parseAsync(["a1b2"], { from: "user" });
  const { values, problems } = readSettings(command, table, process.env);
  expect({ values, problems }).toEqual({ values: { stateFolder: "/state" }, problems: [] });
});

test("config schema is JSON", async () => {
  const { stdout } = await config("schema");
  expect(JSON.parse(stdout).properties.slots).toMatchObject({ type: "integer", minimum: 1, maximum: 64 });
});

test("docs/settings.md is what the table says", () => {
  const script = fileURLToPath(new URL("../../scripts/docs-settings.mjs", import.meta.url));
  expect(spawnSync(process.execPath, [script, "--check"], { encoding: "utf8" })).toMatchObject({
    stderr: "",
    status: 0,
  });
});

test("each command's help has an example", () => {
  const command = configCommand();
  for (const one of [command, ...command.commands]) {
    let shown = "";
    one.configureOutput({ writeOut: (text) => (shown += text) }).outputHelp();
    expect(shown).toMatch(/Example:\n {2}.*outpost config/);
  }
});
