import { readFileSync } from "node:fs";
import { lstat, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import * as tar from "tar";
import { expect, test } from "vitest";
import { type ExtractOptions, extractTar } from "../../src/archive/extract.ts";
import { JobError } from "../../src/kit/errors.ts";
import { sharedFolder } from "../support/shared.ts";
import { paxRecord, type TarSpec, tarOf, withChecksum } from "../support/tar.ts";
import { temporaryFolder, treeOf } from "./folder.ts";

const never = new AbortController().signal;
const mib = 1024 * 1024;

function extract(archive: Uint8Array, folder: string, options: Partial<ExtractOptions> = {}) {
  return extractTar(archive, folder, { kind: "template", ...options }, never);
}

/** The archive is refused with these words, as the template's author's business. */
async function expectRefused(archive: Uint8Array, words: RegExp | string, options: Partial<ExtractOptions> = {}) {
  await using folder = await temporaryFolder();
  const error = await extract(archive, join(folder.path, "job"), options).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(JobError);
  expect((error as Error).message).toMatch(words);
  expect(await readdir(folder.path)).toEqual(["job"]);
}

test("03#8 names that lead out, absolute and empty ones are refused, whatever the entry's type", async () => {
  for (const name of ["../x", "/x", "", "..", "a/../../x", "/", "./../x"]) {
    for (const type of ["0", "1", "2", "3", "5", "6"]) {
      await expectRefused(tarOf([{ name, type, linkTarget: "y" }]), "refusing to extract to non-local path");
    }
    await expectRefused(tarOf([{ name }]), JSON.stringify(name), { kind: "modules" });
  }
  const pax = [{ name: "p", type: "x", data: paxRecord("path", "../x") }, { name: "fine" }];
  await expectRefused(tarOf(pax), "refusing to extract to non-local path");
});

test("03#9 `a/../b` is extracted to `b`", async () => {
  await using folder = await temporaryFolder();
  await extract(
    tarOf([
      { name: "a/../b", data: "text" },
      { name: "./", type: "5" },
    ]),
    folder.path,
  );
  expect(await treeOf(folder.path)).toEqual({ b: "text" });
});

test("03#10 links, devices and FIFOs are skipped and named, and nothing is made", async () => {
  await using folder = await temporaryFolder();
  const specs = ["1", "2", "3", "4", "6", "S", "7"].map((type) => ({
    name: `t${type}`,
    type,
    linkTarget: "/etc/passwd",
  }));
  const done = await extract(tarOf([...specs, { name: "main.tf" }]), folder.path);
  expect(done.skippedLinks).toEqual(specs.map(({ name }) => name));
  expect(await treeOf(folder.path)).toEqual({ "main.tf": "" });
});

test("03#12 modes are 0600 and 0700, the owner's x bit stays, setuid and mode 0 do not", async () => {
  await using folder = await temporaryFolder();
  const modes: [number, number][] = [
    [0, 0o600],
    [0o6755, 0o700],
    [0o644, 0o600],
    [0o777, 0o700],
    [0o077, 0o600],
  ];
  await extract(tarOf(modes.map(([mode]) => ({ name: `f${mode}`, mode }))), folder.path);
  await extract(
    tarOf([
      { name: "d", type: "5", mode: 0o2755 },
      { name: "f0", mode: 0o755 },
    ]),
    folder.path,
  );
  modes[0] = [0, 0o700];
  for (const [mode, wanted] of modes) expect((await lstat(join(folder.path, `f${mode}`))).mode & 0o7777).toBe(wanted);
  expect((await lstat(join(folder.path, "d"))).mode & 0o7777).toBe(0o700);
});

test("03#11 a file with mode 0 is made with 0600", async () => {
  await using folder = await temporaryFolder();
  await extract(tarOf([{ name: "f", mode: 0 }]), folder.path);
  expect((await lstat(join(folder.path, "f"))).mode & 0o7777).toBe(0o600);
});

test("03#12 a file without a folder's entry before it is extracted, one above the cap fails with its name", async () => {
  await using folder = await temporaryFolder();
  const biggest = Buffer.alloc(10 * mib, 1);
  await extract(
    tarOf([
      { name: "a/b/c", data: "text" },
      { name: "big", data: biggest },
    ]),
    folder.path,
  );
  expect(await readFile(join(folder.path, "a/b/c"), "utf8")).toBe("text");
  expect((await lstat(join(folder.path, "big"))).size).toBe(10 * mib);
  await expectRefused(
    tarOf([{ name: "a/huge", data: Buffer.alloc(10 * mib + 1) }]),
    /"a\/huge".*10485761 bytes.*10485760/,
  );
});

test("03#13 what is extracted later wins, and a shorter file leaves no tail of the longer one", async () => {
  await using folder = await temporaryFolder();
  await extract(tarOf([{ name: "m/main.tf", data: "long template text" }]), folder.path);
  const modules = [
    { name: "m/", type: "5" },
    { name: "m/main.tf", data: "mod" },
    { name: ".terraform/modules/modules.json" },
  ];
  const done = await extract(tarOf(modules), folder.path, { kind: "modules" });
  expect(done).toEqual({ files: 2, bytes: 3, skippedLinks: [], dropped: [] });
  expect(await treeOf(folder.path)).toEqual({ "m/main.tf": "mod", ".terraform/modules/modules.json": "" });
});

test("03#54 state, plans, Terraform's own folder and settings that come with a template are dropped and named", async () => {
  await using folder = await temporaryFolder();
  const reserved = [
    "terraform.tfstate",
    "x/../terraform.tfstate",
    "terraform.tfstate.backup",
    "terraform.tfstate.d/w2/terraform.tfstate",
    "errored.tfstate",
    ".terraform.tfstate.lock.info",
    ".terraform/terraform.tfstate",
    ".terraform/modules/modules.json",
    ".TERRAFORM/x",
    "my.tfplan",
    "terraform.d/plugins/x",
    ".terraformrc",
    ".terraform.d/credentials.tfrc.json",
  ];
  const kept = [
    "main.tf",
    ".terraform.lock.hcl",
    "x.auto.tfvars",
    "data/terraform.tfstate",
    "terraform.d/other",
    "x/.terraform/y",
  ];
  const specs = [...reserved, ...kept].map((name) => ({ name, data: "x" }));
  const done = await extract(tarOf(specs), folder.path);
  expect(done.dropped).toEqual(reserved.map((name) => name.replace("x/../", "")));
  expect(Object.keys(await treeOf(folder.path)).sort()).toEqual([...kept].sort());
});

test("limits on entries, content, depth and names are refused in words", async () => {
  const many = tarOf(Array.from({ length: 11 }, (_, n) => ({ name: `f${n}`, data: "12345" })));
  await expectRefused(many, /"f10".*more than 10 entries/, { limits: { entries: 10 } });
  await expectRefused(many, /"f4".*more than 24 bytes/, { limits: { totalBytes: 24 } });
  const named = (name: string) => tarOf([{ name: "p", type: "x", data: paxRecord("path", name) }, { name: "x" }]);
  await expectRefused(named(`${"d/".repeat(65)}f`), /more than 64 folders/);
  for (const name of ["n".repeat(256), `${"n".repeat(200)}/`.repeat(6)]) await expectRefused(named(name), /too long/);
});

test("names of a template that differ in case only are refused, of folders too", async () => {
  await expectRefused(tarOf([{ name: "main.tf" }, { name: "Main.tf" }]), /"Main\.tf".*"main\.tf".*case/);
  await expectRefused(tarOf([{ name: "a/x" }, { name: "A/y" }]), /case/);
  await expectRefused(tarOf([{ name: "caf\u00e9" }, { name: "cafe\u0301" }]), /case/);
  await using folder = await temporaryFolder();
  await extract(tarOf([{ name: "a/x" }, { name: "a/y" }, { name: "a", type: "5" }, { name: "a/x" }]), folder.path);
});

test("damage is named with its place", async () => {
  const good = tarOf([{ name: "a", data: "x".repeat(700) }]);
  const at = (offset: number, byte: number) => {
    const copy = Buffer.from(good);
    copy[offset] = byte;
    return copy;
  };
  const cases: [Uint8Array, RegExp][] = [
    [at(0, 0x62), /damaged at byte 0: the checksum/],
    [good.subarray(0, 100), /ends inside a header/],
    [good.subarray(0, 1000), /damaged at byte 0: a body of 700 bytes goes past the end/],
    [Buffer.concat([tarOf([], 1), good]), /data after a zero block/],
    [tarOf([{ name: "a", size: "7777777777x" }]), /the size in a header is no number/],
    [tarOf([{ name: "a", size: "\xff".repeat(12) }]), /the size in a header is no number/],
    [tarOf([{ name: "p", type: "x", data: "nonsense" }, { name: "a" }]), /extended header can't be read/],
    [
      tarOf([{ name: "p", type: "x", data: paxRecord("path", "a\0b") }, { name: "a" }]),
      /extended header can't be read/,
    ],
    [
      tarOf([{ name: "p", type: "x", data: paxRecord("size", "-1") }, { name: "a" }]),
      /the size in a header is no number/,
    ],
    [tarOf([{ name: "p", type: "x", data: paxRecord("path", "a") }]), /ends after an extended header/],
    [tarOf([{ name: "p", type: "L", data: Buffer.alloc(mib + 1, 0x61) }, { name: "a" }]), /more than 1 MiB/],
    [tarOf([{ name: "a" }, { name: "a/b" }]), /"a\/b".*EEXIST/],
    [tarOf([{ name: "a/" }]), /a file with the name of a folder/],
  ];
  for (const [archive, words] of cases) await expectRefused(archive, words);
  const latin1 = tarOf([{ name: "a" }]);
  latin1[0] = 0xe9;
  await expectRefused(Buffer.concat([withChecksum(latin1.subarray(0, 512)), latin1.subarray(512)]), /not UTF-8/);
});

test("the end without zero blocks, global headers and old type flags are accepted", async () => {
  await using folder = await temporaryFolder();
  const specs: TarSpec[] = [
    { name: "pax_global_header", type: "g", data: paxRecord("comment", "0123") },
    { name: "folder/", type: "\0" },
    { name: "folder/old", type: "\0", data: "1" },
    { name: "././@LongLink", type: "L", data: `${"long/".repeat(30)}name\0` },
    { name: "cut", data: "2" },
    { name: "name", prefix: "some/prefix", data: "3" },
    { name: "p", type: "x", data: paxRecord("mtime", "1.5") + paxRecord("path", "line\nfeed=1") },
    { name: "cut", data: "4" },
    { name: "p", type: "x", data: paxRecord("GNU.sparse.major", "1") },
    { name: "sparse", data: "5" },
  ];
  const done = await extract(tarOf(specs, 0), folder.path);
  expect(await treeOf(folder.path)).toEqual({
    "folder/old": "1",
    [`${"long/".repeat(30)}name`]: "2",
    "some/prefix/name": "3",
    "line\nfeed=1": "4",
  });
  expect(done.skippedLinks).toEqual(["sparse"]);
});

test("no link that is there is followed, neither as a folder nor as a file", async () => {
  await using outside = await temporaryFolder();
  await using folder = await temporaryFolder();
  await writeFile(join(outside.path, "file"), "untouched");
  await symlink(outside.path, join(folder.path, "folder"));
  await symlink(join(outside.path, "file"), join(folder.path, "file"));
  await expect(extract(tarOf([{ name: "folder/file", data: "x" }]), folder.path)).rejects.toThrow(/EEXIST/);
  await expect(extract(tarOf([{ name: "file", data: "x" }]), folder.path)).rejects.toThrow(/ELOOP/);
  expect(await treeOf(outside.path)).toEqual({ file: "untouched" });
});

test("the extraction stops when its signal aborts, and lets others run in between", async () => {
  await using folder = await temporaryFolder();
  const archive = tarOf(Array.from({ length: 2000 }, (_, n) => ({ name: `f${n}` })));
  const controller = new AbortController();
  let turns = 0;
  const turn = () => {
    if (++turns === 10) controller.abort(new Error("stop"));
    else setImmediate(turn);
  };
  setImmediate(turn);
  const done = extractTar(archive, folder.path, { kind: "template" }, controller.signal);
  await expect(done).rejects.toThrow("stop");
  expect((await readdir(folder.path)).length).toBeLessThan(2000);
});

test("whatever node-tar packs comes out as it went in", async () => {
  const name = fc.string({ unit: fc.constantFrom("a", "b", "é", "日", " ", "-"), minLength: 1, maxLength: 70 });
  const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.map((part) => `n${part}`).join("/"));
  const files = fc.dictionary(path, fc.string({ maxLength: 1200 }), { minKeys: 1, maxKeys: 8, noNullPrototype: true });
  await fc.assert(
    fc.asyncProperty(files, fc.boolean(), async (tree, portable) => {
      const names = Object.keys(tree);
      fc.pre(!names.some((a) => names.some((b) => b.startsWith(`${a}/`))));
      await using source = await temporaryFolder();
      await using target = await temporaryFolder();
      for (const [file, text] of Object.entries(tree)) {
        await mkdir(join(source.path, file, ".."), { recursive: true });
        await writeFile(join(source.path, file), text);
      }
      const chunks: Buffer[] = [];
      for await (const chunk of tar.create({ cwd: source.path, portable }, ["."])) chunks.push(chunk as Buffer);
      await extract(Buffer.concat(chunks), target.path, { kind: "modules" });
      expect(await treeOf(target.path)).toEqual(await treeOf(source.path));
    }),
    { numRuns: 25 },
  );
});

test.skipIf(!sharedFolder)("templates of recorded sessions are extracted", async () => {
  for (const session of ["life", "rich", "modules"]) {
    const text = readFileSync(`${sharedFolder}/cases/wire/${session}/002.jsonl`, "utf8");
    const archive = /"template_source_archive": ?"([^"]+)"/.exec(text)?.[1] as string;
    await using folder = await temporaryFolder();
    await extract(Buffer.from(archive, "base64"), folder.path);
    expect((await treeOf(folder.path))["main.tf"]).toContain("coder_agent");
  }
});
