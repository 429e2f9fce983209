import { expect, test } from "vitest";
import { compareVersions, parseVersionOutput, requireSupported, warningOf } from "../../src/engine/version.ts";

test("versions compare as semantic versions", () => {
  const inOrder = ["1.0.9", "1.1.0-alpha", "1.1.0-rc1", "1.1.0-rc.1.1", "1.1.0", "1.9.9", "1.10.0", "1.11.4", "9.9.9"];
  const shuffled = [...inOrder].reverse();
  expect(shuffled.sort(compareVersions)).toEqual([
    ...inOrder.slice(0, 2),
    "1.1.0-rc.1.1",
    "1.1.0-rc1",
    ...inOrder.slice(4),
  ]);
  expect(compareVersions("1.2.3+a", "v1.2.3")).toBe(0);
  expect(() => compareVersions("1.2", "1.2.3")).toThrow(RangeError);
});

test("03#32 a version that is no semantic version is unusable", () => {
  for (const output of [
    '{"terraform_version":"version"}',
    "{}",
    "null",
    "",
    "Terraform v1.11.4",
    '{"terraform_version":1}',
  ]) {
    expect(parseVersionOutput(output), output).toBeUndefined();
  }
});

test("03#32 1.14.9 and newer come with a warning, older ones without", () => {
  for (const version of ["1.14.9", "9.9.9"]) expect(warningOf({ version, flavor: "terraform" })).toContain(version);
  for (const version of ["1.1.0", "1.14.8", "1.14.9-rc1"])
    expect(warningOf({ version, flavor: "terraform" })).toBeUndefined();
});

test("03#33 a version below 1.1.0 is refused with both versions, pre-releases of 1.1.0 included", () => {
  for (const version of ["1.0.9", "0.15.5", "1.1.0-rc1"]) {
    expect(() => requireSupported(version)).toThrow(new RegExp(`${version.replaceAll(".", "\\.")}.*1\\.1\\.0`));
  }
  expect(() => requireSupported("1.1.0")).not.toThrow();
});

test("OpenTofu is told apart by what it prints, not by its name", () => {
  const tofu = '{"terraform_version":"1.6.2","platform":"linux_amd64","provider_selections":{}}';
  expect(parseVersionOutput(tofu)).toEqual({ version: "1.6.2", flavor: "opentofu" });
  const terraform = tofu.replace("}}", '},"terraform_outdated":false}');
  expect(parseVersionOutput(terraform)).toEqual({ version: "1.6.2", flavor: "terraform" });
});
