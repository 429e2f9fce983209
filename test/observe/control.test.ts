import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type ControlTarget, controlSocket, maxSocketPathBytes, serveControl } from "../../src/observe/control.ts";
import { RecentLines } from "../../src/observe/snapshot-lines.ts";
import { sampleSnapshot } from "../support/snapshots.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "outpost-control-"));
  path = join(folder, controlSocket);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A target of plain values. */
function target(changes: Partial<ControlTarget> = {}): ControlTarget {
  return {
    snapshot: () => sampleSnapshot(),
    log: (id) => `job "${id}": unknown`,
    drain: () => undefined,
    resume: () => undefined,
    drained: async () => ({ drained: true }),
    support: async () => ({ "a.txt": "a" }),
    web: () => undefined,
    ...changes,
  };
}

const open = (method: string, url: string, body = "") =>
  new Promise<IncomingMessage>((resolve, reject) => {
    request({ socketPath: path, method, path: url }, resolve).on("error", reject).end(body);
  });

async function call(method: string, url: string, body = "") {
  const response = await open(method, url, body);
  let text = "";
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode, text };
}

test("the socket is its owner's only, from the first instant, and is gone after the end", async () => {
  const server = await serveControl(path, target());
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(JSON.parse((await call("GET", "/status")).text).agent.name).toBe("outpost-0");
  await server[Symbol.asyncDispose]();
  await expect(stat(path)).rejects.toThrow("ENOENT");
});

test("what a killed agent left in the way is replaced", async () => {
  await writeFile(path, "");
  await using _server = await serveControl(path, target());
  expect((await call("GET", "/jobs")).status).toBe(200);
});

test("a path that the kernel would cut is an error that names the cure", async () => {
  const long = join(folder, "x".repeat(maxSocketPathBytes));
  await expect(serveControl(long, target())).rejects.toMatchObject({
    code: "OUT-FOLDERS",
    cure: expect.stringContaining("--state-dir"),
  });
});

test("a drain that has no effect is 409 in words; an unknown job and an unknown path are 404", async () => {
  await using _server = await serveControl(path, target({ drain: () => "draining already" }));
  expect(await call("POST", "/drain")).toEqual({ status: 409, text: '{"error":"draining already"}\n' });
  expect((await call("POST", "/resume")).status).toBe(200);
  expect(await call("GET", "/jobs/zz/log")).toEqual({ status: 404, text: '{"error":"job \\"zz\\": unknown"}\n' });
  expect((await call("POST", "/status")).status).toBe(404);
  expect((await call("POST", "/drain", `{"wait":"${"x".repeat(5_000)}"}`)).status).toBe(500);
});

test("who waits for a drain is answered when it is over, and forgotten when gone", async () => {
  let finish: () => void = () => undefined;
  const signals: AbortSignal[] = [];
  const drained = (signal: AbortSignal) => {
    signals.push(signal);
    return new Promise<{ drained: boolean }>((resolve, reject) => {
      finish = () => resolve({ drained: true });
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  };
  await using _server = await serveControl(path, target({ drained }));
  const patient = call("POST", "/drain", '{"wait":true}');
  while (signals.length < 1) await new Promise((resolve) => setImmediate(resolve));
  finish();
  expect(await patient).toEqual({ status: 200, text: '{"drained":true}\n' });
  const asking = request({ socketPath: path, method: "POST", path: "/drain" });
  asking.on("error", () => undefined).end('{"wait":true}');
  while (signals.length < 2) await new Promise((resolve) => setImmediate(resolve));
  const gone = new Promise((resolve) => signals[1]?.addEventListener("abort", resolve));
  asking.destroy();
  await gone;
});

test("a log is followed line by line until its job has ended", async () => {
  const log = new RecentLines(100, 16_000);
  log.add("one");
  await using _server = await serveControl(path, target({ log: () => log }));
  const response = await open("GET", "/jobs/a/log?follow=1");
  let text = "";
  const said = (words: string) =>
    new Promise<void>((resolve) => {
      const look = (chunk?: Buffer) => {
        text += chunk ?? "";
        if (!text.includes(words)) return;
        response.off("data", look);
        resolve();
      };
      response.on("data", look);
    });
  await said("one");
  const two = said("two");
  log.add("two");
  await two;
  const ended = said("ended");
  log.end("succeeded");
  await ended;
  expect(text).toBe('{"line":"one"}\n{"line":"two"}\n{"ended":"succeeded"}\n');
});

test("a reader that is slower than the job is told how many lines it missed", async () => {
  const log = new RecentLines(1_000, 4_000_000);
  await using _server = await serveControl(path, target({ log: () => log }));
  const response = await open("GET", "/jobs/a/log?follow=1");
  let sum = 0;
  const line = "x".repeat(20_000);
  // Far more than sockets buffer while nobody reads.
  for (let number = 0; number < 3_000; number++) {
    log.add(line);
    if (number % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  log.end("succeeded");
  let rest = "";
  let skipped = 0;
  for await (const chunk of response) {
    const lines = (rest + String(chunk)).split("\n");
    rest = lines.pop() ?? "";
    for (const entry of lines.map((one) => JSON.parse(one))) {
      if (entry.line) sum++;
      skipped += entry.skipped ?? 0;
    }
  }
  expect(skipped).toBeGreaterThan(0);
  expect(sum + skipped).toBe(3_000);
});

test("recent lines are bounded in lines and in characters, and a huge one is cut", () => {
  const lines = new RecentLines(3, 160);
  for (const text of ["a", "b", "c", "d"]) lines.add(text);
  expect(lines.last(10)).toEqual(["b", "c", "d"]);
  lines.add("z".repeat(10_000));
  expect(lines.last(1)[0]).toBe(`${"z".repeat(10)}…`);
  expect(lines.from(0).map(({ number }) => number)).toEqual([2, 3, 4]);
});
