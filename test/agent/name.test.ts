import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { chooseName } from "../../src/agent/name.ts";
import { OperatorError } from "../../src/kit/errors.ts";

let stateFolder: string;
beforeEach(async () => {
  stateFolder = await mkdtemp(join(tmpdir(), "outpost-name-"));
});
afterEach(() => rm(stateFolder, { recursive: true }));

const choose = (hostName: string, more: { setting?: string; container?: boolean } = {}) =>
  chooseName({ setting: "", container: false, ...more, stateFolder, hostName });

test("01#10 the default name is the lower-cased first label of the host name", async () => {
  expect(await choose("Build-01.corp.example")).toEqual({ name: "build-01", source: "host" });
});

test("02#11 the name of the first start is kept, whatever the host is called later", async () => {
  await choose("first");
  expect(await choose("second")).toEqual({ name: "first", source: "kept" });
  expect(await readFile(join(stateFolder, "name"), "utf8")).toBe("first\n");
  expect((await stat(join(stateFolder, "name"))).mode & 0o777).toBe(0o600);
});

test("a setting beats the kept name and does not replace it", async () => {
  await choose("first");
  expect(await choose("x", { setting: "chosen" })).toEqual({ name: "chosen", source: "setting" });
  expect((await choose("x")).name).toBe("first");
});

test("a container's name comes with one warning that says the cost and the cure", async () => {
  const { warning } = await choose("outpost-7f9c", { container: true });
  expect(warning).toMatch(/can't be recovered/);
  expect(warning).toMatch(/CODER_PROVISIONER_DAEMON_NAME/);
});

test("01#9 a host name that is no valid name is an error that names the setting", async () => {
  await expect(choose("a_b")).rejects.toThrow(OperatorError);
  await expect(choose("x")).rejects.toMatchObject({
    code: "OUT-NAME",
    cure: expect.stringContaining("CODER_PROVISIONER_DAEMON_NAME"),
  });
});
