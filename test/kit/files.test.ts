import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { writeFileAtomic } from "../../src/kit/files.ts";
import { tryLock } from "../../src/kit/lock.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "outpost-kit-"));
});
afterEach(() => rm(folder, { recursive: true }));

test("an atomic write replaces the whole file, is private, and leaves nothing beside it", async () => {
  const path = join(folder, "f");
  await writeFileAtomic(path, "a longer first text");
  await writeFileAtomic(path, "second");
  expect(await readFile(path, "utf8")).toBe("second");
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await readdir(folder)).toEqual(["f"]);
});

test("a write that fails leaves the old file and no temporary one", async () => {
  await expect(writeFileAtomic(join(folder, "no", "f"), "x")).rejects.toThrow();
  expect(await readdir(folder)).toEqual([]);
});

test("a kernel lock is refused to a second holder and free again when it is given back", async () => {
  const path = join(folder, "lock");
  const first = await tryLock(path);
  expect(first).toBeDefined();
  expect(await tryLock(path)).toBeUndefined();
  await first?.[Symbol.asyncDispose]();
  const again = await tryLock(path);
  expect(again).toBeDefined();
  await again?.[Symbol.asyncDispose]();
});

test("a lock is free right after its holder was killed", async () => {
  const path = join(folder, "lock");
  const child = spawn("flock", ["--exclusive", path, "sh", "-c", "echo held; exec sleep 1000"], {
    detached: true,
    stdio: ["ignore", "pipe", "ignore"],
  });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  expect(await tryLock(path)).toBeUndefined();
  const ended = new Promise((resolve) => child.once("exit", resolve));
  process.kill(-(child.pid as number), "SIGKILL");
  await ended;
  // The sleeping grandchild held the descriptor too; it died with its group.
  await expect.poll(() => tryLock(path).then((lock) => lock?.[Symbol.asyncDispose]().then(() => true))).toBe(true);
});
