import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { killInside, killTree } from "../../src/sandbox/tree.ts";
import { processesIn } from "../support/processes.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "outpost-tree-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** A shell in the folder that says when its children run. */
async function shell(script: string) {
  const child = spawn("sh", ["-c", script], { cwd: folder, stdio: ["ignore", "pipe", "ignore"], detached: true });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  await new Promise((resolve) => child.stdout.once("data", resolve));
  return { pid: child.pid as number, ended };
}

test("a tree ends whole, also where parts of it made sessions of their own", async () => {
  const { pid, ended } = await shell("setsid sh -c 'sleep 1000 & exec sleep 1000' & sleep 1000 & echo up; wait");
  await expect.poll(() => processesIn(folder).length).toBe(4);
  killTree(pid);
  await ended;
  await expect.poll(() => processesIn(folder)).toEqual([]);
});

test("what has left its parent is found by its folder", async () => {
  const { ended } = await shell("(setsid sleep 1000 &) ; echo up");
  await ended;
  await expect.poll(() => processesIn(folder).length).toBe(1);
  killInside(folder);
  await expect.poll(() => processesIn(folder)).toEqual([]);
});

test("a tree that has ended, and a folder without processes, are no errors", async () => {
  const { pid, ended } = await shell("echo up");
  await ended;
  killTree(pid);
  killInside(folder);
});
