import { readdirSync, readFileSync } from "node:fs";
import type { Registry } from "./metrics.ts";

/**
 * The usual metrics of a process, under the names that Go programs have for them, where Node can tell. There is no Go
 * runtime here, so no go_*; nor promhttp_*, for a scrape that is counted by what it scrapes tells nobody anything.
 */
export function processMetrics(registry: Registry): void {
  const startedAt = Date.now() / 1_000 - process.uptime();
  registry.ask("counter", "process_cpu_seconds_total", "CPU time spent, in seconds.", () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  registry.ask("gauge", "process_resident_memory_bytes", "Resident memory in bytes.", () => process.memoryUsage.rss());
  registry.ask("gauge", "process_virtual_memory_bytes", "Virtual memory in bytes.", () =>
    fromFile("/proc/self/status", /^VmSize:\s+(\d+) kB$/m, 1_024),
  );
  registry.ask("gauge", "process_start_time_seconds", "Start of the process, in seconds since 1970.", () => startedAt);
  registry.ask("gauge", "process_open_fds", "Open file descriptors.", openFiles);
  registry.ask("gauge", "process_max_fds", "Most file descriptors that may be open.", () =>
    fromFile("/proc/self/limits", /^Max open files\s+(\d+)/m, 1),
  );
  registry.ask(
    "gauge",
    "outpost_heap_bytes",
    "Memory of the agent's own JavaScript objects in bytes.",
    () => process.memoryUsage().heapUsed,
  );
  registry.ask(
    "gauge",
    "outpost_memory_bytes",
    "Memory of the agent and its jobs in bytes, as their control group counts it.",
    () => fromFile("/sys/fs/cgroup/memory.current", /^(\d+)$/m, 1),
  );
  registry.ask("gauge", "outpost_memory_limit_bytes", "Memory that the agent and its jobs may use in bytes.", () => {
    const limit = process.constrainedMemory();
    // Without a limit the kernel tells a number that no machine has.
    return limit > 0 && limit < 2 ** 50 ? limit : undefined;
  });
}

/** A number in a file of the kernel; undefined where there is no such file. */
function fromFile(path: string, pattern: RegExp, unit: number): number | undefined {
  try {
    const [, found] = pattern.exec(readFileSync(path, "utf8")) ?? [];
    return found === undefined ? undefined : Number(found) * unit;
  } catch {
    return undefined;
  }
}

function openFiles(): number | undefined {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return undefined;
  }
}
