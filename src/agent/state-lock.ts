import { readFile, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "../kit/clock.ts";
import { exitCode, messageOf, OperatorError } from "../kit/errors.ts";
import { type Lock, NoKernelLock, tryLock } from "../kit/lock.ts";

/** `outpost doctor` holds the lock for a moment to see whether it is free: that must not end an agent that starts just then. */
const tries = 5;
const pauseMs = 100;

/**
 * Makes the state folder, and with it the name and the records in it, this process's own until it ends. Throws OperatorError
 * OUT-NAME-TAKEN (exit 75) when another living agent has it: two agents of one name overwrite each other at the control plane
 * (spec/01 §1.8), and a journal has one writer (02#80). The folder must exist.
 */
export async function lockStateFolder(folder: string, clock: Clock = systemClock): Promise<Lock> {
  const path = lockPath(folder);
  for (let number = 1; number <= tries; number++) {
    const lock = await tryLock(path).catch((error: unknown) => {
      throw unusable(folder, error);
    });
    if (lock) {
      await writeFile(path, `process ${process.pid} on ${hostname()}\n`).catch(async (error: unknown) => {
        await lock[Symbol.asyncDispose]();
        throw unusable(folder, error);
      });
      return lock;
    }
    if (number < tries) await clock.sleep(pauseMs, never);
  }
  const holder = await stateFolderHolder(folder);
  throw new OperatorError(`state folder "${folder}": another agent is using it`, {
    code: "OUT-NAME-TAKEN",
    reason: `${holder} runs on it, and two agents of one name would overwrite each other's jobs`,
    cure: "stop that agent, or give this one its own: --state-dir PATH and --name NAME",
    exit: exitCode.busy,
  });
}

/** Whether a living agent has the state folder. Nothing is made where there is no lock file yet. Throws OperatorError where it can't be seen. */
export async function isStateFolderTaken(folder: string): Promise<boolean> {
  const exists = await readFile(lockPath(folder)).then(
    () => true,
    () => false,
  );
  if (!exists) return false;
  const lock = await tryLock(lockPath(folder)).catch((error: unknown) => {
    throw unusable(folder, error);
  });
  await lock?.[Symbol.asyncDispose]();
  return lock === undefined;
}

/** Who wrote itself into the lock file last. */
export async function stateFolderHolder(folder: string): Promise<string> {
  const text = await readFile(lockPath(folder), "utf8").catch(() => "");
  return /^process \d+ on \S{1,255}$/.exec(text.trim())?.[0] ?? "another process";
}

const lockPath = (folder: string) => join(folder, "lock");
const never = new AbortController().signal;

function unusable(folder: string, error: unknown): OperatorError {
  const what = `state folder "${folder}": can't be locked: ${messageOf(error)}`;
  const about = { exit: exitCode.usage, cause: error };
  if (error instanceof NoKernelLock) {
    const reason = "locks are taken by the flock program";
    return new OperatorError(what, { ...about, code: "OUT-FOLDERS", reason, cure: "install util-linux" });
  }
  if ((error as NodeJS.ErrnoException).code === "ENOSPC") {
    const reason = "its disk is full";
    const cure = "make room there, or choose another with --state-dir PATH";
    return new OperatorError(what, { ...about, code: "OUT-DISK", reason, cure });
  }
  const reason = "the agent must be able to write there";
  const cure = "give it to this user, or choose another with --state-dir PATH";
  return new OperatorError(what, { ...about, code: "OUT-FOLDERS", reason, cure });
}
