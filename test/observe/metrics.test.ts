import { afterEach, describe, expect, test } from "vitest";
import type { AgentFact } from "../../src/cli/agent/facts.ts";
import type { JobHeader } from "../../src/cli/agent/job-header.ts";
import { measure } from "../../src/cli/agent/measure.ts";
import type { JobEvent } from "../../src/job/events.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import { Registry } from "../../src/observe/metrics.ts";
import { processMetrics } from "../../src/observe/metrics-process.ts";
import { type MetricsServer, serveMetrics } from "../../src/observe/metrics-server.ts";
import { buildHeader, jobResult, runWithFacts } from "../support/agent-facts.ts";
import { type Family, parseExposition } from "../support/exposition.ts";
import { buildJob, JobBench } from "../support/job-harness.ts";

let server: MetricsServer | undefined;
afterEach(async () => {
  await server?.[Symbol.asyncDispose]();
  server = undefined;
});

function agent(options: { personalLabels?: boolean } = {}, clock = new FakeClock()) {
  const registry = new Registry();
  const tell = measure(registry, { clock, slots: 4, personalLabels: false, logLinesDropped: () => 3, ...options });
  const event = (job: JobHeader, event: JobEvent) => tell({ kind: "job", job, event });
  const runFor = async (seconds: number, job: JobHeader, result = jobResult()) => {
    tell({ kind: "job-began", job });
    await clock.advance(seconds * 1_000);
    event(job, { kind: "result", result });
  };
  const families = () => parseExposition(registry.text());
  /** The value of a sample by name and labels; undefined where there is none. */
  const value = (name: string, labels: Record<string, string> = {}) =>
    [...families().values()]
      .flatMap(({ samples }) => samples)
      .find((sample) => sample.name === name && JSON.stringify(sample.labels) === JSON.stringify(labels))?.value;
  return { clock, registry, tell, event, runFor, families, value };
}

const shapeOf = ({ type, samples }: Family) => ({
  type,
  labels: [
    ...new Set(
      samples.map(({ labels }) =>
        Object.keys(labels)
          .filter((name) => name !== "le")
          .join(","),
      ),
    ),
  ],
  buckets: [...new Set(samples.flatMap(({ labels }) => labels["le"] ?? []))].join(","),
});

describe("Coder's metrics", () => {
  test("02#84 the five exist with exactly these types, labels and buckets", async () => {
    const { runFor, families } = agent();
    await runFor(5, buildHeader);
    const buckets = "1,10,30,60,300,600,1800,3600,+Inf";
    const coder = [...families()].filter(([name]) => name.startsWith("coderd_"));
    expect(Object.fromEntries(coder.map(([name, family]) => [name, shapeOf(family)]))).toEqual({
      coderd_provisionerd_jobs_current: { type: "gauge", labels: ["provisioner"], buckets: "" },
      coderd_provisionerd_num_daemons: { type: "gauge", labels: [""], buckets: "" },
      coderd_provisionerd_job_timings_seconds: { type: "histogram", labels: ["provisioner,status"], buckets },
      coderd_workspace_builds_total: {
        type: "counter",
        labels: ["workspace_owner,workspace_name,template_name,template_version,workspace_transition,status"],
        buckets: "",
      },
      coderd_provisionerd_workspace_build_timings_seconds: {
        type: "histogram",
        labels: ["template_name,template_version,workspace_transition,status"],
        buckets,
      },
    });
  });

  test("02#84 their values: running jobs, durations in buckets, builds by transition and status", async () => {
    const { runFor, tell, value } = agent();
    expect(value("coderd_provisionerd_jobs_current", { provisioner: "terraform" })).toBe(0);
    expect(value("coderd_provisionerd_num_daemons")).toBe(1);
    await runFor(45, buildHeader);
    await runFor(4_000, { ...buildHeader, id: "2" }, jobResult({ status: "failed", error: "x" }));
    tell({ kind: "job-began", job: { ...buildHeader, id: "3" } });
    expect(value("coderd_provisionerd_jobs_current", { provisioner: "terraform" })).toBe(1);
    const success = { provisioner: "terraform", status: "success" };
    const timings = "coderd_provisionerd_job_timings_seconds";
    expect(value(`${timings}_bucket`, { ...success, le: "30" })).toBe(0);
    expect(value(`${timings}_bucket`, { ...success, le: "60" })).toBe(1);
    expect(value(`${timings}_bucket`, { ...success, le: "3600" })).toBe(1);
    expect(value(`${timings}_sum`, success)).toBe(45);
    const failed = { provisioner: "terraform", status: "failed" };
    expect(value(`${timings}_bucket`, { ...failed, le: "3600" })).toBe(0);
    expect(value(`${timings}_bucket`, { ...failed, le: "+Inf" })).toBe(1);
    const build = {
      template_name: "k8s-dev",
      template_version: "v14",
      workspace_transition: "START",
      status: "success",
    };
    expect(value("coderd_workspace_builds_total", { workspace_owner: "", workspace_name: "", ...build })).toBe(1);
    expect(value("coderd_provisionerd_workspace_build_timings_seconds_count", build)).toBe(1);
  });

  test("a completion that the control plane did not take is no success", async () => {
    const { runFor, value } = agent();
    await runFor(1, buildHeader, jobResult({ status: "unconfirmed", unconfirmed: "lost", rescue: true }));
    const count = "coderd_provisionerd_job_timings_seconds_count";
    expect(value(count, { provisioner: "terraform", status: "success" })).toBeUndefined();
    expect(value(count, { provisioner: "terraform", status: "failed" })).toBe(1);
    expect(value("outpost_jobs_unconfirmed_total")).toBe(1);
    expect(value("outpost_rescue_needed")).toBe(1);
  });

  test("owners and workspaces stand in labels only where they are asked for", async () => {
    const quiet = agent();
    await quiet.runFor(1, buildHeader);
    expect(quiet.registry.text()).not.toMatch(/alice|"dev"/);
    const open = agent({ personalLabels: true });
    await open.runFor(1, buildHeader);
    expect(open.registry.text()).toContain('{workspace_owner="alice",workspace_name="dev",template_name="k8s-dev"');
  });

  test("an import counts as a job and not as a build", async () => {
    const { build: _, ...header } = buildHeader;
    const { runFor, registry } = agent();
    await runFor(1, { ...header, kind: "import" });
    expect(registry.text()).toContain("job_timings_seconds_count");
    expect(registry.text()).not.toContain("coderd_workspace_builds_total");
  });
});

test("our own metrics follow the connection and the jobs", async () => {
  const { tell, event, value } = agent();
  const connected: AgentFact = {
    kind: "link",
    event: { kind: "connected", serverVersion: "v2", apiVersion: { major: 1, minor: 18 }, tries: 1, afterMs: 1 },
  };
  expect(value("outpost_connected")).toBe(0);
  tell(connected);
  expect(value("outpost_connected")).toBe(1);
  tell({ kind: "link", event: { kind: "lost", why: "reset", lastedMs: 1 } });
  expect(value("outpost_connected")).toBe(0);
  expect(value("outpost_reconnects_total")).toBe(0);
  tell(connected);
  expect(value("outpost_reconnects_total")).toBe(1);

  tell({ kind: "job-began", job: buildHeader });
  event(buildHeader, { kind: "step-began", step: "apply", stage: "Starting workspace" });
  expect([value("outpost_slots"), value("outpost_slots_busy")]).toEqual([4, 1]);
  expect(value("outpost_jobs_in_stage", { stage: "apply" })).toBe(1);
  event(buildHeader, { kind: "logs-dropped", lines: 7 });
  event(buildHeader, { kind: "result", result: jobResult({ longestGapMs: 9_500 }) });
  expect(value("outpost_jobs_in_stage", { stage: "apply" })).toBe(0);
  expect(value("outpost_slots_busy")).toBe(0);
  expect(value("outpost_job_log_lines_dropped_total")).toBe(7);
  expect(value("outpost_log_lines_dropped_total")).toBe(3);
  expect(value("outpost_longest_gap_seconds")).toBe(9.5);
});

test("the age of the last heartbeat and the lines that wait follow a job through an outage", async () => {
  const bench = new JobBench();
  const { tell, value } = agent({}, bench.clock);
  const seen: Array<[number | undefined, number | undefined]> = [];
  const look = () => seen.push([value("outpost_update_queue_lines"), value("outpost_heartbeat_age_seconds")]);
  bench.provisioner.onApply = async (stage) => {
    const wait = (ms: number) => stage.until(bench.clock.sleep(ms, new AbortController().signal));
    await wait(1_000);
    bench.plane.down();
    for (let index = 0; index < 5; index++) stage.log(`line ${index}`);
    await wait(30_000);
    look();
    bench.plane.up();
    await wait(1_000);
    look();
    return {};
  };
  await runWithFacts(bench, buildJob(), tell);
  look();
  const [during, after, idle] = seen;
  expect(during?.[0]).toBe(5);
  expect(during?.[1]).toBeGreaterThan(29);
  expect(after?.[0]).toBe(0);
  expect(after?.[1]).toBeLessThanOrEqual(1);
  expect(idle).toEqual([0, 0]);
});

test("label values and help survive whatever is in them", () => {
  const registry = new Registry();
  const hostile = 'a"b\\c\nd{}=,\u2028 ü';
  registry.counter("x_total", "one\\two\nthree", ["label"]).add({ label: hostile }, 2);
  const family = parseExposition(registry.text()).get("x_total");
  expect(family).toEqual({
    help: "one\\two\nthree",
    type: "counter",
    samples: [{ name: "x_total", labels: { label: hostile }, value: 2 }],
  });
});

test("however many combinations of labels come, a metric stays bounded and its sum true", () => {
  const registry = new Registry();
  const counter = registry.counter("x_total", "x", ["version"]);
  for (let index = 0; index < 5_000; index++) counter.add({ version: `v${index}` });
  const samples = parseExposition(registry.text()).get("x_total")?.samples ?? [];
  expect(samples.length).toBeLessThanOrEqual(1_001);
  expect(samples.reduce((sum, { value }) => sum + value, 0)).toBe(5_000);
  expect(samples.find(({ labels }) => labels["version"] === "other")?.value).toBe(4_000);
});

test("the metrics are served on every path of their own port, in text format 0.0.4", async () => {
  const registry = new Registry();
  processMetrics(registry);
  server = await serveMetrics("127.0.0.1:0", registry);
  for (const path of ["/", "/metrics", "/any/where?x=1"]) {
    const response = await fetch(`http://${server.address}${path}`);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    const families = parseExposition(await response.text());
    expect(families.get("process_cpu_seconds_total")?.type).toBe("counter");
    expect(families.get("process_resident_memory_bytes")?.samples[0]?.value).toBeGreaterThan(1e7);
    expect(families.get("process_open_fds")?.samples[0]?.value).toBeGreaterThan(3);
  }
  expect((await fetch(`http://${server.address}/metrics`, { method: "POST" })).status).toBe(405);
});

test("a port that is taken is an error that names the address and the cure", async () => {
  server = await serveMetrics("127.0.0.1:0", new Registry());
  await expect(serveMetrics(server.address, new Registry())).rejects.toMatchObject({
    code: "OUT-METRICS-ADDRESS",
    message: expect.stringContaining(server.address),
    cure: expect.stringContaining("--prometheus-address"),
  });
});
