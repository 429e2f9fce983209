import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { nilUuid, prebuildsUser } from "../../src/contract/identity.ts";
import { limits } from "../../src/contract/limits.ts";
import { methods } from "../../src/contract/methods.ts";
import { LogLevel, WorkspaceTransition } from "../../src/gen/provisioner_pb.ts";
import { LogSource, UpdateJobRequestSchema } from "../../src/gen/provisionerd_pb.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import type { Plane } from "../../src/plane/plane.ts";
import { jobStatus } from "../../src/plane/rows.ts";
import { ScriptedAgent } from "../support/plane-agent.ts";
import { archive, bytes, importTemplate, scene, startWorkspace, text } from "../support/plane-life.ts";

const signal = () => AbortSignal.timeout(20_000);
const unknownJob = "11111111-1111-4111-8111-111111111111";

/** Until so many acquires wait at the plane. */
async function waiters(plane: Plane, count: number): Promise<void> {
  while (plane.waitingAcquires < count) await new Promise((resolve) => setImmediate(resolve));
}
const newImport = { template: "t", archive };

describe("acquire", () => {
  test("02#62 two acquires on one connection get two different jobs with the same worker id", async () => {
    await using s = await scene();
    const one = s.plane.importTemplate(newImport);
    const two = s.plane.importTemplate(newImport);
    const got = await Promise.all([s.agent.acquire(), s.agent.acquire()]);
    expect(got.map(({ jobId }) => jobId).sort()).toEqual([one.job.id, two.job.id].sort());
    const [worker] = s.plane.daemons();
    expect(s.plane.jobs().map(({ workerId }) => workerId)).toEqual([worker?.daemon.id, worker?.daemon.id]);
    expect(s.plane.daemons().map(({ status }) => status)).toEqual(["busy", "busy"]);
  });

  test("an acquire yields one job of two and then ends", async () => {
    await using s = await scene();
    await using call = await s.agent.acquireCall();
    const first = s.agent.receiveJob(call);
    await waiters(s.plane, 1);
    const { job } = s.plane.importTemplate(newImport);
    s.plane.importTemplate(newImport);
    expect((await first)?.jobId).toBe(job.id);
    expect(await s.agent.receiveJob(call)).toBeUndefined();
  });

  test("a cancelled acquire leaves no waiter", async () => {
    await using s = await scene();
    await using call = await s.agent.acquireCall();
    await s.agent.cancelAcquire(call);
    expect((await s.agent.receiveJob(call))?.jobId).toBe("");
    expect(await s.agent.receiveJob(call)).toBeUndefined();
    expect(s.plane.waitingAcquires).toBe(0);
  });

  test("a CancelAcquire that meets a locked job gets the job", async () => {
    await using s = await scene();
    await using call = await s.agent.acquireCall();
    const { job } = s.plane.importTemplate(newImport);
    await s.agent.cancelAcquire(call);
    const got = await s.agent.receiveJob(call);
    // Whichever came first: the job is delivered, or still there for the next.
    expect(got?.jobId || (await s.agent.acquire()).jobId).toBe(job.id);
  });

  test("an acquire whose connection is cut leaves no waiter, and the job goes to the next", async () => {
    await using s = await scene();
    const lost = s.agent.acquire().catch((error: unknown) => error);
    await waiters(s.plane, 1);
    await s.plane.cut();
    expect(await lost).toBeInstanceOf(Error);
    expect(s.plane.waitingAcquires).toBe(0);
    const { job } = s.plane.importTemplate(newImport);
    await using again = await ScriptedAgent.connect(s.plane.url, s.key);
    expect((await again.acquire()).jobId).toBe(job.id);
  });

  test("the deprecated AcquireJob answers an empty job after 5 s", async () => {
    const clock = new FakeClock();
    await using s = await scene({ clock });
    const answer = s.agent.rpc.unary(methods.acquireJob, new Uint8Array(), signal());
    await waiters(s.plane, 1);
    await clock.advance(5_000);
    expect(await answer).toHaveLength(0);
  });

  test("02#68 people's jobs before prebuilds, otherwise the oldest first; a cancelled pending job is never handed out", async () => {
    await using s = await scene();
    const prebuild = s.plane.importTemplate({ ...newImport, initiatorId: prebuildsUser });
    const canceled = s.plane.importTemplate(newImport);
    const older = s.plane.importTemplate(newImport);
    const newer = s.plane.importTemplate(newImport);
    expect(jobStatus(s.plane.cancel(canceled.job.id))).toBe("canceled");
    const order = [await s.agent.acquire(), await s.agent.acquire(), await s.agent.acquire()];
    expect(order.map(({ jobId }) => jobId)).toEqual([older.job.id, newer.job.id, prebuild.job.id]);
    expect(s.plane.job(canceled.job.id).startedAt).toBeUndefined();
  });

  test("02#67 an untagged job is refused by a tagged daemon, over the wire, and wakes the one that may have it", async () => {
    await using s = await scene();
    const { secret } = s.plane.createKey("tagged", { a: "1" });
    await using tagged = await ScriptedAgent.connect(s.plane.url, secret, "tagged");
    const waiting = tagged.acquire();
    const plain = s.agent.acquire();
    await waiters(s.plane, 2);
    const { job } = s.plane.importTemplate(newImport);
    expect((await plain).jobId).toBe(job.id);
    const forTagged = s.plane.importTemplate({ ...newImport, tags: { a: "1" } });
    expect((await waiting).jobId).toBe(forTagged.job.id);
  });

  test("02#72 an AcquiredJob above 4 MiB fails the job instead of being sent, and the stream closes without a message", async () => {
    await using s = await scene();
    const { job } = s.plane.importTemplate({ ...newImport, archive: new Uint8Array(limits.rpcMessageBytes) });
    await using call = await s.agent.acquireCall();
    expect(await s.agent.receiveJob(call)).toBeUndefined();
    expect(s.plane.job(job.id).error).toMatch(/^payload was too big: \d+ > 4194304$/);
  });

  test("an acquire of a job whose message fits exactly is sent", async () => {
    await using s = await scene();
    const { job } = s.plane.importTemplate({ ...newImport, archive: new Uint8Array(limits.rpcMessageBytes - 4096) });
    expect((await s.agent.acquire()).jobId).toBe(job.id);
  });
});

describe("what a job says", () => {
  test("02#74 a START build gets a new session token and a STOP build an empty one; task_id is the zero UUID without a task", async () => {
    await using s = await scene();
    const { template } = await importTemplate(s);
    const { workspace, job } = s.plane.createWorkspace({ templateId: template.id, name: "w" });
    const start = (await s.agent.acquire()).type;
    if (start.case !== "workspaceBuild") throw new Error("no build");
    const token = start.value.metadata?.workspaceOwnerSessionToken ?? "";
    expect(token).toMatch(/^[0-9A-Za-z]{10}-[0-9A-Za-z]{22}$/);
    expect(start.value.metadata).toMatchObject({
      taskId: nilUuid,
      taskPrompt: "",
      workspaceTransition: WorkspaceTransition.START,
      coderUrl: s.plane.url,
      workspaceName: "w",
      workspaceOwner: "admin",
      workspaceOwnerGroups: ["Everyone"],
      templateName: "t",
    });
    const organizations = (sent: string) =>
      fetch(`${s.plane.url}/api/v2/users/me/organizations`, { headers: { "Coder-Session-Token": sent } });
    expect((await organizations(token)).status).toBe(200);
    await s.agent.complete({ jobId: job.id, type: { case: "workspaceBuild", value: {} } });
    const stop = s.plane.build(workspace.id, { transition: "stop" });
    const stopped = (await s.agent.acquire()).type;
    expect(stopped.value).toMatchObject({ metadata: { workspaceOwnerSessionToken: "" } });
    expect((await organizations(token)).status).toBe(401);
    await s.agent.complete({ jobId: stop.job.id, type: { case: "workspaceBuild", value: {} } });
    const task = { id: unknownJob, prompt: "do it" };
    s.plane.build(workspace.id, { transition: "start", task });
    const again = (await s.agent.acquire()).type;
    if (again.case !== "workspaceBuild") throw new Error("no build");
    expect(again.value.metadata).toMatchObject({ taskId: task.id, taskPrompt: task.prompt });
    expect(again.value.metadata?.workspaceOwnerSessionToken).not.toBe(token);
  });

  test("a plane that poses as 1.5 sends no later fields", async () => {
    await using s = await scene({ apiVersion: { major: 1, minor: 5 } });
    const started = await startWorkspace(s);
    await s.agent.complete({ jobId: started.job.id, type: { case: "workspaceBuild", value: {} } });
    s.plane.build(started.workspace.id, { transition: "start" });
    const { type } = await s.agent.acquire();
    if (type.case !== "workspaceBuild") throw new Error("no build");
    expect(type.value.metadata).toMatchObject({ taskId: "", templateVersionId: "", workspaceName: "w" });
    await expect(s.agent.upload([])).rejects.toThrow("unknown rpc");
    await expect(s.agent.download(unknownJob)).rejects.toThrow("unknown rpc");
  });
});

describe("whose job it is", () => {
  test("02#64 another worker is answered `you don't own this job`; an unstarted job `job isn't running yet`", async () => {
    await using s = await scene();
    await using other = await ScriptedAgent.connect(s.plane.url, s.key, "other");
    const { job } = s.plane.importTemplate(newImport);
    await expect(s.agent.update({ jobId: job.id })).rejects.toThrow("job isn't running yet");
    await s.agent.acquire();
    await expect(other.update({ jobId: job.id })).rejects.toThrow("you don't own this job");
    await expect(other.fail({ jobId: job.id, error: "x" })).rejects.toThrow("you don't own this job");
    const complete = { jobId: job.id, type: { case: "templateImport" as const, value: {} } };
    await expect(other.complete(complete)).rejects.toThrow("you don't own this job");
    await expect(other.quota({ jobId: job.id, dailyCost: 1 })).rejects.toThrow("you don't own this job");
    expect(jobStatus(s.plane.job(job.id))).toBe("running");
  });

  test("a job id that is none, and one of no job, are told apart", async () => {
    await using s = await scene();
    await expect(s.agent.update({ jobId: "x" })).rejects.toThrow(/^parse job id: /);
    await expect(s.agent.update({ jobId: unknownJob })).rejects.toThrow(/^get job: .*no rows in result set/);
  });

  test("02#65 FailJob of a completed job answers `job already completed`; UpdateJob of a completed job succeeds", async () => {
    await using s = await scene();
    const { job } = await importTemplate(s);
    await expect(s.agent.fail({ jobId: job.id, error: "late" })).rejects.toThrow("job already completed");
    expect(await s.agent.update({ jobId: job.id })).toMatchObject({ canceled: false });
    expect(jobStatus(s.plane.job(job.id))).toBe("succeeded");
  });
});

describe("state", () => {
  test("02#66 FailJob with state replaces it, without keeps it, CompleteJob without state erases it", async () => {
    await using s = await scene();
    const first = await startWorkspace(s);
    const { id } = first.workspace;
    await s.agent.fail({
      jobId: first.job.id,
      error: "x",
      type: { case: "workspaceBuild", value: { state: bytes("one") } },
    });
    expect(text(s.plane.buildRow(first.build.id).state)).toBe("one");

    const second = s.plane.build(id, { transition: "start" });
    expect((await s.agent.acquire()).type.value).toMatchObject({ state: bytes("one") });
    await s.agent.fail({ jobId: second.job.id, error: "x", type: { case: "workspaceBuild", value: {} } });
    expect(text(s.plane.buildRow(second.build.id).state)).toBe("one");

    const third = s.plane.build(id, { transition: "start" });
    await s.agent.acquire();
    await s.agent.fail({ jobId: third.job.id, error: "x" });
    expect(text(s.plane.buildRow(third.build.id).state)).toBe("one");

    const fourth = s.plane.build(id, { transition: "stop" });
    await s.agent.acquire();
    await s.agent.complete({ jobId: fourth.job.id, type: { case: "workspaceBuild", value: {} } });
    expect(s.plane.buildRow(fourth.build.id).state).toHaveLength(0);
  });

  test("a running build holds off the next one; a pushed state and an orphan decide what the next one gets", async () => {
    await using s = await scene();
    const { workspace, build, job } = await startWorkspace(s);
    expect(() => s.plane.build(workspace.id, { transition: "stop" })).toThrow(/not over/);
    expect(() => s.plane.pushState(build.id, bytes("x"))).toThrow(/not over/);
    await s.agent.fail({ jobId: job.id, error: "x" });
    s.plane.pushState(build.id, bytes("pushed"));
    s.plane.build(workspace.id, { transition: "start" });
    const next = await s.agent.acquire();
    expect(next.type.value).toMatchObject({ state: bytes("pushed") });
    await s.agent.fail({ jobId: next.jobId, error: "x" });
    s.plane.build(workspace.id, { transition: "delete", orphan: true });
    const last = await s.agent.acquire();
    expect(last.type.value).toMatchObject({ state: bytes("") });
    await s.agent.complete({ jobId: last.jobId, type: { case: "workspaceBuild", value: {} } });
    expect(s.plane.workspace(workspace.id).deleted).toBe(true);
    expect(() => s.plane.build(workspace.id, { transition: "start" })).toThrow(/deleted/);
  });

  test("02#69 a CompleteJob after a user's cancel stores state and resources and gives canceled; a FailJob with a text gives failed", async () => {
    await using s = await scene();
    const { workspace, build, job } = await startWorkspace(s);
    expect(jobStatus(s.plane.cancel(job.id))).toBe("canceling");
    expect((await s.agent.update({ jobId: job.id })).canceled).toBe(true);
    const resources = [{ name: "r", type: "t" }];
    await s.agent.complete({
      jobId: job.id,
      type: { case: "workspaceBuild", value: { state: bytes("done"), resources } },
    });
    expect(jobStatus(s.plane.job(job.id))).toBe("canceled");
    expect(text(s.plane.buildRow(build.id).state)).toBe("done");
    expect(s.plane.buildRow(build.id).resources).toMatchObject(resources);

    const next = s.plane.build(workspace.id, { transition: "start" });
    await s.agent.acquire();
    s.plane.cancel(next.job.id);
    await s.agent.fail({ jobId: next.job.id, error: "interrupted", type: { case: "workspaceBuild", value: {} } });
    expect(jobStatus(s.plane.job(next.job.id))).toBe("failed");
  });
});

describe("CompleteJob", () => {
  const agents = [{ name: "main", auth: { case: "token" as const, value: unknownJob }, apps: [{ slug: "code" }] }];

  test("01#118 a CompleteJob repeated after a lost answer succeeds and stores nothing twice", async () => {
    await using s = await scene();
    const { build, job } = await startWorkspace(s);
    const value = { state: bytes("s"), resources: [{ name: "r", type: "t", agents }], modules: [{ key: "m" }] };
    const message = { jobId: job.id, type: { case: "workspaceBuild" as const, value } };
    await s.agent.complete(message);
    const after = s.plane.buildRow(build.id);
    await s.agent.complete(message);
    expect(s.plane.buildRow(build.id)).toEqual(after);
    expect(after.resources).toHaveLength(1);
    expect(after.modules).toHaveLength(1);
    const other = { jobId: job.id, type: { case: "workspaceBuild" as const, value: { state: bytes("other") } } };
    await expect(s.agent.complete(other)).rejects.toThrow("job already completed");
    expect(text(s.plane.buildRow(build.id).state)).toBe("s");

    const imported = await importTemplate(s, { richParameters: [{ name: "p" }], plan: bytes("{}") });
    const again = { richParameters: [{ name: "p" }], plan: bytes("{}") };
    await s.agent.complete({ jobId: imported.job.id, type: { case: "templateImport", value: again } });
    expect(s.plane.version(imported.version.id).parameters).toHaveLength(1);
  });

  test("by default a CompleteJob after a FailJob is refused; the exact server accepts it and turns failed into succeeded", async () => {
    for (const coderdExact of [false, true]) {
      await using s = await scene({ coderdExact });
      const { build, job } = await startWorkspace(s);
      await s.agent.fail({ jobId: job.id, error: "x", errorCode: "C" });
      const complete = { jobId: job.id, type: { case: "workspaceBuild" as const, value: { state: bytes("late") } } };
      if (coderdExact) {
        await s.agent.complete(complete);
        expect(s.plane.job(job.id)).toMatchObject({ error: undefined, errorCode: undefined });
        expect(text(s.plane.buildRow(build.id).state)).toBe("late");
      } else {
        await expect(s.agent.complete(complete)).rejects.toThrow("job already completed");
        expect(s.plane.job(job.id)).toMatchObject({ error: "x", errorCode: "C" });
      }
    }
  });

  test("the exact server refuses a completed build with agents a second time, and doubles the rows of one without", async () => {
    await using s = await scene({ coderdExact: true });
    const { workspace, build, job } = await startWorkspace(s);
    const withAgents = { resources: [{ name: "r", type: "t", agents }] };
    await s.agent.complete({ jobId: job.id, type: { case: "workspaceBuild", value: withAgents } });
    await expect(
      s.agent.complete({ jobId: job.id, type: { case: "workspaceBuild", value: withAgents } }),
    ).rejects.toThrow("already exists");
    expect(s.plane.buildRow(build.id).agentsDeleted).toBe(false);
    const stop = s.plane.build(workspace.id, { transition: "stop" });
    await s.agent.acquire();
    const without = {
      jobId: stop.job.id,
      type: { case: "workspaceBuild" as const, value: { resources: [{ name: "r", type: "t" }] } },
    };
    await s.agent.complete(without);
    await s.agent.complete(without);
    expect(s.plane.buildRow(stop.build.id).resources).toHaveLength(2);
    expect(s.plane.buildRow(build.id).agentsDeleted).toBe(true);
  });

  test.each([
    ["an empty agent name", [{ ...agents[0], name: "" }]],
    ["an agent name with an underscore", [{ ...agents[0], name: "a_b" }]],
    ["the same agent name twice, ignoring case", [agents[0], { ...agents[0], name: "MAIN" }]],
    ["an agent token that is no UUID", [{ ...agents[0], auth: { case: "token" as const, value: "x" } }]],
    ["an empty app slug", [{ ...agents[0], apps: [{ slug: "" }] }]],
    ["an app slug in capitals", [{ ...agents[0], apps: [{ slug: "Code" }] }]],
    ["an app slug twice in one resource", [agents[0], { ...agents[0], name: "second" }]],
    ["an app id that is no UUID", [{ ...agents[0], apps: [{ slug: "code", id: "x" }] }]],
    [
      "an env of merge strategy error twice",
      [
        {
          ...agents[0],
          extraEnvs: [
            { name: "A", value: "1" },
            { name: "A", value: "2", mergeStrategy: "error" },
          ],
        },
      ],
    ],
  ])("CompleteJob refuses %s, and the job stays as it was (spec/02 §5.7)", async (_what, list) => {
    await using s = await scene();
    const { build, job } = await startWorkspace(s);
    const value = { state: bytes("s"), resources: [{ name: "r", type: "t", agents: list as typeof agents }] };
    await expect(s.agent.complete({ jobId: job.id, type: { case: "workspaceBuild", value } })).rejects.toThrow();
    expect(jobStatus(s.plane.job(job.id))).toBe("running");
    expect(s.plane.buildRow(build.id).state).toHaveLength(0);
    await s.agent.fail({
      jobId: job.id,
      error: "refused",
      type: { case: "workspaceBuild", value: { state: bytes("s") } },
    });
    expect(text(s.plane.buildRow(build.id).state)).toBe("s");
  });

  test("the same agent name in two resources of a build, and an app id of another workspace, are refused", async () => {
    await using s = await scene();
    const { job } = await startWorkspace(s, "one");
    const two = ["a", "b"].map((name) => ({ name, type: "t", agents: [{ name: "main" }] }));
    await expect(
      s.agent.complete({ jobId: job.id, type: { case: "workspaceBuild", value: { resources: two } } }),
    ).rejects.toThrow("main");
    const withApp = [{ name: "r", type: "t", agents: [{ name: "main", apps: [{ slug: "code", id: unknownJob }] }] }];
    await s.agent.complete({ jobId: job.id, type: { case: "workspaceBuild", value: { resources: withApp } } });
    const other = await startWorkspace(s, "two");
    await expect(
      s.agent.complete({ jobId: other.job.id, type: { case: "workspaceBuild", value: { resources: withApp } } }),
    ).rejects.toThrow("another workspace");
  });

  test("02#75 an import naming an unconfigured external auth provider is answered OK and recorded as failed", async () => {
    await using s = await scene({ externalAuthProviders: ["github"] });
    const good = await importTemplate(s, { externalAuthProviders: [{ id: "github" }] });
    expect(jobStatus(s.plane.job(good.job.id))).toBe("succeeded");
    const bad = await importTemplate(s, { externalAuthProviders: [{ id: "github" }, { id: "gitlab" }] });
    expect(s.plane.job(bad.job.id).error).toBe('external auth provider "gitlab" is not configured');
    s.plane.setExternalToken(s.plane.admin.id, "github", "gh-token");
    s.plane.createWorkspace({ templateId: good.template.id, name: "w" });
    expect((await s.agent.acquire()).type.value).toMatchObject({
      externalAuthProviders: [{ id: "github", accessToken: "gh-token" }],
    });
  });
});

describe("variables", () => {
  const templateVariables = [
    { name: "image", defaultValue: "debian" },
    { name: "secret", defaultValue: "d", sensitive: true },
    { name: "needed", required: true },
  ];

  test("02#70 the answer lists every template variable with user value or default and the sensitive flag", async () => {
    await using s = await scene();
    s.plane.importTemplate({ ...newImport, variables: { needed: "given", secret: "mine" } });
    const { jobId, type } = await s.agent.acquire();
    if (type.case !== "templateImport") throw new Error("no import");
    expect(type.value.userVariableValues).toMatchObject([
      { name: "needed", value: "given", sensitive: true },
      { name: "secret", value: "mine", sensitive: true },
    ]);
    const request = { jobId, templateVariables, userVariableValues: type.value.userVariableValues };
    const expected = [
      { name: "image", value: "debian", sensitive: false },
      { name: "secret", value: "mine", sensitive: true },
      { name: "needed", value: "given", sensitive: false },
    ];
    expect((await s.agent.update(request)).variableValues).toMatchObject(expected);
    // Better than the real server: the call may be repeated.
    expect((await s.agent.update(request)).variableValues).toMatchObject(expected);
    await s.agent.complete({ jobId, type: { case: "templateImport", value: {} } });
    // The next version keeps them, all marked sensitive.
    s.plane.importTemplate({ ...newImport, variables: { image: "alpine" } });
    const next = (await s.agent.acquire()).type.value;
    expect(next).toMatchObject({
      userVariableValues: [
        { name: "image", value: "alpine", sensitive: true },
        { name: "secret", value: "mine", sensitive: true },
        { name: "needed", value: "given", sensitive: true },
      ],
    });
  });

  test("02#70 a missing required value answers with the text of 5.5 after storing all", async () => {
    await using s = await scene();
    const { version } = s.plane.importTemplate(newImport);
    const { jobId } = await s.agent.acquire();
    const more = [...templateVariables, { name: "second", required: true }];
    await expect(s.agent.update({ jobId, templateVariables: more })).rejects.toThrow(
      /^required template variables need values: needed, second$/,
    );
    expect(s.plane.version(version.id).variables.map(({ variable }) => variable.name)).toEqual([
      "image",
      "secret",
      "needed",
      "second",
    ]);
  });

  test("the exact server refuses the same variables and tags a second time", async () => {
    await using s = await scene({ coderdExact: true });
    s.plane.importTemplate({ ...newImport, variables: { needed: "x" } });
    const { jobId } = await s.agent.acquire();
    await s.agent.update({ jobId, templateVariables, userVariableValues: [{ name: "needed", value: "x" }] });
    await expect(s.agent.update({ jobId, templateVariables })).rejects.toThrow(/^insert parameter schema: /);
    await s.agent.update({ jobId, workspaceTags: { a: '"1"' } });
    await expect(s.agent.update({ jobId, workspaceTags: { a: '"1"' } })).rejects.toThrow(
      /^update template version workspace tags: /,
    );
  });
});

describe("logs", () => {
  const log = { source: LogSource.PROVISIONER, level: LogLevel.INFO, createdAt: 1n, stage: "s" };

  test("02#54 output is cut to 1024 characters and stage to 128", async () => {
    await using s = await scene();
    const { job } = s.plane.importTemplate(newImport);
    await s.agent.acquire();
    await s.agent.update({ jobId: job.id, logs: [{ ...log, stage: "é".repeat(129), output: "😀".repeat(1025) }] });
    const [stored] = s.plane.logs(job.id);
    expect(stored?.output).toBe("😀".repeat(1024));
    expect(stored?.stage).toBe("é".repeat(128));
    // Bytes count as received, before the cut.
    expect(s.plane.job(job.id).logsLength).toBe(4 * 1025);
  });

  test("02#53 an unknown level rejects the whole request, and updated_at was moved", async () => {
    const clock = new FakeClock();
    await using s = await scene({ clock });
    const { job } = s.plane.importTemplate(newImport);
    await s.agent.acquire();
    await clock.advance(1_000);
    const logs = [
      { ...log, output: "good" },
      { ...log, level: 9 as LogLevel, output: "bad" },
    ];
    await expect(s.agent.update({ jobId: job.id, logs })).rejects.toThrow("level");
    await expect(s.agent.update({ jobId: job.id, logs: [{ ...log, source: 7 as LogSource }] })).rejects.toThrow(
      "source",
    );
    expect(s.plane.logs(job.id)).toEqual([]);
    expect(s.plane.job(job.id).updatedAt).toBe(clock.now());
  });

  test("02#52 a line that passes the 1 MiB sum is replaced by one WARN notice, the flag is set, later logs are dropped, calls succeed", async () => {
    await using s = await scene();
    const { job } = s.plane.importTemplate(newImport);
    await s.agent.acquire();
    const limit = limits.jobLogBytes - limits.jobLogReserveBytes;
    await s.agent.update({
      jobId: job.id,
      logs: [
        { ...log, output: "x".repeat(limit - 10) },
        { ...log, output: "y".repeat(10) },
      ],
    });
    expect(s.plane.logs(job.id)).toHaveLength(2);
    expect(s.plane.job(job.id)).toMatchObject({ logsLength: limit, logsOverflowed: false });
    await s.agent.update({
      jobId: job.id,
      logs: [
        { ...log, stage: "late", createdAt: 7n, output: "z" },
        { ...log, output: "" },
      ],
    });
    await s.agent.update({ jobId: job.id, logs: [{ ...log, output: "after" }] });
    expect(s.plane.logs(job.id)).toHaveLength(3);
    expect(s.plane.logs(job.id)[2]).toMatchObject({
      level: LogLevel.WARN,
      stage: "late",
      createdAt: 7,
      source: log.source,
    });
    expect(s.plane.job(job.id).logsOverflowed).toBe(true);
    expect(s.plane.job(job.id).logsLength).toBeLessThanOrEqual(limits.jobLogBytes);
  });

  test("a NUL in a line fails the batch, after its length was counted", async () => {
    await using s = await scene();
    const { job } = s.plane.importTemplate(newImport);
    await s.agent.acquire();
    await expect(s.agent.update({ jobId: job.id, logs: [{ ...log, output: "a\0b" }] })).rejects.toThrow(
      /^insert job logs: /,
    );
    expect(s.plane.logs(job.id)).toEqual([]);
    expect(s.plane.job(job.id).logsLength).toBe(3);
  });

  test("text that is no UTF-8 is refused with an Error", async () => {
    await using s = await scene();
    const { job } = s.plane.importTemplate(newImport);
    await s.agent.acquire();
    const message = toBinary(
      UpdateJobRequestSchema,
      create(UpdateJobRequestSchema, { jobId: job.id, logs: [{ ...log, output: "MARK" }] }),
    );
    message[Buffer.from(message).indexOf("MARK")] = 0xff;
    await expect(s.agent.rpc.unary(methods.updateJob, message, signal())).rejects.toThrow(/^unmarshal /);
  });

  test("a follower gets all lines from the start, in order, and the end", async () => {
    await using s = await scene();
    const { job } = s.plane.importTemplate(newImport);
    const seen: string[] = [];
    const following = (async () => {
      for await (const event of s.plane.follow(job.id, signal())) {
        seen.push(event.kind === "log" ? event.log.output : event.status);
      }
    })();
    await s.agent.acquire();
    await s.agent.update({
      jobId: job.id,
      logs: [
        { ...log, output: "one" },
        { ...log, output: "two" },
      ],
    });
    await s.agent.update({ jobId: job.id, logs: [{ ...log, output: "three" }] });
    await s.agent.complete({ jobId: job.id, type: { case: "templateImport", value: {} } });
    await following;
    expect(seen.filter((text) => !["pending", "running"].includes(text))).toEqual(["one", "two", "three", "succeeded"]);
  });
});

describe("quota", () => {
  test("without a budget: ok, -1; with one: refused above it, unless the cost falls (spec/02 §5.8)", async () => {
    await using s = await scene();
    const { workspace, build, job } = await startWorkspace(s);
    expect(await s.agent.quota({ jobId: job.id, dailyCost: 7 })).toMatchObject({
      ok: true,
      budget: -1,
      creditsConsumed: 0,
    });
    s.plane.setQuota(s.plane.admin.id, 10);
    expect(await s.agent.quota({ jobId: job.id, dailyCost: 11 })).toMatchObject({
      ok: false,
      budget: 10,
      creditsConsumed: 0,
    });
    expect(s.plane.buildRow(build.id).dailyCost).toBe(0);
    expect(await s.agent.quota({ jobId: job.id, dailyCost: 7 })).toMatchObject({
      ok: true,
      budget: 10,
      creditsConsumed: 7,
    });
    // This build is the latest already: its cost counts a second time.
    expect(await s.agent.quota({ jobId: job.id, dailyCost: 7 })).toMatchObject({ ok: false, creditsConsumed: 7 });
    await s.agent.complete({ jobId: job.id, type: { case: "workspaceBuild", value: {} } });
    s.plane.setQuota(s.plane.admin.id, 5);
    const cheaper = s.plane.build(workspace.id, { transition: "start" });
    await s.agent.acquire();
    expect(await s.agent.quota({ jobId: cheaper.job.id, dailyCost: 7 })).toMatchObject({ ok: false });
    expect(await s.agent.quota({ jobId: cheaper.job.id, dailyCost: 6 })).toMatchObject({
      ok: true,
      creditsConsumed: 6,
    });
  });
});

test("whoever waits for a job to start hears of it when it is handed out, not with its first update", async () => {
  await using here = await scene();
  const { job } = here.plane.importTemplate({ template: "t", archive });
  const started = here.plane.started(job.id, new AbortController().signal);
  await here.agent.acquire();
  expect((await started).startedAt).toBeDefined();
});
