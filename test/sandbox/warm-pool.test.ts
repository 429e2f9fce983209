import { tmpdir } from "node:os";
import { expect, test } from "vitest";
import { systemClock } from "../../src/kit/clock.ts";
import { WarmPool } from "../../src/sandbox/warm-pool.ts";
import { startWorker, type WorkerProcess } from "../../src/sandbox/worker-process.ts";

const never = new AbortController().signal;
const idle = "process.stdin.resume()";

/** A pool of real workers, and all that it ever started. */
function pool(source = idle, isOn = true) {
  const started: WorkerProcess[] = [];
  const command = { program: process.execPath, args: ["-e", source], cwd: tmpdir() };
  const start = async (signal: AbortSignal) => {
    const worker = await startWorker(command, systemClock, signal);
    started.push(worker);
    return worker;
  };
  return { pool: new WarmPool(start, isOn), started };
}

test("a warm worker is used once, and the next one is started while the first works", async () => {
  const { pool: workers, started } = pool();
  await using _pool = workers;
  workers.warm();
  workers.warm();
  const first = await workers.take(never);
  expect(first).toBe(started[0]);
  await expect.poll(() => started.length).toBe(2);
  const second = await workers.take(never);
  expect(second).toBe(started[1]);
  await Promise.all([first.kill(), second.kill()]);
});

test("closing ends the worker that waits and none that was taken", async () => {
  const { pool: workers, started } = pool();
  workers.warm();
  const taken = await workers.take(never);
  await expect.poll(() => started.length).toBe(2);
  await workers[Symbol.asyncDispose]();
  expect(await started[1]?.exited).toMatchObject({ signal: "SIGKILL" });
  expect(() => process.kill(taken.pid, 0)).not.toThrow();
  await taken.kill();
  await expect(workers.take(never)).rejects.toThrow("closed");
});

test("a worker that died while it waited is not handed out and not replaced in a loop", async () => {
  const { pool: workers, started } = pool("process.exit(1)");
  await using _pool = workers;
  workers.warm();
  await expect.poll(() => started.length).toBe(1);
  await started[0]?.exited;
  expect(started.length).toBe(1);
  const taken = await workers.take(never);
  expect(taken).not.toBe(started[0]);
  await taken.exited;
});

test("with the pool off each worker is started when it is asked for", async () => {
  const { pool: workers, started } = pool(idle, false);
  await using _pool = workers;
  workers.warm();
  expect(started.length).toBe(0);
  const worker = await workers.take(never);
  expect(started).toEqual([worker]);
  await worker.kill();
});

test("a worker that can't start fails the one who asks, with the reason", async () => {
  const command = { program: "/nowhere/worker", args: [], cwd: tmpdir() };
  await using workers = new WarmPool((signal) => startWorker(command, systemClock, signal), true);
  workers.warm();
  await expect(workers.take(never)).rejects.toMatchObject({ code: "OUT-WORKER" });
});
