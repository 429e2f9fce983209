import { createHash, randomBytes } from "node:crypto";
import { chmod, mkdir, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as tar from "tar";
import { expect, test } from "vitest";
import { extractTar } from "../../src/archive/extract.ts";
import { packModules } from "../../src/archive/modules.ts";
import { limits } from "../../src/contract/limits.ts";
import { temporaryFolder, treeOf, writeTree } from "./folder.ts";

const never = new AbortController().signal;
const folder = ".terraform/modules";

interface Module {
  Key: string;
  Source: string;
  Dir: string;
}
const index = (...modules: Partial<Module>[]) =>
  JSON.stringify({ Modules: [{ Key: "", Source: "", Dir: "." }, ...modules] });

const git = { Key: "git", Source: "git::https://example.com/m.git", Dir: `${folder}/git` };
const local = { Key: "local", Source: "./local", Dir: "local" };

/** A small project with a downloaded module, a local one and things that don't belong into an archive. */
async function project(root: string): Promise<void> {
  await writeTree(root, {
    "main.tf": "x",
    "local/main.tf": "local",
    [`${folder}/modules.json`]: index(git, local),
    [`${folder}/git/main.tf`]: 'output "a" {}\n',
    [`${folder}/git/sub/run.sh`]: "#!/bin/sh\n",
    [`${folder}/git/.git/HEAD`]: "ref",
  });
  await chmod(join(root, folder, "git/sub/run.sh"), 0o755);
}

/** Names in an archive, as node-tar reads them. */
async function namesIn(archive: Uint8Array): Promise<string[]> {
  const names: string[] = [];
  const parser = new tar.Parser({ strict: true, onReadEntry: (entry) => entry.resume() });
  parser.on("entry", ({ path }) => names.push(path));
  parser.end(Buffer.from(archive));
  return names;
}

test("03#26 the archive has the header bytes of the reference, in its order", async () => {
  await using root = await temporaryFolder();
  await project(root.path);
  const { archive, skipped } = await packModules(root.path, {}, never);
  expect(skipped).toEqual([]);
  expect(await namesIn(archive)).toEqual([
    `${folder}/git/`,
    `${folder}/git/main.tf`,
    `${folder}/git/sub/`,
    `${folder}/git/sub/run.sh`,
    `${folder}/modules.json`,
  ]);
  // A literal header: plain ustar, mode 7 digits, uid and gid 1000, time 0, device numbers not blank.
  const expected = [
    ".terraform/modules/git/main.tf".padEnd(100, "\0"),
    "0000644\0",
    "0001750\0",
    "0001750\0",
    "00000000016\0",
    "00000000000\0",
    "015025\0 ",
    "0",
    "\0".repeat(100),
    "ustar\x0000",
    "\0".repeat(64),
    "0000000\0",
    "0000000\0",
    "\0".repeat(167),
  ].join("");
  expect(Buffer.from(archive.subarray(512, 1024)).toString("latin1")).toBe(expected);
  const first = Buffer.from(archive.subarray(0, 512)).toString("latin1");
  expect(first.slice(100, 108)).toBe("0000755\0");
  expect(first.slice(124, 157)).toBe("00000000000\x0000000000000\x00013551\0 5");
  expect(Buffer.from(archive.subarray(-1024)).equals(Buffer.alloc(1024))).toBe(true);
  // Headers, two padded files, the index, the end: and no further padding.
  expect(archive.length).toBe(5 * 512 + 3 * 512 + 1024);
});

test("03#26 the reference tree gives the bytes that Go's archive/tar gives with these fields: long and foreign names too", async () => {
  await using root = await temporaryFolder();
  await project(root.path);
  const long = `${"d".repeat(60)}/${"f".repeat(80)}`;
  const longer = `${"p".repeat(90)}/${"q".repeat(90)}/${"f".repeat(101)}`;
  const foreign = "naïve.tf";
  await writeTree(root.path, Object.fromEntries([long, longer, foreign].map((name) => [`${folder}/git/${name}`, "x"])));
  const { archive } = await packModules(root.path, {}, never);
  expect(archive.length).toBe(11_776);
  const hash = createHash("sha256").update(archive).digest("hex");
  expect(hash).toBe("3588c63f9875c485ba7dd1805465905ed9713ee3c4171a043ad99614dbcd2519");
  const names = await namesIn(archive);
  expect(names).toEqual(expect.arrayContaining([long, longer, foreign].map((name) => `${folder}/git/${name}`)));
});

test("03#27 equal trees give equal bytes: times, umask and `.git` don't count", async () => {
  const hashes = new Set<string>();
  for (const [time, mode, head] of [
    [1, 0o644, "a"],
    [1_700_000_000, 0o600, "b"],
    [5, 0o664, "c"],
  ] as const) {
    await using root = await temporaryFolder();
    await project(root.path);
    const file = join(root.path, folder, "git/main.tf");
    await chmod(file, mode);
    await chmod(join(root.path, folder, "git"), mode | 0o100);
    await utimes(file, time, time);
    await writeTree(root.path, { [`${folder}/git/.git/HEAD`]: head, [`${folder}/git/.git/new`]: head });
    const { archive } = await packModules(root.path, {}, never);
    hashes.add(createHash("sha256").update(archive).digest("hex"));
    expect(archive).toEqual((await packModules(root.path, {}, never)).archive);
  }
  expect(hashes.size).toBe(1);
});

test("03#28 with a budget that fits only small modules the large one is skipped and listed as key:source", async () => {
  await using root = await temporaryFolder();
  const module = (key: string) => ({ Key: key, Source: `git::${key}`, Dir: `${folder}/${key}` });
  await writeTree(root.path, {
    [`${folder}/modules.json`]: index(module("a.large"), module("b"), module("c")),
    [`${folder}/a.large/main.tf`]: "x".repeat(20_000),
    [`${folder}/b/main.tf`]: "x".repeat(600),
    [`${folder}/c/main.tf`]: "x",
  });
  const { archive, skipped } = await packModules(root.path, { budgetBytes: 16_384 }, never);
  expect(skipped).toEqual(["a.large:git::a.large"]);
  const names = [
    `${folder}/c/`,
    `${folder}/c/main.tf`,
    `${folder}/b/`,
    `${folder}/b/main.tf`,
    `${folder}/modules.json`,
  ];
  expect(await namesIn(archive)).toEqual(names);
  expect(archive.length).toBeLessThanOrEqual(16_384);
  // The index itself counts: where it does not fit, there is nothing.
  const none = await packModules(root.path, { budgetBytes: 1024 }, never);
  expect(none.archive.length).toBe(0);
  expect(none.problem).toContain("modules.json");
});

test("03#28 the budget is met to the byte, and is 20 MiB where none is given", async () => {
  await using root = await temporaryFolder();
  await project(root.path);
  const whole = (await packModules(root.path, {}, never)).archive.length;
  expect((await packModules(root.path, { budgetBytes: whole }, never)).archive.length).toBe(whole);
  expect((await packModules(root.path, { budgetBytes: whole - 1 }, never)).skipped.length).toBe(1);
  await writeFile(join(root.path, folder, "git/big"), randomBytes(limits.moduleArchiveBytes));
  expect((await packModules(root.path, {}, never)).skipped).toEqual([`git:${git.Source}`]);
});

test("03#23 03#29 no modules.json, and only local modules, give an empty archive", async () => {
  await using root = await temporaryFolder();
  expect(await packModules(root.path, {}, never)).toEqual({ archive: new Uint8Array(), skipped: [] });
  await writeTree(root.path, { "local/main.tf": "x", [`${folder}/modules.json`]: index(local) });
  expect(await packModules(root.path, {}, never)).toEqual({ archive: new Uint8Array(), skipped: [] });
  await writeTree(root.path, { [`${folder}/modules.json`]: index(local, git) });
  await mkdir(join(root.path, folder, "git"));
  expect((await packModules(root.path, {}, never)).archive.length).toBe(0);
});

test("03#25 an unparsable modules.json is a problem in words, not a failure", async () => {
  await using root = await temporaryFolder();
  for (const text of ["", "{", "null", "[]", '{"Modules":1}']) {
    await writeTree(root.path, { [`${folder}/modules.json`]: text });
    const { archive, problem } = await packModules(root.path, {}, never);
    expect(archive.length).toBe(0);
    expect(problem).toContain("modules.json");
  }
  await writeTree(root.path, { [`${folder}/modules.json`]: '{"Modules":[null,1,{"Dir":7},{}]}' });
  expect((await packModules(root.path, {}, never)).archive.length).toBe(0);
});

test("a module that can't be packed costs only itself: missing, outside, or behind a link that leads out", async () => {
  await using root = await temporaryFolder();
  await using outside = await temporaryFolder();
  await writeTree(outside.path, { secret: "secret" });
  await project(root.path);
  const dirs = [`${folder}/gone`, `${folder}/../../local`, `${folder}/out`, `${folder}/.`, "../out"];
  const modules = dirs.map((Dir, n) => ({ Key: `bad${n}`, Source: "s", Dir }));
  await writeTree(root.path, { [`${folder}/modules.json`]: index(git, ...modules) });
  await symlink(outside.path, join(root.path, folder, "out"));
  const { archive, skipped } = await packModules(root.path, {}, never);
  expect(skipped).toEqual(["bad0:s", "bad1:s", "bad2:s", "bad3:s"]);
  expect(await namesIn(archive)).toContain(`${folder}/git/main.tf`);
  expect(Buffer.from(archive).toString("latin1")).not.toContain("secret\0");
});

test("links inside the modules are packed as what they point to; those that lead out, nowhere or in circles are not", async () => {
  await using root = await temporaryFolder();
  await using target = await temporaryFolder();
  await project(root.path);
  const at = (name: string) => join(root.path, folder, "git", name);
  await symlink("main.tf", at("link.tf"));
  await symlink("../sub", at("sub/../linked"));
  await symlink("sub", at("folder"));
  await symlink("..", at("sub/circle"));
  await symlink("/etc/passwd", at("passwd"));
  await symlink("../../../main.tf", at("template.tf"));
  await symlink("nowhere", at("dangling"));
  await symlink(".git/HEAD", at("head"));
  const { archive } = await packModules(root.path, {}, never);
  await extractTar(archive, target.path, { kind: "modules" }, never);
  const names = Object.keys(await treeOf(join(target.path, folder, "git"))).sort();
  expect(names).toEqual(["folder/run.sh", "link.tf", "main.tf", "sub/run.sh"]);
});

test("links that would make a tree endless end in a skipped module, soon", async () => {
  await using root = await temporaryFolder();
  const levels = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`${folder}/git/l${n}/file`, "x"]));
  await writeTree(root.path, { ...levels, [`${folder}/modules.json`]: index(git) });
  for (let n = 0; n < 39; n++) {
    for (const name of ["a", "b"]) await symlink(`../l${n + 1}`, join(root.path, folder, `git/l${n}/${name}`));
  }
  const { archive, skipped } = await packModules(root.path, { budgetBytes: 262_144 }, never);
  expect(skipped).toEqual([`git:${git.Source}`]);
  expect(archive.length).toBe(0);
});

test("a module inside another is packed once, and what was packed comes out again", async () => {
  await using root = await temporaryFolder();
  await using target = await temporaryFolder();
  await project(root.path);
  const nested = { Key: "git.sub", Source: "./sub", Dir: `${folder}/git/sub` };
  await writeTree(root.path, { [`${folder}/modules.json`]: index(git, nested) });
  const { archive } = await packModules(root.path, {}, never);
  const names = await namesIn(archive);
  expect(new Set(names).size).toBe(names.length);
  await extractTar(archive, target.path, { kind: "modules" }, never);
  const tree = await treeOf(root.path);
  for (const name of ["main.tf", "local/main.tf", `${folder}/git/.git/HEAD`]) delete tree[name];
  expect(await treeOf(target.path)).toEqual(tree);
});
