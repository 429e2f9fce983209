import { readFileSync } from "node:fs";
import { availableParallelism, cpus, freemem, totalmem } from "node:os";
import type { Clock } from "../kit/clock.ts";
import type { Figure } from "./snapshot.ts";

/** Readings closer together than this say little: the last answer counts. */
const leastMs = 500;

/** CPU and memory of what jobs share with us: the container's where there is one (cgroup v2), else the machine's. */
export class MachineReader {
  #last: { at: number; cpuMs: number };
  #cpu: number | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly cgroup = "/sys/fs/cgroup",
  ) {
    this.#last = { at: clock.monotonic(), cpuMs: this.#cpuMs() };
  }

  read(): { cpu?: Figure; memory: Figure } {
    const at = this.clock.monotonic();
    if (at - this.#last.at >= leastMs) {
      const cpuMs = this.#cpuMs();
      this.#cpu = Math.max(0, (cpuMs - this.#last.cpuMs) / (at - this.#last.at));
      this.#last = { at, cpuMs };
    }
    const memory = this.#memory();
    return this.#cpu === undefined ? { memory } : { cpu: { used: this.#cpu, of: this.#cpuLimit() }, memory };
  }

  #file(name: string): string {
    try {
      return readFileSync(`${this.cgroup}/${name}`, "utf8");
    } catch {
      return "";
    }
  }

  /** CPU time used so far. */
  #cpuMs(): number {
    const inContainer = /^usage_usec (\d+)$/m.exec(this.#file("cpu.stat"));
    if (inContainer) return Number(inContainer[1]) / 1_000;
    return cpus().reduce((sum, { times }) => sum + times.user + times.sys + times.nice + times.irq, 0);
  }

  #cpuLimit(): number {
    const limit = /^(\d+) (\d+)/.exec(this.#file("cpu.max"));
    return limit ? Number(limit[1]) / Number(limit[2]) : availableParallelism();
  }

  #memory(): Figure {
    const used = Number(this.#file("memory.current"));
    const limit = Number(this.#file("memory.max"));
    if (used > 0 && limit > 0) return { used, of: limit };
    return { used: totalmem() - freemem(), of: totalmem() };
  }
}
