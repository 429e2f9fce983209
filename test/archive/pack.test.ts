import { chmod, symlink, utimes } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { extractTar } from "../../src/archive/extract.ts";
import { packTemplate } from "../../src/archive/pack.ts";
import { OperatorError } from "../../src/kit/errors.ts";
import { temporaryFolder, treeOf, writeTree } from "./folder.ts";

const never = new AbortController().signal;

test("a template folder is packed by the CLI's rules and comes out again; links are named as skipped", async () => {
  await using source = await temporaryFolder();
  await using target = await temporaryFolder();
  const kept = {
    "main.tf": "x",
    ".terraform.lock.hcl": "lock",
    "sub/terraform.tfvars": "a",
    "build/Dockerfile": "FROM x",
    "my.tfplan.md": "",
  };
  await writeTree(source.path, {
    ...kept,
    ".git/HEAD": "ref",
    ".terraform/x": "",
    ".env": "secret",
    "sub/.hidden/x": "",
    "terraform.tfvars": "v",
    "terraform.tfvars.json": "v",
    "x.auto.tfvars": "v",
    "sub/y.auto.tfvars.json": "v",
    "terraform.tfstate": "s",
    "sub/old.tfstate.backup": "s",
    "terraform.tfstate.d/w/terraform.tfstate": "s",
  });
  await symlink("main.tf", join(source.path, "link.tf"));
  const { archive, skippedLinks } = await packTemplate(source.path);
  expect(skippedLinks).toEqual(["link.tf"]);
  const done = await extractTar(archive, target.path, { kind: "template" }, never);
  expect(await treeOf(target.path)).toEqual(kept);
  expect(done).toMatchObject({ skippedLinks: ["link.tf"], dropped: [] });
});

test("equal trees give equal archives, and a program stays one", async () => {
  const archives: Uint8Array[] = [];
  for (const time of [1, 1_700_000_000]) {
    await using source = await temporaryFolder();
    await writeTree(source.path, { "b.tf": "b", "a/run.sh": "a", "main.tf.json": "{}" });
    await chmod(join(source.path, "a/run.sh"), 0o755);
    await utimes(join(source.path, "b.tf"), time, time);
    archives.push((await packTemplate(source.path)).archive);
  }
  expect(archives[0]).toEqual(archives[1]);
  expect(Buffer.from(archives[0] as Uint8Array).toString("latin1")).toContain(
    `${"a/run.sh".padEnd(100, "\0")}0000755\0`,
  );
});

test("a folder that is missing, empty, no template or too big is an operator's error with a cure", async () => {
  await using source = await temporaryFolder();
  const expectRefused = async (folder: string, reason: RegExp) => {
    const error = await packTemplate(folder).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(OperatorError);
    expect(error).toMatchObject({
      code: "OUT-TEMPLATE",
      reason: expect.stringMatching(reason),
      cure: expect.stringMatching(/\w/),
    });
    expect((error as Error).message).toContain(folder);
  };
  await expectRefused(join(source.path, "missing"), /ENOENT/);
  await expectRefused(source.path, /empty/);
  await writeTree(source.path, { "README.md": "x", "sub/main.tf": "x" });
  await expectRefused(source.path, /\.tf/);
  await expectRefused(join(source.path, "README.md"), /ENOTDIR/);
  await writeTree(source.path, { "main.tf": "x", "big.bin": "x".repeat(4_194_304) });
  await expectRefused(source.path, /4128768 bytes/);
});
