import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** Command lines of processes whose current folder lies in `folder`, or whose arguments name it: what a job left running. */
export function processesIn(folder: string): string[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return [];
    try {
      const command = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      const inside = readlinkSync(`/proc/${name}/cwd`).startsWith(folder) || command.includes(folder);
      return inside && command !== "" ? [`${name} ${command}`] : [];
    } catch {
      return [];
    }
  });
}
