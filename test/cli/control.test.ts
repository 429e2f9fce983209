import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packTemplate } from "../../src/archive/pack.ts";
import { drainCommand } from "../../src/cli/commands/drain.ts";
import { jobsCommand } from "../../src/cli/commands/jobs.ts";
import { logsCommand } from "../../src/cli/commands/logs.ts";
import { resumeCommand } from "../../src/cli/commands/resume.ts";
import { statusCommand } from "../../src/cli/commands/status.ts";
import type { Snapshot } from "../../src/observe/snapshot.ts";
import { output, ViewedAgent } from "../support/agent-view.ts";
import { fixture } from "../support/outpost.ts";

const never = new AbortController().signal;

describe("commands that look at a living agent", () => {
  let viewed: ViewedAgent;
  beforeAll(async () => {
    viewed = await ViewedAgent.start();
  });
  afterAll(() => viewed[Symbol.asyncDispose]());

  const here = () => ["--state-dir", viewed.stateFolder];
  const snapshot = async (): Promise<Snapshot> => JSON.parse(await output(statusCommand(), "--json", ...here()));
  const importTemplate = async (template: string) => {
    const { archive } = await packTemplate(fixture(template));
    return viewed.plane.importTemplate({ template, archive });
  };

  test("status tells the key, the slots and a job that has ended", async () => {
    const { job } = await importTemplate("hello");
    await viewed.plane.ended(job.id, never);
    let now = await snapshot();
    // The plane knows the end an instant before the agent has heard that it does.
    while (now.ended.length === 0) now = await snapshot();
    expect(now).toMatchObject({
      ready: true,
      phase: "running",
      slots: 2,
      key: { name: "eu-prod" },
      today: { jobs: 1, failed: 0 },
    });
    expect(now.ended[0]).toMatchObject({ id: job.id, kind: "import", status: "succeeded", reason: "" });
    expect(now.ended[0]?.steps.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["init", "parse", "plan", "graph"]),
    );
    const text = await output(statusCommand(), ...here());
    expect(text).toMatch(/viewed.*READY.*connected/);
    expect(text).toContain("2    free");
    expect(await output(jobsCommand(), ...here())).toContain(job.id.slice(0, 8));
    const log = await output(logsCommand(), job.id.slice(0, 8), ...here());
    expect(log).toMatch(/Terraform|Initializing/);
  });

  test("drain takes no job until resume, and the agent stays connected", async () => {
    expect(await output(drainCommand(), "--wait", ...here())).toContain("no new jobs; 0 jobs running");
    const { job } = await importTemplate("hello");
    expect(await snapshot()).toMatchObject({
      ready: false,
      phase: "paused",
      notReady: ["paused"],
      link: { kind: "connected" },
    });
    expect(await output(statusCommand(), ...here())).toContain("PAUSED");
    expect(await output(resumeCommand(), ...here())).toBe("takes jobs again\n");
    expect((await viewed.plane.ended(job.id, never)).error).toBeUndefined();
  });

  test("a running job is shown with its stage and lines; drain --wait waits for it", async () => {
    const imported = await importTemplate("slow");
    await viewed.plane.ended(imported.job.id, never);
    const { job } = viewed.plane.createWorkspace({ templateId: imported.template.id, name: "dev" });
    for await (const event of viewed.plane.follow(job.id, never))
      if (event.kind === "log" && event.log.output.includes("step 1 of")) break;
    const { running } = await snapshot();
    expect(running).toHaveLength(1);
    expect(running[0]).toMatchObject({ id: job.id, kind: "start", forWhom: expect.stringMatching(/\/dev$/) });
    expect(running[0]?.lines.join("\n")).toContain("step 1 of");
    expect(running[0]?.steps.at(-1)).toEqual({ name: "apply" });
    const follow = output(logsCommand(), job.id, "--follow", ...here());
    const drained = viewed.view.drain() ?? viewed.view.drained(never);
    viewed.plane.cancel(job.id);
    expect(await drained).toEqual({ drained: true });
    expect(await follow).toContain("step 1 of");
    viewed.view.resume();
    const now = await snapshot();
    expect(now.ended[0]).toMatchObject({ id: job.id, status: "failed", blame: "canceled" });
    expect(now.today.byBlame).toEqual({ canceled: 1 });
  });

  test("an unknown job is refused in words with exit code 1", async () => {
    await expect(output(logsCommand(), "nonsense", ...here())).rejects.toMatchObject({ code: "OUT-NOT-DONE", exit: 1 });
  });
});

test("without an agent each command ends with 69, the cause and the cure", async () => {
  const folder = await mkdtemp(join(tmpdir(), "outpost-nobody-"));
  for (const command of [statusCommand(), jobsCommand(), drainCommand(), resumeCommand()])
    await expect(output(command, "--state-dir", folder)).rejects.toMatchObject({
      code: "OUT-NO-AGENT",
      exit: 69,
      reason: expect.stringContaining("no agent runs"),
      cure: expect.stringContaining("--state-dir"),
    });
  await rm(folder, { recursive: true });
});
