import { expect, test } from "vitest";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import { endingSteps } from "../../src/terraform/run-engine.ts";
import { type FakeCommand, isAlive } from "../support/fake-terraform.ts";
import { initInputOf, metadataOf, never, planInputOf, stateText, World } from "./world.ts";

/** Starts the step in which `command` runs, with a signal of its own; the steps before it are done. */
async function stepOf(world: World, command: FakeCommand): Promise<(signal: AbortSignal) => Promise<unknown>> {
  if (command === "init") return (signal) => world.session.init(initInputOf(), signal);
  const initialized = await world.init();
  if (command === "plan" || command === "show plan") return (signal) => initialized.plan(planInputOf(), signal);
  const planned = await initialized.plan(planInputOf(), never);
  if (command === "graph") return (signal) => planned.graph(signal);
  const apply = (signal: AbortSignal) => planned.apply(metadataOf(), async () => undefined, signal);
  if (command === "apply") return apply;
  const applied = await apply(never);
  return (signal) => applied.graph(signal);
}

const outcome = (step: Promise<unknown>) =>
  step.then(
    (value) => (value as { error?: string }).error ?? "success",
    (error: Error) => `${error.name} ${error.message}`,
  );

const messages: [FakeCommand, string][] = [
  ["init", "JobError initialize terraform: exit status 1"],
  ["plan", "JobError terraform plan: exit status 1"],
  ["show plan", "JobError show terraform plan file: exit status 1"],
  ["graph", "JobError generate graph: graph: exit status 1"],
  ["apply", "terraform apply: exit status 1"],
  ["show state", "JobError load tfstate for graph: terraform show state: exit status 1"],
];

test.each(messages)(
  "03#87 03#89 cancel during %s sends one SIGINT and the step answers as ever",
  async (command, message) => {
    await using world = await World.open({
      scenario: { [command]: { hang: "until interrupted", exit: 1, last: "last words\n" } },
    });
    const step = await stepOf(world, command);
    const cancel = new AbortController();
    const ended = outcome(step(cancel.signal));
    await world.fake.started(command);
    cancel.abort();
    expect(await ended).toBe(message);
    expect(world.fake.signals).toEqual([`${command} SIGINT`]);
    if (["init", "plan", "apply"].includes(command)) expect(world.lines).toContain("INFO last words");
  },
);

test.each(messages)(
  "03#88 03#89 %s that ignores SIGINT is killed after the exit timeout, and the answer says so",
  async (command, message) => {
    const clock = new FakeClock();
    await using world = await World.open({
      clock,
      settings: { exitTimeoutMs: 180_000 },
      scenario: { [command]: { hang: "for ever" } },
    });
    const step = await stepOf(world, command);
    const cancel = new AbortController();
    const ended = outcome(step(cancel.signal));
    const { pid } = await world.fake.started(command);
    cancel.abort();
    while (world.fake.signals.length === 0) await clock.advance(0);
    await clock.advance(179_000);
    expect(isAlive(pid)).toBe(true);
    await clock.advance(1000);
    expect(await ended).toBe(message.replace("exit status 1", "signal: killed"));
    expect(world.fake.signals).toEqual([`${command} SIGINT`]);
    expect(isAlive(pid)).toBe(false);
  },
);

test("cancel of an apply that succeeds all the same returns the success with its state", async () => {
  const files = { "terraform.tfstate": stateText(3) };
  await using world = await World.open({ scenario: { apply: { files, hang: "until interrupted", exit: 0 } } });
  const step = await stepOf(world, "apply");
  const cancel = new AbortController();
  const applied = step(cancel.signal) as Promise<{ state: Uint8Array; error?: string }>;
  await world.fake.started("apply");
  cancel.abort();
  const { state, error } = await applied;
  expect([Buffer.from(state).toString(), error]).toEqual([stateText(3), undefined]);
});

test("an apply that was killed names what may exist without the state knowing", async () => {
  const change = (type: string, addr: string, action: string) =>
    `${JSON.stringify({ "@level": "info", "@message": type, type, hook: { resource: { addr }, action } })}\n`;
  const stdout = [
    change("apply_start", "a.done", "create"),
    change("apply_complete", "a.done", "create"),
    change("apply_start", "a.lost", "create"),
    change("apply_start", "data.x.y", "read"),
  ];
  await using world = await World.open({
    settings: { exitTimeoutMs: 1 },
    scenario: { apply: { stdout, hang: "for ever" } },
  });
  const step = await stepOf(world, "apply");
  const cancel = new AbortController();
  const ended = outcome(step(cancel.signal));
  await world.fake.started("apply");
  // The lines may come in several pieces: the kill waits for the last one.
  while (world.lines.filter((line) => line.includes("apply_start")).length < 3) await new Promise(setImmediate);
  cancel.abort();
  expect(await ended).toBe("terraform apply: signal: killed");
  expect(world.lines.filter((line) => line.startsWith("ERROR"))).toEqual([expect.stringMatching(/by hand: a\.lost$/)]);
});

test("03#90 cancel before the process starts gives no process", async () => {
  for (const [command, message] of messages) {
    await using world = await World.open();
    const step = await stepOf(world, command);
    const before = world.fake.commands.length;
    const answer = await outcome(step(AbortSignal.abort()));
    expect(answer, command).toContain("context canceled");
    if (command !== "init" && command !== "show plan")
      expect(answer).toBe(message.replace("exit status 1", "context canceled"));
    expect(world.fake.commands.length, command).toBe(before);
  }
});

test("03#91 a session that is lost ends its engine as a cancel does: its host aborts the step, waits, and disposes", async () => {
  await using world = await World.open({ scenario: { apply: { hang: "until interrupted", exit: 1 } } });
  const step = await stepOf(world, "apply");
  const lost = new AbortController();
  const applied = step(lost.signal);
  const { pid } = await world.fake.started("apply");
  lost.abort(new Error("the stream is gone"));
  expect(await applied).toMatchObject({ error: "terraform apply: exit status 1" });
  expect(world.fake.signals).toEqual(["apply SIGINT"]);
  await world.session[Symbol.asyncDispose]();
  expect([isAlive(pid), world.folderName]).toEqual([false, undefined]);
});

test("03#6 disposing kills what runs, waits for its end, and only then removes the folder", async () => {
  await using world = await World.open({ scenario: { plan: { hang: "for ever" } } });
  const step = await stepOf(world, "plan");
  const ended = outcome(step(never));
  const { pid } = await world.fake.started("plan");
  expect(isAlive(pid)).toBe(true);
  await world.session[Symbol.asyncDispose]();
  expect([isAlive(pid), world.folderName]).toEqual([false, undefined]);
  expect(await ended).toBe("JobError terraform plan: signal: killed");
});

test("03#92 after a cancel and after a normal end no process of the group is left, not even one that holds the pipe", async () => {
  const children = [{ run: "sleep 1000 & sleep 1000" }, { run: "trap '' INT TERM; sleep 1000", holdsPipe: true }];
  for (const hang of [undefined, "until interrupted"] as const) {
    await using world = await World.open({ scenario: { plan: { children, ...(hang && { hang, exit: 1 }) } } });
    const step = await stepOf(world, "plan");
    const cancel = new AbortController();
    const ended = outcome(step(cancel.signal));
    await world.fake.started("plan");
    if (hang) cancel.abort();
    await ended;
    expect(world.fake.children).toHaveLength(2);
    for (const pid of world.fake.children) while (isAlive(pid)) await new Promise(setImmediate);
  }
});

test("03#92 a process that left the group and holds the pipe delays the answer by five seconds at most", async () => {
  const clock = new FakeClock();
  await using world = await World.open({
    clock,
    scenario: { plan: { stdout: "said\n", children: [{ run: "exec setsid sleep 1000", holdsPipe: true }] } },
  });
  const step = await stepOf(world, "plan");
  const ended = outcome(step(never));
  await world.fake.started("plan");
  const { pid } = world.fake.call("plan");
  while (isAlive(pid)) await new Promise(setImmediate);
  while (!world.lines.includes("INFO said")) await new Promise(setImmediate);
  while (clock.pending === 0) await new Promise(setImmediate);
  expect(clock.next).toBe(5000);
  await clock.advance(5000);
  expect(await ended).toBe("success");
  for (const child of world.fake.children) process.kill(child, "SIGKILL");
});

test("03#94 the ladder of signals: Windows kills at once, all others interrupt the leader and later kill the group", () => {
  const interrupt = { afterMs: 0, signal: "SIGINT", to: "leader" };
  const kill = { afterMs: 7, signal: "SIGKILL", to: "group" };
  const table = [
    ["linux", [interrupt, kill]],
    ["darwin", [interrupt, kill]],
    ["win32", [{ ...kill, afterMs: 0 }]],
  ] as const;
  for (const [platform, steps] of table) expect(endingSteps(platform, 7), platform).toEqual(steps);
});
