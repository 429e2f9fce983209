import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cliConfigFor, nextAttempt } from "../../../src/terraform/provider-cache/attempts.ts";
import { checkDiskSpace } from "../../../src/terraform/provider-cache/disk-space.ts";
import { sourceName } from "../../../src/terraform/provider-cache/layout.ts";
import { hashSetId, readLock, withHash } from "../../../src/terraform/provider-cache/lock-file.ts";
import { packageHash } from "../../../src/terraform/provider-cache/package-hash.ts";
import { packageFiles } from "../../../src/terraform/provider-cache/package-tree.ts";
import { never } from "./world.ts";

describe("what to try next", () => {
  const query =
    "Failed to query available provider packages\nCould not retrieve the list of available versions for provider ";
  const wrapped =
    "\nError: Failed to query available provider packages\n\nCould not retrieve the list of available versions for provider\nlocalhost:1/acme/one: could not connect to\nlocalhost:1: failed to\nrequest discovery document: dial tcp: connection refused\n";
  test.each([
    [`${query}a/b: could not connect to h: failed to request discovery document: Get "https://h/": EOF`, "offline"],
    [`${query}a/b: could not connect to h: failed to request discovery document: 503 Service Unavailable`, "offline"],
    [
      `${query}a/b: failed to query provider mirror https://h/ for a/b: the request failed after 2 attempts, please try again later: Get "…": dial tcp 127.0.0.1:1: connect: connection refused`,
      "offline",
    ],
    [wrapped, "offline"],
    [
      "Error: Failed to resolve provider packages\n\nCould not resolve provider h/a/b: could not connect to\nh: failed",
      "offline",
    ],
    ["Failed to install provider\nError while installing h/a/b v1.0.0: h: bad response code: 503", "offline"],
    ['Failed to install provider\nError while installing h/a/b v1.0.0: h: Get "https://h/x.zip": EOF', "offline"],
    [
      "Failed to install provider from shared cache\nError while importing h/a/b v1.0.0 from the shared cache directory: …",
      "without cache",
    ],
    ["│ Error: Failed to install provider from shared\n│ cache\n│", "without cache"],
    [
      "Failed to install provider\nError while installing h/a/b v1: open …/terraform-provider-b: text file busy",
      "without cache",
    ],
    [`${query}a/b: could not connect to h: failed to request discovery document: 401 Unauthorized`, undefined],
    ["Failed to install provider\nError while installing h/a/b v1.0.0: h: bad response code: 403", undefined],
    [`${query}a/b: provider registry h does not have a provider named h/a/b`, undefined],
    [`${query}a/b: no available releases match the given constraints ~> 7.0`, undefined],
    [
      "Failed to install provider\nError while installing h/a/b v1: the current package for h/a/b 1 doesn't match any of the checksums",
      undefined,
    ],
    ["Failed to download module\nCould not download module: could not connect to registry: timeout", undefined],
    ["Unsupported block type", undefined],
    ["", undefined],
  ])("%j → %s", (failure, attempt) => {
    expect(nextAttempt(failure, "cache")?.attempt).toBe(attempt);
    expect(nextAttempt(failure, "offline")).toBeUndefined();
    expect(nextAttempt(failure, "without cache")).toBeUndefined();
  });
});

describe("the job's CLI configuration", () => {
  const blocks = 'provider_installation {\n  network_mirror {\n    url = "https://m/"\n  }\n}\n';
  test("with the cache, the operator's blocks stand as they are and nothing is unpacked over what is there", () => {
    const config = cliConfigFor("cache", "/c/lease", blocks);
    expect(config).toContain('plugin_cache_dir = "/c/lease"');
    expect(config).toContain("plugin_cache_may_break_dependency_lock_file = true");
    expect(config).toContain(blocks);
    expect(config).toContain("disable_checkpoint = true");
  });
  test("without it, nothing names it", () => {
    expect(cliConfigFor("without cache", "/c/lease", blocks)).toBe(`disable_checkpoint = true\n${blocks}\n`);
  });
  test("offline, the cache is the only source", () => {
    const config = cliConfigFor("offline", '/c/"x"', blocks);
    expect(config).toContain('path = "/c/\\"x\\""');
    expect(config).not.toMatch(/network_mirror|plugin_cache_dir|direct/);
  });
});

describe("the part of the store that belongs to an installation", () => {
  const mirror = 'provider_installation {\n  network_mirror {\n    url = "https://a/"\n  }\n}\n';
  test("credentials don't count, whatever else does", () => {
    expect(sourceName("")).toBe("direct");
    expect(sourceName('credentials "h" {\n  token = "t"\n}\n')).toBe("direct");
    expect(sourceName(mirror)).toMatch(/^installation-[0-9a-f]{16}$/);
    expect(sourceName(`credentials "h" {\n  token = "t"\n}\n\n${mirror}`)).toBe(sourceName(mirror));
    expect(sourceName(mirror.replace("https://a/", "https://b/"))).not.toBe(sourceName(mirror));
    expect(sourceName('host "h" {\n  services = {}\n}\n')).not.toBe("direct");
  });
});

describe("lock files", () => {
  const text = `# This file is maintained automatically by "terraform init".
# Manual edits may be lost in future updates.

provider "registry.terraform.io/coder/coder" {
  version     = "2.18.0"
  constraints = "~> 2.0"
  hashes = [
    "h1:AAAA=",
    "zh:bbbb",
  ]
}

provider "registry.terraform.io/hashicorp/time" {
  version = "0.14.2"
}
`;
  test.each([text, text.replaceAll("\n", "\r\n")])("are read as Terraform writes them", (written) => {
    expect([...(readLock(written)?.values() ?? [])]).toEqual([
      { provider: "registry.terraform.io/coder/coder", version: "2.18.0", hashes: ["h1:AAAA=", "zh:bbbb"] },
      { provider: "registry.terraform.io/hashicorp/time", version: "0.14.2", hashes: [] },
    ]);
  });
  test("in any other form they are not guessed at", () => {
    expect(readLock("")).toEqual(new Map());
    expect(readLock('provider "a/b/c" { version = "1" }\n')).toBeUndefined();
    expect(readLock(text.replace('version     = "2.18.0"', ""))).toBeUndefined();
    expect(readLock(`${text}something {\n}\n`)).toBeUndefined();
    expect(readLock(`/*\n${text}*/\n`)).toBeUndefined();
  });
  test("a hash is added to its provider only", () => {
    const added = withHash(text, "registry.terraform.io/coder/coder", "h1:CCCC=");
    expect(readLock(added)?.get("registry.terraform.io/coder/coder")?.hashes).toEqual([
      "h1:CCCC=",
      "h1:AAAA=",
      "zh:bbbb",
    ]);
    expect(added.replace('\n    "h1:CCCC=",', "")).toBe(text);
    expect(withHash(text, "registry.terraform.io/coder/code", "h1:CCCC=")).toBe(text);
  });
  test("hostile text is read in bounded time", () => {
    const lines = `provider "a/b/c" {\n${" ".repeat(200)}x\n`.repeat(2_000);
    const since = performance.now();
    expect(readLock(lines)).toBeUndefined();
    expect(readLock(`provider "a/b/c" {\n${`${" ".repeat(500)}\n`.repeat(1_500)}`)).toBeUndefined();
    expect(performance.now() - since).toBeLessThan(2_000);
  });
  test("any text gives a result or undefined, and a set's id knows no order", () => {
    fc.assert(fc.property(fc.string(), (any) => void readLock(any)));
    fc.assert(fc.property(fc.array(fc.string()), (hashes) => hashSetId(hashes) === hashSetId([...hashes].reverse())));
    expect(hashSetId(["a"])).not.toBe(hashSetId(["b"]));
  });
});

describe("packages", () => {
  test("a hash is the one that sha256sum gives over sorted lines, also for folders and names beyond ASCII", async () => {
    const folder = await mkdtemp(join(tmpdir(), "outpost-package-"));
    try {
      await mkdir(join(folder, "sub"));
      const names = ["B", "a", "sub/x", "sub.txt", "é", "\u{1f600}", "\u{fffd}"];
      for (const name of names) await writeFile(join(folder, name), `content of ${name}`);
      const files = (await packageFiles(folder)).map(({ path }) => path);
      const shell = "find . -type f | sed 's|^./||' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum";
      const wanted = execFileSync("sh", ["-c", shell], { cwd: folder, encoding: "utf8" }).slice(0, 64);
      expect(await packageHash(folder, files, never)).toBe(`h1:${Buffer.from(wanted, "hex").toString("base64")}`);
      await symlink("/etc/passwd", join(folder, "link"));
      await expect(packageFiles(folder)).rejects.toThrow('"link" is neither a file nor a folder');
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

test("disk space: enough is nothing to say, too little is one sentence with both numbers", async () => {
  expect(await checkDiskSpace(tmpdir(), 1)).toBeUndefined();
  expect(await checkDiskSpace(tmpdir(), 2 ** 60)).toMatch(
    /^check disk space of ".+": [\d.]+ (GiB|MiB) free: want at least 1073741824.0 GiB$/,
  );
  expect(await checkDiskSpace("/nowhere/at/all", 1)).toContain("ENOENT");
});
