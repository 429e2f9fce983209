import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";

/** More processes than a job can have at once: a fork bomb must not hold us in this loop. */
const maxProcesses = 100_000;
/** Rounds in which those that were born meanwhile are found; each kills all that it saw. */
const maxRounds = 20;

/**
 * Ends a process and everything below it now, whatever groups and sessions they made: it is stopped first, so that nothing
 * is born while its descendants are found. What has already left its parent is not found: `killInside` looks for that.
 */
export function killTree(pid: number): void {
  send(pid, "SIGSTOP");
  const seen = new Set<number>([pid]);
  for (const parent of seen) {
    if (seen.size > maxProcesses) break;
    for (const child of childrenOf(parent)) {
      send(child, "SIGSTOP");
      seen.add(child);
    }
  }
  for (const process of [...seen].reverse()) send(process, "SIGKILL");
}

/** Ends every process of our user whose current folder lies in `folder`: a job's, whoever their parent is by now. */
export function killInside(folder: string): void {
  for (let round = 0; round < maxRounds; round++) {
    const found = processesInside(folder);
    if (found.length === 0) return;
    for (const pid of found) send(pid, "SIGKILL");
  }
}

function processesInside(folder: string): number[] {
  // Only Linux shows processes as files.
  if (!existsSync("/proc/self")) return [];
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return [];
    try {
      const current = readlinkSync(`/proc/${name}/cwd`);
      const inside = current === folder || current.startsWith(`${folder}/`);
      return inside && isAlive(name) ? [Number(name)] : [];
    } catch {
      // It has ended, or isn't ours to look at.
      return [];
    }
  });
}

/** A zombie waits for its parent, not for us. */
function isAlive(pid: string): boolean {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
}

/** Children of all threads: each thread has its own list. */
function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ").filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}

function send(pid: number, signal: "SIGSTOP" | "SIGKILL"): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
