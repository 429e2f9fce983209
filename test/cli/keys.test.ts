import { afterEach, beforeEach, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { keysCommand, keyTable, successorName } from "../../src/cli/commands/keys.ts";
import { OperatorError } from "../../src/kit/errors.ts";
import type { KeyDetails } from "../../src/link/rest.ts";
import { type Plane, startPlane } from "../../src/plane/plane.ts";

let plane: Plane;
beforeEach(async () => {
  plane = await startPlane({ rateLimitPerMinute: 0 });
});
afterEach(() => plane.close());

/** Runs `outpost keys …` in this process, against the plane. */
async function keys(args: string[], token = plane.adminToken): Promise<{ stdout: string; stderr: string }> {
  const said = { stdout: "", stderr: "" };
  const before = { stdout: process.stdout.write, stderr: process.stderr.write };
  for (const stream of ["stdout", "stderr"] as const)
    process[stream].write = (chunk: Uint8Array | string) => {
      said[stream] += chunk.toString();
      return true;
    };
  try {
    const command = keysCommand();
    for (const each of [command, ...command.commands]) each.exitOverride();
    await command.parseAsync([...args, "--url", plane.url, "--token", token], { from: "user" });
    return said;
  } finally {
    Object.assign(process.stdout, { write: before.stdout });
    Object.assign(process.stderr, { write: before.stderr });
  }
}

const knocks = (secret: string) =>
  fetch(`${plane.url}/api/v2/provisionerkeys/self`, { headers: { "Coder-Provisioner-Daemon-Key": secret } });

test("create prints the key alone on the standard output, and the control plane knows it with its tags", async () => {
  const { stdout, stderr } = await keys(["create", "build", "--org", "default", "-t", "region=eu", "-t", "size=big"]);
  expect(stdout).toMatch(/^[0-9A-Za-z]{43}\n$/);
  expect(stderr).toBe("");
  const answer = await knocks(stdout.trim());
  expect(await answer.json()).toMatchObject({ name: "build", tags: { region: "eu", size: "big" } });
});

test("one loop seeds many organizations: the outputs together are one stream of Kubernetes Secrets", async () => {
  const organizations = ["one", "two", "three"];
  let stream = "";
  for (const org of organizations) {
    plane.createOrganization(org);
    const args = ["create", "outpost", "--org", org, "--secret", `outpost-${org}`, "--namespace", "coder"];
    stream += (await keys(args)).stdout;
  }
  const documents = parseAllDocuments(stream).map((document) => document.toJS());
  expect(documents.map(({ metadata }) => metadata)).toEqual(
    organizations.map((org) => ({ name: `outpost-${org}`, namespace: "coder" })),
  );
  for (const [index, { apiVersion, kind, type, stringData }] of documents.entries()) {
    expect([apiVersion, kind, type]).toEqual(["v1", "Secret", "Opaque"]);
    const organization = plane.organizations().find(({ name }) => name === organizations[index]);
    expect(await (await knocks(stringData.key)).json()).toMatchObject({ organization: organization?.id });
  }
});

test("a manifest without a namespace goes where kubectl stands", async () => {
  const { stdout } = await keys(["create", "build", "--org", "default", "--secret", "outpost"]);
  expect(parse(stdout).metadata).toEqual({ name: "outpost" });
});

test("list shows names, tags and ages, never a secret", async () => {
  const secret = plane.createKey("build", { region: "eu" }).secret;
  plane.createKey("plain");
  const { stdout } = await keys(["list", "--org", "default"]);
  expect(stdout).toMatch(/^NAME +TAGS +AGE *\nbuild +region=eu +0 min *\nplain +none: untagged jobs +0 min *\n$/);
  expect(stdout).not.toContain(secret);
});

test("ages are told in minutes, hours, days", () => {
  const key = (name: string, createdAt: number): KeyDetails => ({
    id: "",
    name,
    organizationId: "",
    createdAt,
    tags: {},
  });
  const now = 1_764_000_000_000;
  const lines = keyTable(
    [key("a", now - 119 * 60_000), key("b", now - 47 * 3_600_000), key("c", now - 30 * 86_400_000)],
    now,
  );
  expect(lines.slice(1).map((line) => line.trim().replace(/^. .*jobs +/, ""))).toEqual(["119 min", "47 h", "30 days"]);
});

test("rotate makes a key with the same tags, leaves the old one, and says how to delete it", async () => {
  plane.createKey("build", { region: "eu" });
  const { stdout, stderr } = await keys(["rotate", "build", "--org", "default"]);
  const fresh = await (await knocks(stdout.trim())).json();
  expect(fresh.tags).toEqual({ region: "eu" });
  expect(fresh.name).toMatch(/^build-\d{4}-\d\d-\d\d$/);
  expect(plane.keys().map(({ name }) => name)).toContain("build");
  expect(stderr).toContain("outpost keys delete build --org default");
  await keys(["delete", "build", "--org", "default"]);
  expect(plane.keys().map(({ name }) => name)).toEqual([fresh.name]);
});

test("a successor's name has the date once, a number where it is taken, and at most 64 characters", () => {
  const now = Date.parse("2026-03-04T12:00:00Z");
  const named = (...names: string[]) =>
    names.map((name) => ({ id: "", name, organizationId: "", createdAt: 0, tags: {} }));
  expect(successorName("build", [], now)).toBe("build-2026-03-04");
  expect(successorName("build-2025-12-31", [], now)).toBe("build-2026-03-04");
  expect(successorName("build-2026-03-04-2", named("build-2026-03-04"), now)).toBe("build-2026-03-04-2");
  expect(successorName("x".repeat(64), [], now)).toHaveLength(64);
});

test.each([
  ["a taken name", ["create", "taken", "--org", "default"], "OUT-KEY-NAME", /answered 409/],
  ["a reserved name", ["create", "psk", "--org", "default"], "OUT-KEY-NAME", /answered 400/],
  ["an organization that isn't there", ["create", "k", "--org", "nowhere"], "OUT-KEY-NAME", /answered 404/],
  ["a key to rotate that isn't there", ["rotate", "gone", "--org", "default"], "OUT-KEY-NAME", /none of that name/],
  ["no organization", ["create", "k"], "OUT-SETTINGS", /CODER_ORGANIZATION/],
  ["a tag without =", ["create", "k", "--org", "default", "-t", "region"], "OUT-SETTINGS", /--tag/],
  ["a Secret's impossible name", ["create", "k", "--org", "default", "--secret", "A_b"], "OUT-SETTINGS", /--secret/],
  ["a namespace alone", ["create", "k", "--org", "default", "--namespace", "ns"], "OUT-SETTINGS", /--namespace/],
])("%s is told in words, and no key is made", async (_name, args, code, words) => {
  plane.createKey("taken");
  const error = await keys(args).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(OperatorError);
  expect(error).toMatchObject({ code });
  const { message, reason } = error as OperatorError;
  expect(`${message}\n${reason ?? ""}`).toMatch(words);
  expect(plane.keys()).toHaveLength(1);
});

test("a wrong token and a missing licence are told by who must act, with exit code 77", async () => {
  await expect(keys(["list", "--org", "default"], "wrong")).rejects.toMatchObject({ code: "OUT-TOKEN", exit: 77 });
  plane.entitled = false;
  await expect(keys(["list", "--org", "default"])).rejects.toMatchObject({ code: "OUT-LICENCE", exit: 77 });
  await plane.goOffline();
  await expect(keys(["list", "--org", "default"])).rejects.toMatchObject({ code: "OUT-UNREACHABLE", exit: 69 });
});
