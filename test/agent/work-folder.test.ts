import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { removeTree, WorkFolder } from "../../src/agent/work-folder.ts";
import { systemClock } from "../../src/kit/clock.ts";

let work: string;
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), "outpost-work-"));
});
afterEach(() => removeTree(work));

/** What an agent leaves that died: a part with a lock file that nobody holds. */
async function deadAgent(name: string, state?: { text: string; ageDays: number }) {
  const session = join(work, name, "job-1", "Session-x");
  await mkdir(session, { recursive: true });
  await writeFile(join(work, name, "lock"), "");
  if (!state) return;
  const file = join(session, "terraform.tfstate");
  await writeFile(file, state.text);
  const time = Date.now() / 1000 - state.ageDays * 86_400;
  await utimes(file, time, time);
}

test("what a dead agent left is swept, what a live one has is not", async () => {
  await deadAgent("a-dead");
  await using live = await WorkFolder.open(work, systemClock);
  await live.job("a1");
  await using second = await WorkFolder.open(work, systemClock);
  const parts = await readdir(work);
  expect(parts).not.toContain("a-dead");
  expect(parts).toHaveLength(2);
  expect(await readdir(live.path)).toContain("j-a1");
  expect(second.path).not.toBe(live.path);
});

test("03#16 a dead agent's folder with a state stays for 7 days, then goes", async () => {
  await deadAgent("a-young", { text: '{"version":4}', ageDays: 6 });
  await deadAgent("a-old", { text: '{"version":4}', ageDays: 8 });
  await deadAgent("a-empty", { text: "", ageDays: 0 });
  await mkdir(join(work, "somebody-elses"));
  await using _agent = await WorkFolder.open(work, systemClock);
  const parts = await readdir(work);
  expect(parts).toContain("a-young");
  expect(parts).not.toContain("a-old");
  expect(parts).not.toContain("a-empty");
  expect(parts).toContain("somebody-elses");
});

/** Marks a file so that not even root can remove it; false where the file system or our rights don't allow that. */
const immutable = (path: string, on: boolean) => spawnSync("chattr", [on ? "+i" : "-i", path]).status === 0;

test("03#17 what can't be removed of a dead agent does not keep the next one from starting", async (context) => {
  await deadAgent("a-stuck", { text: "", ageDays: 9 });
  const file = join(work, "a-stuck", "job-1", "Session-x", "terraform.tfstate");
  if (!immutable(file, true)) context.skip("no chattr here");
  try {
    await using agent = await WorkFolder.open(work, systemClock);
    expect(await readdir(agent.path)).toEqual(["lock"]);
    expect(await readdir(work)).toContain("a-stuck");
  } finally {
    immutable(file, false);
  }
});

test("two jobs whose ids begin alike have folders of their own", async () => {
  await using agent = await WorkFolder.open(work, systemClock);
  expect(await agent.job("12345678-a")).not.toBe(await agent.job("12345678-b"));
});

test("an agent that ends in order leaves nothing, but for a job's folder that is still there", async () => {
  const first = await WorkFolder.open(work, systemClock);
  await first[Symbol.asyncDispose]();
  expect(await readdir(work)).toEqual([]);
  const second = await WorkFolder.open(work, systemClock);
  await second.job("kept");
  await second[Symbol.asyncDispose]();
  expect(await readdir(second.path)).toContain("j-kept");
});

test("folders that are closed or nested deeper than a path is long go, too", async () => {
  const tree = join(work, "tree");
  await mkdir(join(tree, "closed"), { recursive: true });
  await writeFile(join(tree, "closed", "f"), "");
  await rm(join(tree, "closed", "f"));
  await mkdir(join(tree, "sealed"), { mode: 0 });
  process.chdir(tree);
  for (let depth = 0; depth < 300; depth++) {
    await mkdir("a".repeat(20));
    process.chdir("a".repeat(20));
  }
  process.chdir("/");
  await removeTree(tree);
  expect(await readdir(work)).toEqual([]);
});
