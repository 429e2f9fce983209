import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { packTemplate } from "../../src/archive/pack.ts";
import { type Plane, startPlane } from "../../src/plane/plane.ts";
import { jobStatus } from "../../src/plane/rows.ts";
import { fixture, Outpost } from "../support/outpost.ts";
import { processesIn } from "../support/processes.ts";

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
const start = (environment: Record<string, string>, args: string[] = []) =>
  new Outpost(["start", "--name", "e2e", "--health-address", "127.0.0.1:0", "--log-format", "json", ...args], {
    CODER_URL: plane.url,
    TMPDIR: scratch,
    OUTPOST_STATE_DIRECTORY: join(scratch, "state"),
    CODER_CACHE_DIRECTORY: join(scratch, "cache"),
    ...environment,
  });
const withKey = (args: string[] = []) => start({ CODER_PROVISIONER_DAEMON_KEY: plane.createKey("k").secret }, args);

async function importAndStart(template: string) {
  const { archive } = await packTemplate(fixture(template));
  const imported = plane.importTemplate({ template, archive });
  const job = await plane.ended(imported.job.id, never);
  expect(job.error).toBeUndefined();
  return plane.createWorkspace({ templateId: imported.template.id, name: "dev" });
}

describe("an agent against a control plane", () => {
  test("takes an import and a build, and SIGTERM while idle ends it with 0", async () => {
    await using outpost = withKey();
    await outpost.says(/waiting for jobs/);
    const { build, job } = await importAndStart("hello");
    expect(jobStatus(await plane.ended(job.id, never))).toBe("succeeded");
    expect(plane.buildRow(build.id).resources.map(({ type, name }) => `${type}.${name}`)).toEqual([
      "terraform_data.hello",
    ]);
    outpost.kill("SIGTERM");
    expect(await outpost.ended).toBe(0);
  });

  test("02#60 SIGTERM lets the running job finish and ends with 0", async () => {
    await using outpost = withKey();
    const { job } = await importAndStart("slow");
    const log = plane.follow(job.id, never);
    for await (const event of log) if (event.kind === "log" && event.log.output.includes("step 1 of")) break;
    outpost.kill("SIGTERM");
    await outpost.says(/no new jobs/);
    plane.cancel(job.id);
    await plane.ended(job.id, never);
    expect(await outpost.ended).toBe(0);
  });

  test("02#60 SIGINT interrupts the running job, reports it with its state, and ends with 0", async () => {
    await using outpost = withKey();
    const { build, job } = await importAndStart("slow");
    for await (const event of plane.follow(job.id, never))
      if (event.kind === "log" && event.log.output.includes("step 1 of")) break;
    outpost.kill("SIGINT");
    const ended = await plane.ended(job.id, never);
    expect(ended.error).toBeTruthy();
    const state = JSON.parse(Buffer.from(plane.buildRow(build.id).state).toString());
    expect(state.resources.map((resource: { name: string }) => resource.name)).toContain("first");
    expect(await outpost.ended).toBe(0);
    const left = await readdir(join(scratch, `outpost-${process.getuid?.()}`)).catch(() => []);
    expect(left).toEqual([]);
  });
});

describe("what is left running", () => {
  /** An agent in the middle of an apply whose local-exec sleeps. */
  async function inApply(outpost: Outpost) {
    const { job, build } = await importAndStart("slow");
    await outpost.says(/start/);
    for await (const event of plane.follow(job.id, never))
      if (event.kind === "log" && event.log.output.includes("step 1 of")) break;
    expect(processesIn(scratch).length).toBeGreaterThan(1);
    return { job, build };
  }

  test.each<[string, NodeJS.Signals[], number]>([
    ["an interrupt", ["SIGINT"], 0],
    ["a drain that became an interrupt", ["SIGTERM", "SIGTERM"], 0],
    ["a kill by the third signal", ["SIGTERM", "SIGTERM", "SIGTERM"], 1],
  ])("nothing, after %s", async (_name, signals, code) => {
    await using outpost = withKey();
    await inApply(outpost);
    // Equal signals that follow at once are one: each is sent when the last was heard.
    for (const [index, signal] of signals.entries()) {
      outpost.kill(signal);
      await outpost.says(new RegExp(`(${signal}: [^]*){${index + 1}}`));
    }
    expect(await outpost.ended).toBe(code);
    expect(processesIn(scratch)).toEqual([]);
  });

  test("02#59 a Terraform that ignores SIGINT is killed after the limit, and its children are gone too", async () => {
    const engine = join(scratch, "deaf");
    await writeFile(
      engine,
      `#!/bin/sh
case "$1 $2" in
"version -json") echo '{"terraform_version":"1.11.4"}' ;;
"show -json") echo '{"format_version":"1.0"}' ;;
graph*) echo 'digraph {}' ;;
apply*) trap '' INT; echo '{"version":4,"serial":1,"lineage":"l"}' > terraform.tfstate; echo deaf; sleep 1000 & sleep 1000 ;;
esac
`,
      { mode: 0o755 },
    );
    await using _outpost = withKey(["--engine", engine, "--cancel-timeout", "1s"]);
    const { build, job } = await importAndStart("hello");
    for await (const event of plane.follow(job.id, never))
      if (event.kind === "log" && event.log.output === "deaf") break;
    plane.cancel(job.id);
    const { error } = await plane.ended(job.id, never);
    expect(error).toContain("signal: killed");
    expect(Buffer.from(plane.buildRow(build.id).state).toString()).toContain('"serial":1');
    await expect.poll(() => processesIn(scratch).filter((line) => line.includes("sleep"))).toEqual([]);
  });

  test("nothing of a job whose agent was killed without a word", async () => {
    await using outpost = withKey();
    await inApply(outpost);
    outpost.kill("SIGKILL");
    await outpost.ended;
    // The worker sees the end of its input, interrupts the engine once and leaves.
    await expect.poll(() => processesIn(scratch), { timeout: 20_000 }).toEqual([]);
  });
});

describe("what jobs may see", () => {
  const told = (jobId: string) => plane.logs(jobId).map(({ output }) => output);

  async function seen(outpost: Outpost) {
    await outpost.says(/waiting for jobs/);
    const { job } = await importAndStart("environment");
    await plane.ended(job.id, never);
    return told(job.id);
  }

  test("explicit: what is listed, and nothing else of the agent's environment", async () => {
    await using outpost = start(
      { CODER_PROVISIONER_DAEMON_KEY: plane.createKey("k").secret, AWS_REGION: "eu-west-1", OTHER: "hidden-value" },
      ["--job-env", "AWS_REGION", "--job-command", "echo MINTED_TOKEN=only-for-this-job"],
    );
    const lines = await seen(outpost);
    expect(lines.join("\n")).toContain("AWS_REGION=eu-west-1");
    expect(lines.join("\n")).not.toContain("hidden-value");
    expect(lines.join("\n")).toContain("MINTED_TOKEN=[secret]");
    expect(lines[1]).toMatch(/credentials explicit: AWS_REGION, what --job-command prints/);
  });

  test("ambient: a template has what it had in the pod's own environment, but nothing of the agent's", async () => {
    await using outpost = start(
      {
        CODER_PROVISIONER_DAEMON_KEY: plane.createKey("k").secret,
        AWS_REGION: "eu-west-1",
        KUBECONFIG: "/etc/kube/config",
      },
      ["--credentials", "ambient"],
    );
    const text = (await seen(outpost)).join("\n");
    expect(text).toContain("AWS_REGION=eu-west-1");
    expect(text).toContain("KUBECONFIG=/etc/kube/config");
    expect(text).toContain(`HOME=${process.env["HOME"]}`);
    expect(text).not.toMatch(/CODER_PROVISIONER|OUTPOST_/);
  });
});

test("a second agent on the same state folder ends with 75 and names the first", async () => {
  await using first = withKey();
  await first.says(/waiting for jobs/);
  await using second = start({ CODER_PROVISIONER_DAEMON_KEY: plane.createKey("other").secret });
  expect(await second.ended).toBe(75);
  expect(second.text).toMatch(/OUT-NAME-TAKEN/);
  expect(second.text).toContain(String(first.pid));
});

describe("what the control plane refuses", () => {
  test("a wrong key ends the process with 77, a cause and a cure", async () => {
    await using outpost = start({ CODER_PROVISIONER_DAEMON_KEY: "x".repeat(43) });
    expect(await outpost.ended).toBe(77);
    expect(outpost.text).toMatch(/OUT-KEY-UNKNOWN/);
    expect(outpost.text).toMatch(/cause/);
    expect(outpost.text).toMatch(/cure/);
    expect(outpost.text).not.toContain("x".repeat(43));
  });

  test("a key with a line feed around it is cut, with a warning, and works", async () => {
    await using outpost = start({ CODER_PROVISIONER_DAEMON_KEY: `${plane.createKey("k").secret}\n` });
    await outpost.says(/waiting for jobs/);
    expect(outpost.text).toMatch(/were cut/);
  });

  test("01#17 no licence ends the process with 77", async () => {
    plane.entitled = false;
    await using outpost = withKey();
    expect(await outpost.ended).toBe(77);
    expect(outpost.text).toMatch(/OUT-LICENCE/);
  });
});
