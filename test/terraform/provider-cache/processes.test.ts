import { mkdir, mkdtemp, open, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { packageHash } from "../../../src/terraform/provider-cache/package-hash.ts";
import { listPackages, packageFiles, packagePath } from "../../../src/terraform/provider-cache/package-tree.ts";
import { readRecord } from "../../../src/terraform/provider-cache/record.ts";
import { defaultStoreLimits, trimStore } from "../../../src/terraform/provider-cache/trim.ts";
import { bigOffers } from "./registry.ts";
import { startChild, wantedOf } from "./start-child.ts";
import { makeWorld, never, terraformIsHere } from "./world.ts";

describe.skipIf(!terraformIsHere)("several processes on one cache", { timeout: 120_000 }, () => {
  test("16 inits at once in four processes: all work, one entry for each package, nothing torn, nothing left", async () => {
    const offers = bigOffers(3, 2 * 1024 * 1024);
    await using world = await makeWorld(offers);
    const folder = join(world.folder, "jobs");
    const { host } = world.registry;
    const task = {
      kind: "init",
      folder,
      cache: world.cache,
      host,
      parallel: 4,
      rounds: 1,
      wanted: wantedOf(offers),
    } as const;
    const children = Array.from({ length: 4 }, () => startChild(task));
    expect(await Promise.all(children.map(({ ended }) => ended))).toEqual(["", "", "", ""]);
    const store = join(world.cache, "packages", "direct");
    const packages = await listPackages(store);
    expect(packages.map(({ provider }) => provider).sort()).toEqual(offers.map(({ name }) => `${host}/${name}`));
    for (const id of packages) {
      const entry = join(store, packagePath(id));
      const content = join(entry, "package");
      const paths = (await packageFiles(content)).map(({ path }) => path);
      expect((await readRecord(entry))?.h1).toBe(await packageHash(content, paths, never));
      expect(await readdir(join(entry, ".."))).toHaveLength(1);
    }
    expect(await readdir(join(world.cache, "leases"))).toEqual([]);
  });
});

describe("a process that is killed", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "outpost-promote-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test("in the middle of taking a package leaves nothing that counts, and the next sweep removes the rest", async () => {
    const from = join(folder, "from");
    await mkdir(from);
    const file = await open(join(from, "terraform-provider-x_v1"), "w", 0o755);
    await file.truncate(256 * 1024 * 1024);
    await file.close();
    const hashes = [await packageHash(from, ["terraform-provider-x_v1"], never)];
    const cache = join(folder, "cache");
    const lease = join(cache, "leases", "dead");
    await mkdir(join(lease, "new"), { recursive: true });
    await (await open(`${lease}.lock`, "w")).close();
    const entry = join(cache, "packages", "direct", "h", "n", "x", "1.0.0", "linux_amd64");
    const child = startChild({ kind: "promote", from, entry, temporary: join(lease, "new", "0"), hashes });
    await expect
      .poll(() => readdir(join(lease, "new", "0", "package")).catch(() => []), { timeout: 20_000, interval: 1 })
      .toHaveLength(1);
    child.process.kill("SIGKILL");
    expect(await child.ended).toBe("killed");
    expect(await listPackages(join(cache, "packages", "direct"))).toEqual([]);
    expect(await readdir(join(cache, "leases"))).toEqual(["dead", "dead.lock"]);
    expect(await trimStore(cache, defaultStoreLimits, Date.now())).toMatchObject({ packages: 0, problems: [] });
    expect(await readdir(join(cache, "leases"))).toEqual([]);
    const again = startChild({ kind: "promote", from, entry, temporary: join(folder, "cache", "again"), hashes });
    expect(await again.ended).toBe("");
    expect((await readRecord(entry))?.h1).toBe(hashes[0]);
    expect((await readFile(join(entry, "package", "terraform-provider-x_v1"))).length).toBe(256 * 1024 * 1024);
  });
});
