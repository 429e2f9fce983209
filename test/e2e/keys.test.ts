import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { packTemplate } from "../../src/archive/pack.ts";
import { type Plane, startPlane } from "../../src/plane/plane.ts";
import { jobStatus } from "../../src/plane/rows.ts";
import { fixture, Outpost } from "../support/outpost.ts";

let scratch: string;
let plane: Plane;
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), "outpost-e2e-"));
  plane = await startPlane({ rateLimitPerMinute: 0 });
});
afterEach(async () => {
  await plane.close();
  await rm(scratch, { recursive: true, force: true });
});

const never = new AbortController().signal;
const start = (args: string[]) =>
  new Outpost(["start", "--name", "e2e", "--health-address", "127.0.0.1:0", "--log-format", "json", ...args], {
    CODER_URL: plane.url,
    TMPDIR: scratch,
    OUTPOST_STATE_DIRECTORY: join(scratch, "state"),
    CODER_CACHE_DIRECTORY: join(scratch, "cache"),
  });

async function imported(template: string, variables: Record<string, string> = {}) {
  const { archive } = await packTemplate(fixture(template));
  const { template: made, job } = plane.importTemplate({ template, archive, variables });
  expect((await plane.ended(job.id, never)).error).toBeUndefined();
  return made.id;
}

/** Until the daemon's row says that it registered with this key. */
async function registeredWith(keyId: string, name = "e2e") {
  await expect
    .poll(() => plane.daemons().map(({ daemon }) => [daemon.name, daemon.keyId]), { timeout: 20_000, interval: 50 })
    .toContainEqual([name, keyId]);
}

test("a rotated key file: the running job completes, the next one comes with the new key, the old key may go", async () => {
  const [first, second] = [plane.createKey("first"), plane.createKey("second")];
  // As Kubernetes does it: the file is a link through a link to a folder, and that link is swapped.
  const mount = join(scratch, "mount");
  for (const [folder, key] of [
    ["..1", first],
    ["..2", second],
  ] as const) {
    await mkdir(join(mount, folder), { recursive: true });
    await writeFile(join(mount, folder, "key"), `${key.secret}\n`);
  }
  await symlink("..1", join(mount, "..data"));
  await symlink("..data/key", join(mount, "key"));

  await using outpost = start(["--slots", "2", "--key-file", join(mount, "key")]);
  await outpost.says(/waiting for jobs/);
  const [slow, hello] = [await imported("slow", { seconds: "10" }), await imported("hello")];
  const { job } = plane.createWorkspace({ templateId: slow, name: "slow" });
  for await (const event of plane.follow(job.id, never))
    if (event.kind === "log" && event.log.output.includes("step 1 of")) break;
  const worker = plane.job(job.id).workerId;

  await symlink("..2", join(mount, "..new"));
  await rename(join(mount, "..new"), join(mount, "..data"));
  await registeredWith(second.id);
  await expect.poll(() => plane.connections, { timeout: 10_000 }).toBe(1);
  plane.deleteKey("first", plane.organization.id);

  const next = plane.createWorkspace({ templateId: hello, name: "next" });
  expect(jobStatus(await plane.ended(job.id, never))).toBe("succeeded");
  expect(jobStatus(await plane.ended(next.job.id, never))).toBe("succeeded");
  expect(plane.job(next.job.id).workerId).toBe(worker);
  expect(outpost.text).not.toContain("OUT-KEY-UNKNOWN");
  outpost.kill("SIGTERM");
  expect(await outpost.ended).toBe(0);
});

test("--once runs one job and ends with 0; a key command's key is used", async () => {
  const key = plane.createKey("k");
  await using outpost = start(["--once", "--slots", "2", "--key-command", `echo ${key.secret}`]);
  const { archive } = await packTemplate(fixture("hello"));
  const jobs = [
    plane.importTemplate({ template: "a", archive }).job,
    plane.importTemplate({ template: "b", archive }).job,
  ];
  expect(await outpost.ended).toBe(0);
  expect(jobs.map(({ id }) => jobStatus(plane.job(id)))).toEqual(["succeeded", "pending"]);
});

test("02#11 --identity per-slot: a daemon for each slot, and each takes its own job under its name", async () => {
  const key = plane.createKey("k");
  await using outpost = start(["--identity", "per-slot", "--slots", "2", "--key-file", await keyFile(key.secret)]);
  await expect
    .poll(() => plane.daemons().map(({ daemon }) => daemon.name), { timeout: 20_000 })
    .toEqual(expect.arrayContaining(["e2e-1", "e2e-2"]));
  await plane.cut();
  await expect.poll(() => plane.connections, { timeout: 20_000 }).toBe(2);
  expect(plane.daemons()).toHaveLength(2);
  const slow = await imported("slow", { seconds: "2" });
  const jobs = ["one", "two"].map((name) => plane.createWorkspace({ templateId: slow, name }).job);
  for (const { id } of jobs) expect(jobStatus(await plane.ended(id, never))).toBe("succeeded");
  expect(new Set(jobs.map(({ id }) => plane.job(id).workerId)).size).toBe(2);
  outpost.kill("SIGTERM");
  expect(await outpost.ended).toBe(0);
});

test("a key file that isn't there ends the process with 64, its path and a cure", async () => {
  await using outpost = start(["--key-file", join(scratch, "gone")]);
  expect(await outpost.ended).toBe(64);
  expect(outpost.text).toMatch(/OUT-KEY-SOURCE/);
  expect(outpost.text).toContain(join(scratch, "gone"));
});

async function keyFile(secret: string): Promise<string> {
  const path = join(scratch, "key");
  await writeFile(path, `${secret}\n`);
  return path;
}
