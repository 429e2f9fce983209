import { link, mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { tryLock } from "../../../src/kit/lock.ts";
import { type StoreLimits, trimStore } from "../../../src/terraform/provider-cache/trim.ts";
import { dummy, platform } from "./registry.ts";
import { makeWorld, never, terraformIsHere } from "./world.ts";

const day = 24 * 3_600_000;
const now = Date.UTC(2026, 10, 1);
const limits: StoreLimits = { maxBytes: 1e12, maxAgeMs: 30 * day, minFreeBytes: 0 };

let cache: string;
let store: string;
beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), "outpost-trim-"));
  store = join(cache, "packages", "direct");
});
afterEach(() => rm(cache, { recursive: true }));

/** Makes files of `bytes` each, all of the same age, and their folders below the store's root as old. */
async function put(days: number, paths: string[], bytes = 100): Promise<void> {
  const time = new Date(now - days * day);
  for (const path of paths) {
    await mkdir(dirname(join(store, path)), { recursive: true });
    await writeFile(join(store, path), Buffer.alloc(bytes));
    await utimes(join(store, path), time, time);
  }
  for (const path of paths) {
    for (let at = dirname(path); at !== "."; at = dirname(at)) await utimes(join(store, at), time, time);
  }
}

const coder = "registry.terraform.io/coder/coder/2.18.0/linux_amd64";
const aws = "registry.terraform.io/hashicorp/aws/5.0.0/linux_amd64";
const trim = (some: Partial<StoreLimits> = {}) => trimStore(cache, { ...limits, ...some }, now);

test("03#19 a package whose newest file is 31 days old goes with its parents up to the host, the root stays", async () => {
  await put(31, [`${coder}/package/terraform-provider-coder`, `${coder}/package/LICENSE`, `${coder}/record.json`]);
  expect(await trim()).toEqual({ packages: 0, bytes: 0, removed: [coder], problems: [] });
  expect(await readdir(store)).toEqual([]);
  expect(await readdir(join(cache, "trash"))).toEqual([]);
});

test("03#19 at 29 days it stays", async () => {
  await put(29, [`${coder}/package/terraform-provider-coder`]);
  expect(await trim()).toMatchObject({ packages: 1, removed: [] });
});

test("03#19 03#20 age counts from the last use when that is later than the newest file", async () => {
  await put(90, [`${coder}/package/terraform-provider-coder`, `${coder}/record.json`]);
  const used = new Date(now - 5 * day);
  await utimes(join(store, coder, "record.json"), used, used);
  expect(await trim()).toMatchObject({ packages: 1, removed: [] });
});

test("03#20 one fresh file deep in the package keeps it", async () => {
  await put(31, [`${coder}/package/a/b/c/deep`, `${coder}/package/terraform-provider-coder`]);
  const fresh = new Date(now - day);
  await utimes(join(store, coder, "package/a/b/c/deep"), fresh, fresh);
  expect(await trim()).toMatchObject({ packages: 1, removed: [] });
});

test("03#21 of a stale and a fresh package of one host only the stale one and its own parents go", async () => {
  await put(31, [`${coder}/package/x`]);
  await put(1, [`${aws}/package/x`]);
  expect(await trim()).toMatchObject({ packages: 1, removed: [coder] });
  expect(await readdir(join(store, "registry.terraform.io"))).toEqual(["hashicorp"]);
});

test("03#22 folders with 4 or 6 levels are no candidates by themselves", async () => {
  await put(31, ["h/n/t/v/file-in-the-fourth"]);
  await put(31, ["h/n/u/v/p/sixth/file"]);
  const fresh = new Date(now);
  await utimes(join(store, "h/n/u/v/p"), fresh, fresh);
  expect(await trim()).toMatchObject({ removed: [] });
  expect(await readdir(join(store, "h/n/t/v"))).toEqual(["file-in-the-fourth"]);
  expect(await readdir(join(store, "h/n/u/v/p"))).toEqual(["sixth"]);
});

test("beyond the size the least recently used go first, and only as many as needed", async () => {
  const at = (n: number) => `h/n/t/${n}/linux_amd64`;
  for (const [n, days] of [3, 9, 1, 7].entries()) await put(days, [`${at(n)}/package/x`], 1000);
  expect(await trim({ maxBytes: 2500 })).toEqual({ packages: 2, bytes: 2000, removed: [at(1), at(3)], problems: [] });
});

test("where the volume lacks free space everything that is not in use goes, in order", async () => {
  await put(2, [`${coder}/package/x`]);
  await put(1, [`${aws}/package/x`]);
  expect(await trim({ minFreeBytes: Number.MAX_SAFE_INTEGER })).toMatchObject({ packages: 0, removed: [coder, aws] });
});

test("what a job has linked stays, however old, and goes when the link is gone", async () => {
  await put(90, [`${coder}/package/terraform-provider-coder`]);
  await link(join(store, coder, "package/terraform-provider-coder"), join(cache, "lease"));
  expect(await trim({ maxBytes: 0 })).toMatchObject({ packages: 1, bytes: 100, removed: [] });
  await rm(join(cache, "lease"));
  expect(await trim({ maxBytes: 0 })).toMatchObject({ packages: 0, removed: [coder] });
});

test("a link in place of a package or its parents is not followed", async () => {
  const outside = await mkdtemp(join(tmpdir(), "outpost-outside-"));
  try {
    await mkdir(join(outside, "n/t/v/p"), { recursive: true });
    await writeFile(join(outside, "n/t/v/p/file"), "");
    await mkdir(store, { recursive: true });
    await symlink(outside, join(store, "h"));
    await trimStore(cache, { ...limits, maxAgeMs: 0 }, Date.now() + day);
    expect(await readdir(join(outside, "n/t/v/p"))).toEqual(["file"]);
  } finally {
    await rm(outside, { recursive: true });
  }
});

test("what dead jobs left is swept, what a live one holds is not", async () => {
  const leases = join(cache, "leases");
  for (const name of ["dead", "live"]) {
    await mkdir(join(leases, name, "providers"), { recursive: true });
    await writeFile(join(leases, `${name}.lock`), "");
  }
  await using _live = await tryLock(join(leases, "live.lock"));
  expect(await trim()).toMatchObject({ problems: [] });
  expect((await readdir(leases)).sort()).toEqual(["live", "live.lock"]);
});

test("while another agent trims, nothing is done", async () => {
  await put(90, [`${coder}/package/x`]);
  await using _other = await tryLock(join(cache, "trim.lock"));
  expect(await trim()).toBeUndefined();
  expect(await readdir(store)).toHaveLength(1);
});

test("what can't be done is told and does not reject", async () => {
  await writeFile(join(cache, "file"), "");
  const trimmed = await trimStore(join(cache, "file"), limits, now);
  expect(trimmed?.problems).toEqual([expect.stringMatching(/^trim provider cache ".*": ENOTDIR/)]);
});

test.skipIf(!terraformIsHere)(
  "eviction under use: a running job keeps its provider, the next one downloads again",
  async () => {
    await using world = await makeWorld([dummy("acme/two", "2.0.0")]);
    const init = async (work: string) => {
      const lease = await world.open(work);
      expect((await lease.init(world.terraform(work), never)).failure).toBeUndefined();
      return lease;
    };
    const first = await world.job({ "acme/two": "" });
    await (await init(first))[Symbol.asyncDispose]();
    const work = await world.job({ "acme/two": "" });
    await using _lease = await init(work);
    const empty = { maxBytes: 0, maxAgeMs: 0, minFreeBytes: 0 };
    expect(await trimStore(world.cache, empty, Date.now() + day)).toMatchObject({ packages: 1, removed: [] });
    // Even one that goes by force leaves the job what it has.
    await rm(join(world.cache, "packages"), { recursive: true });
    const place = join(work, ".terraform/providers", world.registry.host, "acme/two/2.0.0", platform);
    expect(await readFile(join(place, "terraform-provider-two_v2.0.0"), "utf8")).toContain("acme/two 2.0.0");
    world.registry.asked.length = 0;
    await using _next = await init(await world.job({ "acme/two": "" }));
    expect(world.registry.asked).toContainEqual(expect.stringMatching(/\.zip$/));
  },
);
