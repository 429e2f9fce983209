import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { measure } from "../../src/cli/agent/measure.ts";
import { narrator } from "../../src/cli/agent/narrate.ts";
import type { LifeFact } from "../../src/cli/agent/narrate-voice.ts";
import { tracer } from "../../src/cli/agent/trace.ts";
import { stages } from "../../src/contract/stages.ts";
import { LogLevel, MetadataSchema } from "../../src/gen/provisioner_pb.ts";
import { LogSource } from "../../src/gen/provisionerd_pb.ts";
import type { JobEvent } from "../../src/job/events.ts";
import { OperatorError } from "../../src/kit/errors.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import type { LinkEvent } from "../../src/link/events.ts";
import type { Form } from "../../src/observe/log-forms.ts";
import { openLog } from "../../src/observe/log-open.ts";
import { Registry } from "../../src/observe/metrics.ts";
import { encodeSpans, type Span } from "../../src/observe/trace-otlp.ts";
import { buildHeader, jobResult, runWithFacts } from "../support/agent-facts.ts";
import { buildJob, JobBench } from "../support/job-harness.ts";

interface Options {
  style?: "outpost" | "coder";
  form?: Form;
  verbose?: boolean;
  jobLogs?: "errors" | "all" | "none";
  clock?: FakeClock;
}

/** A narrator whose lines a test can read. Without a form the lines are JSON, which `told` takes apart. */
function telling({
  style = "outpost",
  form = "json",
  verbose = false,
  jobLogs,
  clock = new FakeClock(),
}: Options = {}) {
  const lines: string[] = [];
  const stream = { write: (text: string) => void lines.push(text.slice(0, -1)), on: () => undefined };
  const { log } = openLog({
    sinks: [{ form, path: "/dev/stderr" }],
    verbose,
    filters: [],
    now: () => clock.now(),
    streams: { stdout: stream, stderr: stream },
    environment: {},
  });
  const tell = narrator(log, style, { clock, ...(jobLogs ? { jobLogs } : {}) });
  const link = (event: LinkEvent) => tell({ kind: "link", event });
  const job = (event: JobEvent) => tell({ kind: "job", job: buildHeader, event });
  const told = () =>
    lines.map((line) => {
      const { level, msg, fields, logger_names } = JSON.parse(line);
      return { level, msg, fields, logger: logger_names.join(".") };
    });
  return { clock, lines, tell, link, job, told, messages: () => told().map(({ level, msg }) => `${level} ${msg}`) };
}

const connected = (tries = 1, afterMs = 200): LinkEvent => ({
  kind: "connected",
  serverVersion: "v2.29.1",
  apiVersion: { major: 1, minor: 15 },
  tries,
  afterMs,
});
const lost = (lastedMs = 3_600_000): LinkEvent => ({ kind: "lost", why: "connection reset", lastedMs });
const dialFailed = (why = "ECONNREFUSED"): LinkEvent => ({ kind: "dial-failed", why, delayMs: 100, again: false });
const key = (tags: Record<string, string>): LinkEvent => ({
  kind: "key",
  details: { name: "eu-prod", organizationId: "org-1", tags } as (LinkEvent & { kind: "key" })["details"],
});
const starting: LifeFact = { kind: "starting", name: "outpost-0", credential: "psk", tags: ["region=eu"] };

describe("the lines of Coder's daemon", () => {
  test("02#85 `starting provisioner daemon` and `successfully connected to coderd` are info lines for people", () => {
    const { lines, tell, link } = telling({ style: "coder", form: "coder" });
    tell(starting);
    link(connected());
    const time = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}`;
    expect(lines[0]).toMatch(
      new RegExp(`^${time} \\[info\\]  starting provisioner daemon  tags={"region":"eu"}  name=outpost-0$`),
    );
    expect(lines.at(-1)).toMatch(new RegExp(`^${time} \\[info\\]  successfully connected to coderd$`));
  });

  test("02#85 `starting provisioner daemon` and `successfully connected to coderd` are INFO in JSON", () => {
    const { told, tell, link } = telling({ style: "coder" });
    tell(starting);
    link(connected());
    const base = { level: "INFO", logger: "" };
    const fields = { tags: { region: "eu" }, name: "outpost-0" };
    expect(told()).toContainEqual({ ...base, msg: "starting provisioner daemon", fields });
    expect(told()).toContainEqual({ ...base, msg: "successfully connected to coderd", fields: {} });
  });

  test("each fact has its line at its level", () => {
    const { messages, tell, link } = telling({ style: "coder", verbose: true });
    tell({ ...starting, tags: [] } as LifeFact);
    tell({ kind: "serving", what: "metrics", address: "127.0.0.1:2112" });
    link(dialFailed());
    const details = { code: "OUT-KEY-UNKNOWN", reason: "no such key", cure: "make one" };
    link({ kind: "refused", error: new OperatorError("refused the key", details), delayMs: 60_000, again: false });
    link(connected());
    link(key({ region: "eu" }));
    tell({ kind: "job-began", job: buildHeader });
    link(lost());
    tell({ kind: "descending", signal: "SIGTERM", phase: "draining", running: 1 });
    tell({ kind: "ended", clean: true, workFolder: "/w" });
    tell({ kind: "ended", clean: false, workFolder: "/w" });
    expect(messages()).toEqual([
      "INFO starting provisioner daemon",
      "INFO psk automatically sets tag scope=organization",
      expect.stringMatching(/^INFO note: untagged provisioners /),
      "INFO starting Prometheus endpoint",
      "INFO http server listening",
      "WARN coderd client failed to dial",
      "ERROR not authorized to dial coderd",
      "INFO successfully connected to coderd",
      "INFO provisioner key auth automatically sets tag region=eu",
      expect.stringContaining('INFO key "eu-prod" accepted'),
      "DEBUG acquired job",
      "INFO connection to coderd closed",
      "INFO attempting graceful shutdown",
      "INFO gracefully shutdown",
      "INFO closing provisionerd",
      "WARN graceful shutdown failed",
      "INFO closing provisionerd",
    ]);
  });

  test("lines of a job come from the logger runner and say which build it is", () => {
    const { told, job, tell } = telling({ style: "coder", jobLogs: "all" });
    tell({ kind: "job-began", job: buildHeader });
    const step = { stage: "", ms: 10 };
    job({ kind: "step-ended", step: "plan", ok: true, ...step });
    job({ kind: "step-ended", step: "apply", ok: false, ...step });
    job({ kind: "log", line: line(LogLevel.WARN, "careful", stages.plan) });
    job({ kind: "result", result: jobResult({ status: "unconfirmed", unconfirmed: "no answer" }) });
    const runner = {
      job_id: buildHeader.id,
      template_name: "k8s-dev",
      template_version: "v14",
      workspace_build_id: "b-1",
      workspace_id: "w-1",
      workspace_name: "dev",
      workspace_owner: "alice",
      workspace_transition: "START",
    };
    const base = { logger: "runner" };
    expect(told()).toEqual([
      { ...base, level: "INFO", msg: "plan request successful", fields: runner },
      { ...base, level: "WARN", msg: "apply failed; updating state", fields: runner },
      { ...base, level: "WARN", msg: "terraform planning", fields: { level: "WARN", output: "careful", ...runner } },
      { ...base, level: "ERROR", msg: "sending CompletedJob failed", fields: { error: "no answer", ...runner } },
    ]);
  });
});

function line(level: LogLevel, output: string, stage = "Starting workspace") {
  return { source: LogSource.PROVISIONER, level, stage, output, createdAt: 0 };
}

describe("our own lines", () => {
  test("an outage is told once in full, then once a minute with count and age, and once when it is over", async () => {
    const { clock, link, told } = telling();
    link(connected());
    link(lost());
    for (let index = 0; index < 13; index++) {
      link(dialFailed());
      await clock.advance(10_000);
    }
    link(connected(13, 130_000));
    expect(told().map(({ level, msg }) => `${level} ${msg}`)).toEqual([
      "INFO connected in 0.2 s, waiting for jobs",
      "WARN connection lost: connection reset; jobs go on, their logs are held; retrying",
      "WARN connect: ECONNREFUSED; retrying; outpost doctor tells what is in the way",
      "WARN connect: ECONNREFUSED, for 1 m now (7 tries); retrying",
      "WARN connect: ECONNREFUSED, for 2 m now (13 tries); retrying",
      "INFO back after 2 m 10 s (13 tries), nothing lost; waiting for jobs",
    ]);
  });

  test("what an outage has cost is told with its end", () => {
    const { link, job, messages } = telling();
    link(connected());
    link(lost());
    job({ kind: "logs-dropped", lines: 40 });
    link(connected(7, 22_000));
    expect(messages().at(-1)).toBe("INFO back after 22 s (7 tries), lost: 40 log lines; waiting for jobs");
  });

  test("debug has every try", () => {
    const { link, messages } = telling({ verbose: true });
    for (let index = 0; index < 3; index++) link(dialFailed());
    const words = "connect: ECONNREFUSED; retrying; outpost doctor tells what is in the way";
    expect(messages()).toEqual([`WARN ${words}`, `DEBUG ${words}`, `DEBUG ${words}`]);
  });

  test("a connection that is dropped again and again is two lines, then one pair a minute", async () => {
    const { clock, link, messages } = telling();
    for (let index = 0; index < 18; index++) {
      link(connected());
      await clock.advance(10_000);
      link(lost(10_000));
    }
    expect(messages().filter((message) => message.includes("connection lost"))).toHaveLength(3);
    expect(messages().length).toBeLessThanOrEqual(7);
  });

  test("acquires that fail on a good connection are told, as anything that repeats, until a minute without", async () => {
    const { clock, link, messages } = telling();
    link(connected());
    for (let index = 0; index < 90; index++) {
      link({ kind: "acquire-failed", why: "closed without a job" });
      await clock.advance(1_000);
    }
    await clock.advance(60_000);
    expect(messages().slice(1)).toEqual([
      "WARN ask for a job: closed without a job; asking again",
      expect.stringMatching(/^WARN ask for a job: closed without a job, for 1 m.* now \(\d+ tries\); asking again$/),
      expect.stringMatching(/^INFO asking for jobs works again, after 1 m \d+ s \(90 tries\)$/),
    ]);
    expect(clock.pending).toBe(1);
  });

  test("acquires that fail because the connection went are not told", async () => {
    const { clock, link, messages } = telling();
    link(connected());
    for (let slot = 0; slot < 4; slot++) link({ kind: "acquire-failed", why: "session closed" });
    link(lost());
    await clock.advance(120_000);
    link(connected(3, 120_000));
    expect(messages().join("\n")).not.toContain("ask");
  });

  test("a job is told when it begins and how it ended, with the time of each step", async () => {
    const { clock, tell, job, messages } = telling();
    tell({ kind: "job-began", job: buildHeader });
    job({ kind: "step-ended", step: "init", stage: "", ms: 1_200, ok: true });
    job({ kind: "step-ended", step: "apply", stage: "", ms: 37_400, ok: true });
    await clock.advance(41_000);
    job({ kind: "result", result: jobResult() });
    job({ kind: "result", result: jobResult({ status: "failed", error: "no quota\nmore", rescue: true }) });
    expect(messages()).toEqual([
      "INFO a1b2c3d4 start   alice/dev  k8s-dev v14",
      "INFO a1b2c3d4 succeeded in 41 s (init 1.2 apply 37.4)",
      "WARN a1b2c3d4 failed in 0 ms: no quota",
      expect.stringMatching(/^ERROR a1b2c3d4 its state was not taken/),
    ]);
  });

  test("after 15 minutes without a job, which jobs are taken is said once more", async () => {
    const idle = telling();
    idle.link(key({ region: "eu" }));
    expect(idle.messages()[0]).toContain("takes jobs whose tags are all in {region=eu}; no untagged jobs");
    await idle.clock.advance(14 * 60_000);
    expect(idle.lines).toHaveLength(1);
    await idle.clock.advance(120 * 60_000);
    expect(idle.messages().slice(1)).toEqual([
      "INFO no job in the first 15 minutes; takes jobs whose tags are all in {region=eu}; no untagged jobs: the key has tags",
    ]);

    const busy = telling();
    busy.link(key({}));
    busy.tell({ kind: "job-began", job: buildHeader });
    await busy.clock.advance(120 * 60_000);
    expect(busy.messages().join()).not.toContain("no job in");
  });
});

describe("lines of jobs in the agent's log", () => {
  const copied = (jobLogs: "errors" | "all" | "none" | undefined) => {
    const { job, told } = telling({ verbose: true, ...(jobLogs ? { jobLogs } : {}) });
    for (const level of [LogLevel.TRACE, LogLevel.DEBUG, LogLevel.INFO, LogLevel.WARN, LogLevel.ERROR])
      job({ kind: "log", line: line(level, `line of ${LogLevel[level]}`) });
    job({ kind: "log", line: line(LogLevel.INFO, "") });
    return told().map(({ level, logger, msg }) => `${level} ${logger} ${msg}`);
  };

  test("are copied at their own level under the logger runner when asked for", () => {
    expect(copied("all")).toEqual([
      "DEBUG runner a1b2c3d4 line of TRACE",
      "DEBUG runner a1b2c3d4 line of DEBUG",
      "INFO runner a1b2c3d4 line of INFO",
      "WARN runner a1b2c3d4 line of WARN",
      "ERROR runner a1b2c3d4 line of ERROR",
    ]);
  });

  test("are only errors by default, and none when switched off", () => {
    expect(copied(undefined)).toEqual(["ERROR runner a1b2c3d4 line of ERROR"]);
    expect(copied("errors")).toEqual(["ERROR runner a1b2c3d4 line of ERROR"]);
    expect(copied("none")).toEqual([]);
  });
});

test("02#86 no secret of a job stands in any log in any form at any level, in a metric or in a trace", async () => {
  const secrets = [
    "session-token-1",
    "oidc-token-22",
    "private-key-3",
    "github-token-4",
    "sensitive-5!",
    "agent-token-6",
  ];
  const acquired = buildJob({
    metadata: create(MetadataSchema, {
      workspaceOwnerSessionToken: "session-token-1",
      workspaceOwnerOidcAccessToken: "oidc-token-22",
      workspaceOwnerSshPrivateKey: "private-key-3",
      runningAgentAuthTokens: [{ agentId: "a", token: "agent-token-6" }],
    }),
    externalAuthProviders: [
      { $typeName: "provisioner.ExternalAuthProvider", id: "github", accessToken: "github-token-4" },
    ],
    variableValues: [{ $typeName: "provisioner.VariableValue", name: "s", value: "sensitive-5!", sensitive: true }],
  });
  const bench = new JobBench();
  const leak = (level: LogLevel) => `${LogLevel[level]} leaks ${secrets.join(" ")}`;
  bench.provisioner.onApply = async (stage) => {
    for (const level of [LogLevel.TRACE, LogLevel.DEBUG, LogLevel.INFO, LogLevel.WARN, LogLevel.ERROR])
      stage.log(leak(level), level);
    return { error: `apply failed with ${secrets.join("\n")}` };
  };
  const { clock } = bench;
  const registry = new Registry();
  const spans: Span[] = [];
  const listeners = [
    measure(registry, { clock, slots: 1, personalLabels: true, logLinesDropped: () => 0 }),
    tracer({ add: (span) => void spans.push(span), clock, randomHex: (bytes) => "ab".repeat(bytes) }),
  ];
  const logs: string[][] = [];
  for (const style of ["outpost", "coder"] as const)
    for (const form of ["outpost", "coder", "json", "stackdriver"] as const) {
      const { tell, lines } = telling({ style, form, verbose: true, jobLogs: "all", clock });
      listeners.push(tell);
      logs.push(lines);
    }
  const result = await runWithFacts(bench, acquired, (fact) => {
    for (const listen of listeners) listen(fact);
  });
  expect(result.status).toBe("failed");
  for (const lines of logs) {
    // The leaks were copied, so it is the masking that keeps them out.
    for (const level of ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"])
      expect(lines.join("\n")).toContain(`${level} leaks`);
  }
  const sinks = [...logs.flat(), registry.text(), encodeSpans(spans, {})].join("\n");
  expect(sinks).toContain("coderd_workspace_builds_total");
  expect(sinks).toContain('"name":"apply"');
  for (const secret of secrets) expect(sinks).not.toContain(secret);
});
