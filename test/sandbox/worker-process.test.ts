import { open, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { expect, test } from "vitest";
import { systemClock } from "../../src/kit/clock.ts";
import { exitCode, OperatorError } from "../../src/kit/errors.ts";
import { startWorker, type WorkerProcess } from "../../src/sandbox/worker-process.ts";

const never = new AbortController().signal;

/** A worker that runs a small Node program. */
function start(source: string, environment: Record<string, string> = {}): Promise<WorkerProcess> {
  const command = { program: process.execPath, args: ["-e", source], cwd: tmpdir(), environment };
  return startWorker(command, systemClock, never);
}

/** What a worker wrote until it ended its output. */
async function outputOf(worker: WorkerProcess): Promise<string> {
  let text = "";
  for await (const chunk of worker.stream) text += Buffer.from(chunk).toString();
  return text;
}

/** The first line of a worker's output. */
async function lineOf(worker: WorkerProcess): Promise<string> {
  let text = "";
  for await (const chunk of worker.stream) {
    text += Buffer.from(chunk).toString();
    if (text.includes("\n")) break;
  }
  return text.split("\n")[0] as string;
}

/** Whether a process runs; one that only waits to be reaped doesn't. */
async function isRunning(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  return stat !== undefined && !/\) [ZX] /.test(stat);
}

test("a worker is spoken to over its stream and leaves when its input ends", async () => {
  const worker = await start("process.stdin.pipe(process.stdout)");
  await worker.stream.write(Buffer.from("hello"));
  await worker.stream.end();
  expect(await outputOf(worker)).toBe("hello");
  expect(await worker.exited).toEqual({ code: 0, signal: null, stderrTail: "" });
});

test("what a worker writes before anybody reads is not lost", async () => {
  const worker = await start('process.stdout.write("x".repeat(300_000), () => process.stderr.write("written"))');
  await new Promise((resolve) => setImmediate(resolve));
  expect((await outputOf(worker)).length).toBe(300_000);
  await worker.exited;
});

test("a worker sees nothing of our environment, no descriptor of ours, and has a session of its own", async () => {
  await using file = await open(import.meta.filename, "r");
  process.env["CODER_TEST_SECRET"] = "x";
  try {
    const worker = await start(
      `const fs = require("node:fs");
       const links = fs.readdirSync("/proc/self/fd").flatMap((n) => { try { return [fs.readlinkSync("/proc/self/fd/" + n)] } catch { return [] } });
       const session = fs.readFileSync("/proc/self/stat", "utf8").split(") ")[1].split(" ").slice(2, 4).map(Number);
       console.log(JSON.stringify({ environment: process.env, links, session, cwd: process.cwd() }))`,
      { ONE: "1" },
    );
    const seen = JSON.parse(await outputOf(worker));
    expect(seen.environment).toEqual({ LANG: "C.UTF-8", ONE: "1" });
    expect(file.fd).toBeGreaterThan(2);
    expect(seen.links).not.toContain(import.meta.filename);
    expect(seen.session).toEqual([worker.pid, worker.pid]);
    expect(seen.cwd).toBe(tmpdir());
    await worker.exited;
  } finally {
    delete process.env["CODER_TEST_SECRET"];
  }
});

const withGrandchildren = `
  const { spawn } = require("node:child_process");
  const pids = [1, 2].map(() => spawn("/bin/sh", ["-c", "trap '' TERM INT HUP; sleep 1000 & wait"], { stdio: "inherit" }).pid);
  console.log(pids.join(" "));`;

test("kill ends the whole group and waits for its end", async () => {
  const worker = await start(`${withGrandchildren} setInterval(() => {}, 1000)`);
  const pids = (await lineOf(worker)).split(" ").map(Number);
  expect(pids.length).toBe(2);
  for (const pid of pids) expect(await isRunning(pid)).toBe(true);
  await worker.kill();
  for (const pid of [worker.pid, ...pids]) expect(await isRunning(pid)).toBe(false);
  expect(await worker.exited).toMatchObject({ code: null, signal: "SIGKILL" });
  await worker.kill();
});

test("03#92 when a worker ends by itself, nothing of its group is left, though it held the worker's pipes", async () => {
  const worker = await start(`${withGrandchildren} process.stdout.write("", () => process.exit(3))`);
  const pids = (await lineOf(worker)).split(" ").map(Number);
  expect(await worker.exited).toMatchObject({ code: 3, signal: null });
  for (const pid of pids) expect(await isRunning(pid)).toBe(false);
});

test("the end of standard error is kept, 16 KiB of it", async () => {
  const worker = await start(
    `process.stderr.write("a".repeat(200_000) + "the end\\0", () => { process.exitCode = 7 })`,
  );
  const { code, stderrTail } = await worker.exited;
  expect(code).toBe(7);
  expect(stderrTail).toBe(`${"a".repeat(16_384 - 8)}the end`);
});

test("an error of starting is sorted", async () => {
  for (const command of [
    { program: "/nowhere/worker", args: [], cwd: tmpdir() },
    { program: process.execPath, args: [], cwd: "/nowhere" },
    { program: tmpdir(), args: [], cwd: tmpdir() },
  ]) {
    const error = await startWorker(command, systemClock, never).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(OperatorError);
    expect(error).toMatchObject({ code: "OUT-WORKER", exit: exitCode.unfit });
    expect((error as Error).message).toContain(command.program);
  }
});

test("an aborted start throws the signal's reason and leaves nothing", async () => {
  const reason = new Error("stop");
  const command = { program: process.execPath, args: ["-e", "setInterval(() => {}, 1000)"], cwd: tmpdir() };
  await expect(startWorker(command, systemClock, AbortSignal.abort(reason))).rejects.toBe(reason);
  const controller = new AbortController();
  const started = startWorker(command, systemClock, controller.signal);
  controller.abort(reason);
  await expect(started).rejects.toBe(reason);
});
