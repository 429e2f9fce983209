import { expect, test } from "vitest";
import { TimingState } from "../../src/gen/provisioner_pb.ts";
import { parseRecord } from "../../src/terraform/records.ts";
import { type stageRow, TimingCollector, type TimingStage } from "../../src/terraform/timings.ts";
import { never, planInputOf, World } from "./world.ts";

type Row = [stage: string, action: string, source: string, resource: string, state: string, start: string, end: string];

/** Rows of the messages, sorted; times without the date. */
function rowsOf(stage: TimingStage, messages: object[], readAt = "2024-08-15T10:00:00Z"): Row[] {
  const collector = new TimingCollector(stage);
  for (const message of messages) {
    const record = parseRecord(JSON.stringify(message));
    if (record) collector.add(record, Date.parse(readAt));
  }
  const time = (at: { seconds: bigint; nanos: number } | undefined) => {
    const seconds = new Date(Number(at?.seconds) * 1000).toISOString().slice(11, 19);
    return `${seconds}.${String((at?.nanos ?? 0) / 1000).padStart(6, "0")}`;
  };
  return collector
    .rows()
    .map(
      (row): Row => [
        row.stage,
        row.action,
        row.source,
        row.resource,
        TimingState[row.state] ?? "",
        time(row.start),
        time(row.end),
      ],
    )
    .sort((a, b) => (a.join() < b.join() ? -1 : 1));
}

const at = (time: string) => ({ "@timestamp": `2024-08-15T${time.padEnd(15, time.includes(".") ? "0" : "")}Z` });
const hook = (type: string, time: string, addr: string, action?: string, provider = "null") => ({
  ...at(time),
  type,
  hook: { resource: { addr, implied_provider: provider }, ...(action && { action }) },
});

test("03#78 simple and complete: creations, reads, refreshes and provisioners each have a row", () => {
  expect(
    rowsOf("apply", [
      hook("apply_start", "08:26:39.194726", "null_resource.a", "create"),
      hook("provision_start", "08:26:39.300000", "null_resource.a"),
      hook("provision_complete", "08:26:39.400000", "null_resource.a"),
      hook("apply_complete", "08:26:39.500000", "null_resource.a", "create"),
      hook("apply_progress", "08:26:39.600000", "null_resource.a", "create"),
    ]),
  ).toEqual([
    ["apply", "create", "null", "null_resource.a", "COMPLETED", "08:26:39.194726", "08:26:39.500000"],
    ["apply", "provision", "null", "null_resource.a", "COMPLETED", "08:26:39.300000", "08:26:39.400000"],
  ]);
  expect(
    rowsOf("plan", [
      hook("apply_start", "08:26:39.1", "data.coder_workspace.me", "read", "coder"),
      hook("apply_complete", "08:26:39.2", "data.coder_workspace.me", "read", "coder"),
      hook("refresh_start", "08:26:40.1", "docker_volume.v", undefined, "docker"),
      hook("refresh_complete", "08:26:40.2", "docker_volume.v", undefined, "docker"),
    ]).map(([, action, source, resource]) => [action, source, resource]),
  ).toEqual([
    ["read", "coder", "data.coder_workspace.me"],
    ["state refresh", "docker", "docker_volume.v"],
  ]);
});

test("03#78 error: a failing local-exec has a FAILED row for the provisioner and one for its resource", () => {
  expect(
    rowsOf("apply", [
      hook("apply_start", "08:00:00.1", "null_resource.a", "create"),
      hook("provision_start", "08:00:00.2", "null_resource.a"),
      hook("provision_errored", "08:00:00.3", "null_resource.a"),
      hook("apply_errored", "08:00:00.4", "null_resource.a", "create"),
    ]).map(([, action, , , state]) => [action, state]),
  ).toEqual([
    ["create", "FAILED"],
    ["provision", "FAILED"],
  ]);
});

test("03#78 incomplete: a start without an end or an end without a start has no row", () => {
  const rows = rowsOf("apply", [
    hook("apply_start", "08:00:00.1", "a.a", "create"),
    hook("apply_complete", "08:00:00.2", "b.b", "create"),
    hook("apply_complete", "08:00:00.2", "a.a", "delete"),
  ]);
  expect(rows).toEqual([]);
});

test("03#78 an end five minutes before its start counts as both", () => {
  const rows = rowsOf("apply", [
    hook("apply_start", "08:26:39.000001", "a.a", "create"),
    hook("apply_complete", "08:21:39.000001", "a.a", "create"),
  ]);
  expect(rows).toEqual([["apply", "create", "null", "a.a", "COMPLETED", "08:21:39.000001", "08:21:39.000001"]]);
});

test("03#78 several actions on one address are several rows; a later event of the same key overwrites", () => {
  const rows = rowsOf("apply", [
    hook("apply_start", "08:00:00.1", "a.a", "delete"),
    hook("apply_complete", "08:00:00.2", "a.a", "delete"),
    hook("apply_start", "08:00:00.3", "a.a", "create"),
    hook("apply_complete", "08:00:00.4", "a.a", "create"),
    hook("provision_start", "08:00:01.1", "a.a"),
    hook("provision_complete", "08:00:01.2", "a.a"),
    hook("provision_start", "08:00:01.3", "a.a"),
    hook("provision_complete", "08:00:01.4", "a.a"),
  ]);
  expect(rows.map(([, action, , , , start, end]) => [action, start, end])).toEqual([
    ["create", "08:00:00.300000", "08:00:00.400000"],
    ["delete", "08:00:00.100000", "08:00:00.200000"],
    ["provision", "08:00:01.300000", "08:00:01.400000"],
  ]);
});

const init = (code: string, time: string) => ({ ...at(`${time}.000000`), type: "init_output", message_code: code });

test("03#78 init, plain and with upgrade: a step ends when the next begins", () => {
  for (const modules of ["initializing_modules_message", "upgrading_modules_message"]) {
    const rows = rowsOf("init", [
      init("initializing_backend_message", "17:48:29"),
      init(modules, "17:48:29"),
      init("lock_info", "17:48:30"),
      init("initializing_provider_plugin_message", "17:48:31"),
      init("output_init_success_message", "17:48:34"),
      init("output_init_success_cli_message", "17:48:35"),
    ]);
    expect(rows).toEqual([
      ["init", "load", "", "backend", "COMPLETED", "17:48:29.000000", "17:48:29.000000"],
      ["init", "load", "", "modules", "COMPLETED", "17:48:29.000000", "17:48:31.000000"],
      ["init", "load", "", "provider plugins", "COMPLETED", "17:48:31.000000", "17:48:34.000000"],
    ]);
  }
});

test("03#79 a time without six digits gives way to the reading time; an offset is converted", () => {
  const start = (timestamp: string) => ({
    ...hook("apply_start", "08:00:00.1", "a.a", "create"),
    "@timestamp": timestamp,
  });
  const end = { ...hook("apply_complete", "08:00:00.1", "a.a", "create"), "@timestamp": "2024-08-15T23:59:59.000000Z" };
  const startOf = (timestamp: string) => rowsOf("apply", [start(timestamp), end], "2024-08-15T10:00:00Z")[0]?.[5];
  expect(startOf("2024-08-15T08:00:00Z")).toBe("10:00:00.000000");
  expect(startOf("2024-08-15T08:00:00.123Z")).toBe("10:00:00.000000");
  expect(startOf("2024-08-15T08:00:00.123456789Z")).toBe("10:00:00.000000");
  expect(startOf("2024-08-15T08:00:00.123456+02:30")).toBe("05:30:00.123456");
  expect(startOf("nonsense")).toBe("10:00:00.000000");
});

test("03#80 a template without modules has a row for provider plugins, but none for the backend", async () => {
  const line = (code: string) =>
    `${JSON.stringify({ "@level": "info", "@message": code, type: "init_output", message_code: code })}\n`;
  const stdout = [
    "initializing_backend_message",
    "initializing_provider_plugin_message",
    "output_init_success_message",
  ].map(line);
  await using world = await World.open({ scenario: { init: { stdout } } });
  const { timings } = (await world.init()).facts;
  expect(timings.map(({ resource }) => resource)).toEqual(["provider plugins", "coder_stage_init"]);
});

test("03#81 each successful request has one stage row; a failed apply has it as FAILED; failed init, plan, graph have no timings", async () => {
  await using world = await World.open();
  const initialized = await world.init();
  const planned = await initialized.plan(planInputOf(), never);
  const applied = await planned.apply(planInputOf().metadata, async () => undefined, never);
  const graph = await applied.graph(never);
  const all = [initialized.facts.timings, planned.facts.timings, applied.timings, graph.timings];
  for (const [index, stage] of (["init", "plan", "apply", "graph"] as const).entries()) {
    expect(all[index]).toMatchObject([
      { action: "terraform", source: "coder", resource: `coder_stage_${stage}`, stage, state: TimingState.COMPLETED },
    ]);
    const [{ start, end }] = all[index] as [ReturnType<typeof stageRow>];
    expect(Number(start?.seconds)).toBeGreaterThan(1_700_000_000);
    expect(Number(end?.seconds)).toBeGreaterThanOrEqual(Number(start?.seconds));
  }
  await using failing = await World.open({ scenario: { apply: { exit: 1 } } });
  expect((await failing.apply()).timings).toMatchObject([{ resource: "coder_stage_apply", state: TimingState.FAILED }]);
  for (const command of ["init", "plan", "graph"]) {
    await using other = await World.open({ scenario: { [command]: { exit: 1 } } });
    const failure = await other.build().catch((error: unknown) => error);
    expect(failure, command).toBeInstanceOf(Error);
    expect(failure, command).not.toHaveProperty("timings");
  }
});
