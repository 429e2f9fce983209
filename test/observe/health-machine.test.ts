import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import { MachineReader } from "../../src/observe/snapshot-machine.ts";

test("a container's own CPU and memory count, not the machine's", async () => {
  const cgroup = await mkdtemp(join(tmpdir(), "outpost-cgroup-"));
  const write = (name: string, text: string) => writeFile(join(cgroup, name), text);
  await write("cpu.stat", "usage_usec 1000000\nuser_usec 1\n");
  await write("cpu.max", "150000 100000\n");
  await write("memory.current", "1000\n");
  await write("memory.max", "4000\n");
  const clock = new FakeClock();
  const reader = new MachineReader(clock, cgroup);
  expect(reader.read()).toEqual({ memory: { used: 1000, of: 4000 } });
  await write("cpu.stat", "usage_usec 3500000\nuser_usec 1\n");
  await clock.advance(2_000);
  expect(reader.read()).toEqual({ cpu: { used: 1.25, of: 1.5 }, memory: { used: 1000, of: 4000 } });
  // Two pages that look at once see the same.
  await clock.advance(10);
  expect(reader.read().cpu?.used).toBe(1.25);
  await rm(cgroup, { recursive: true });
});

test("without a limit, or without a container, the machine counts", async () => {
  const clock = new FakeClock();
  const reader = new MachineReader(clock, "/nonexistent");
  await clock.advance(1_000);
  const { cpu, memory } = reader.read();
  expect(memory.used).toBeGreaterThan(0);
  expect(memory.of).toBeGreaterThan(memory.used);
  expect(cpu?.of).toBeGreaterThanOrEqual(1);
});
