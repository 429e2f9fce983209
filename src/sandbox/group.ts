import { readdir, readFile } from "node:fs/promises";
import type { Clock } from "../kit/clock.ts";

/** How long killed processes may take to go: they end at once, unless the disk that they write to hangs. */
const patienceMs = 2_000;
const pollMs = 10;

/** Ends all processes of a group now. Nothing happens where there is none. */
export function killGroup(pid: number): void {
  signalGroup(pid, "SIGKILL");
}

/**
 * Waits until no process of a killed group runs, at most 2 s. One that has ended and is only not reaped doesn't count:
 * in a container whose first process does not reap, orphans stay like that for ever.
 */
export async function waitForGroup(pid: number, clock: Clock): Promise<void> {
  const never = new AbortController().signal;
  for (let waited = 0; waited < patienceMs; waited += pollMs) {
    if (!signalGroup(pid, 0) || !(await hasRunning(pid))) return;
    await clock.sleep(pollMs, never);
  }
}

/** Whether the group is there. */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}

/** Whether a process of the group runs; where there is no /proc to read, what is there is taken to run. */
async function hasRunning(group: number): Promise<boolean> {
  const names = await readdir("/proc").catch(() => undefined);
  if (!names) return true;
  for (const name of names) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, "utf8").catch(() => "");
    // After the name, which may hold anything: state, parent, group (proc_pid_stat(5)).
    const [state, , itsGroup] = stat.slice(stat.lastIndexOf(") ") + 2).split(" ");
    if (Number(itsGroup) === group && state !== "Z" && state !== "X") return true;
  }
  return false;
}
