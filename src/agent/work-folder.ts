import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { lstat, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../kit/clock.ts";
import { type Lock, tryLock } from "../kit/lock.ts";

/** Names are short: plugins make sockets below, and the kernel takes no path of a socket above 107 bytes. */
const prefix = "a-";

/** Longest work folder that leaves room for a job's own folders and a plugin's socket. */
export const maxWorkFolderBytes = 55;

/** A server that sends one id again and again while its jobs run is no control plane. */
const maxSameNames = 1_000;

/** This agent's part of the work folder: held by a lock for as long as we live, so that the next agent knows whose is dead. */
export class WorkFolder implements AsyncDisposable {
  constructor(
    readonly path: string,
    private readonly lock: Lock,
  ) {}

  /** Sweeps what dead agents left, then makes a part of our own. Parts of live agents are not touched. */
  static async open(work: string, clock: Clock): Promise<WorkFolder> {
    await sweep(work, clock.now());
    const path = join(work, `${prefix}${randomBytes(3).toString("hex")}`);
    await mkdir(path, { mode: 0o700 });
    const lock = await tryLock(join(path, "lock"));
    if (!lock) throw new Error(`lock "${path}": somebody else holds a folder that we just made`);
    return new WorkFolder(path, lock);
  }

  /** A private folder for one job. */
  async job(id: string): Promise<string> {
    // Ids of jobs that run side by side differ long before this; a number tells those apart that do not.
    const name = `j-${id.replaceAll(/\W/g, "").slice(0, 8)}`;
    for (let number = 0; ; number++) {
      const path = join(this.path, number === 0 ? name : `${name}${number}`);
      try {
        await mkdir(path, { mode: 0o700 });
        return path;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST" || number === maxSameNames) throw error;
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What a job left because nobody took its state stays for a person; the rest goes.
    const left = await readdir(this.path).catch(() => []);
    if (left.every((name) => name === "lock")) await removeTree(this.path);
    await this.lock[Symbol.asyncDispose]();
  }
}

/** A dead agent's job folder may hold the only copy of a state: it stays this long (spec/03 §1.7). */
const keepStateMs = 7 * 24 * 3_600_000;

/** Removes what agents that are gone left behind, but for states. Parts of live agents are not touched. */
async function sweep(work: string, now: number): Promise<void> {
  for (const name of await readdir(work).catch(() => [])) {
    if (!name.startsWith(prefix)) continue;
    const part = join(work, name);
    const lock = await tryLock(join(part, "lock")).catch(() => undefined);
    if (!lock) continue;
    for (const job of await readdir(part)) {
      if (job !== "lock" && !(await holdsState(join(part, job), now))) await removeTree(join(part, job));
    }
    if ((await readdir(part)).length === 1) await removeTree(part);
    await lock[Symbol.asyncDispose]();
  }
}

/** Whether a session of this job left a state that is not empty and younger than the limit. Nothing is opened. */
async function holdsState(job: string, now: number): Promise<boolean> {
  for (const session of await readdir(job).catch(() => [])) {
    const file = await lstat(join(job, session, "terraform.tfstate")).catch(() => undefined);
    if (file?.isFile() && file.size > 0 && now - file.mtimeMs < keepStateMs) return true;
  }
  return false;
}

/**
 * Removes a tree that a job made, when all its processes are gone: by `chmod` and `rm`, because deep nesting and closed
 * folders are more than `fs.rm` bears. Never rejects: what stays is swept at the next start.
 */
export async function removeTree(path: string): Promise<void> {
  await run("chmod", ["-R", "u+rwX", "--", path]);
  await run("rm", ["-rf", "--", path]);
}

function run(program: string, args: string[]): Promise<void> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: "ignore", env: { PATH: "/usr/bin:/bin" } });
    child.on("error", () => resolve());
    child.on("exit", () => resolve());
  });
}
