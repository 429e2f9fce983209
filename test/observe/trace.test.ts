import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { JobHeader } from "../../src/cli/agent/job-header.ts";
import { tracer } from "../../src/cli/agent/trace.ts";
import type { JobEvent } from "../../src/job/events.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import { TraceExporter } from "../../src/observe/trace.ts";
import { encodeSpans, type Span } from "../../src/observe/trace-otlp.ts";
import { traceSettings } from "../../src/observe/trace-settings.ts";
import { buildHeader, jobResult, runWithFacts } from "../support/agent-facts.ts";
import { importJob, JobBench } from "../support/job-harness.ts";

const span = (name: string): Span => ({
  traceId: "0af7651916cd43dd8448eb211c80319c",
  spanId: "b7ad6b7169203331",
  name,
  startMs: 1_764_000_000_000,
  endMs: 1_764_000_001_500,
  attributes: {},
});

describe("a job's trace", () => {
  function tracing() {
    const clock = new FakeClock();
    const spans: Span[] = [];
    let count = 0;
    const randomHex = (bytes: number) => (++count).toString(16).padStart(bytes * 2, "0");
    const tell = tracer({ add: (each) => void spans.push(each), clock, randomHex });
    const event = (job: JobHeader, each: JobEvent) => tell({ kind: "job", job, event: each });
    const step = async (job: JobHeader, name: "open" | "init" | "plan" | "apply" | "graph", ms: number, ok = true) => {
      event(job, { kind: "step-began", step: name, stage: "a stage" });
      await clock.advance(ms);
      event(job, { kind: "step-ended", step: name, stage: "a stage", ms, ok });
    };
    return { clock, spans, tell, event, step };
  }

  test("has acquire, prepare, each step and report, one after the other under the job", async () => {
    const { clock, spans, tell, event, step } = tracing();
    const job = { ...buildHeader, createdAt: clock.now() - 3_000 };
    const began = clock.now();
    tell({ kind: "job-began", job });
    await clock.advance(50);
    await step(job, "open", 150);
    await step(job, "init", 1_000);
    await step(job, "plan", 2_000);
    await step(job, "apply", 30_000);
    await step(job, "graph", 500);
    await clock.advance(300);
    event(job, { kind: "result", result: jobResult() });
    const told = spans.map(({ name, startMs, endMs }) => [name, startMs - began, endMs - began]);
    expect(told).toEqual([
      ["acquire", -3_000, 0],
      ["prepare", 0, 200],
      ["init", 200, 1_200],
      ["plan", 1_200, 3_200],
      ["apply", 3_200, 33_200],
      ["graph", 33_200, 33_700],
      ["report", 33_700, 34_000],
      ["job start", -3_000, 34_000],
    ]);
    const root = spans.at(-1);
    expect(root?.attributes).toMatchObject({ "job.id": job.id, "job.status": "succeeded", "template.name": "k8s-dev" });
    for (const each of spans.slice(0, -1)) {
      expect([each.traceId, each.parentSpanId]).toEqual([root?.traceId, root?.spanId]);
      expect(each.error).toBeUndefined();
    }
    expect(root?.parentSpanId).toBeUndefined();
    expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(spans.length);
  });

  test("joins the trace that the job came with, unless that is not sampled", () => {
    const { spans, tell, event } = tracing();
    const [traceId, parent] = ["0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"];
    const job = { ...buildHeader, traceMetadata: { traceparent: `00-${traceId}-${parent}-01`, tracestate: "a=b" } };
    tell({ kind: "job-began", job });
    event(job, { kind: "result", result: jobResult({ status: "failed", error: "no quota\nsecond line" }) });
    const root = spans.at(-1);
    expect(root).toMatchObject({ traceId, parentSpanId: parent, traceState: "a=b", error: "no quota" });
    expect(spans.every((each) => each.traceId === traceId)).toBe(true);

    const silent = { ...job, traceMetadata: { traceparent: `00-${traceId}-${parent}-00` } };
    const before = spans.length;
    tell({ kind: "job-began", job: silent });
    event(silent, { kind: "result", result: jobResult() });
    expect(spans).toHaveLength(before);
  });

  test.each(["", "garbage", `00-${"0".repeat(32)}-b7ad6b7169203331-01`, `ff-${"a".repeat(32)}-b7ad6b7169203331-01`])(
    "is its own when the job came with %j",
    (traceparent) => {
      const { spans, tell, event } = tracing();
      const job = { ...buildHeader, traceMetadata: { traceparent } };
      tell({ kind: "job-began", job });
      event(job, { kind: "result", result: jobResult() });
      expect(spans.at(-1)?.parentSpanId).toBeUndefined();
      expect(spans.at(-1)?.traceId).toMatch(/^[\da-f]{32}$/);
    },
  );

  test("of a real job has no gap between preparation and report, and nothing left over", async () => {
    const bench = new JobBench();
    bench.provisioner.onInit = async (stage) => {
      await stage.until(bench.clock.sleep(2_000, new AbortController().signal));
      return {};
    };
    const spans: Span[] = [];
    let count = 0;
    const randomHex = (bytes: number) => (++count).toString(16).padStart(bytes * 2, "0");
    await runWithFacts(
      bench,
      importJob(),
      tracer({ add: (each) => void spans.push(each), clock: bench.clock, randomHex }),
    );
    const names = spans.map(({ name }) => name);
    expect(names.slice(0, 4)).toEqual(["acquire", "prepare", "init", "parse"]);
    expect(names.slice(-2)).toEqual(["report", "job import"]);
    const steps = spans.slice(0, -1);
    for (const [index, each] of steps.entries()) {
      const next = steps[index + 1];
      if (next) expect(next.startMs).toBeGreaterThanOrEqual(each.endMs);
    }
  });
});

test("a span in OTLP's JSON", () => {
  const full: Span = {
    ...span("apply"),
    parentSpanId: "00f067aa0ba902b7",
    traceState: "a=b",
    attributes: { "job.id": "a1", slot: 3, share: 0.5, last: true },
    error: "apply failed",
  };
  expect(JSON.parse(encodeSpans([full], { "service.name": "outpost" }))).toEqual({
    resourceSpans: [
      {
        resource: { attributes: [{ key: "service.name", value: { stringValue: "outpost" } }] },
        scopeSpans: [
          {
            scope: { name: "outpost" },
            spans: [
              {
                traceId: "0af7651916cd43dd8448eb211c80319c",
                spanId: "b7ad6b7169203331",
                parentSpanId: "00f067aa0ba902b7",
                traceState: "a=b",
                name: "apply",
                kind: 1,
                startTimeUnixNano: "1764000000000000000",
                endTimeUnixNano: "1764000001500000000",
                attributes: [
                  { key: "job.id", value: { stringValue: "a1" } },
                  { key: "slot", value: { intValue: "3" } },
                  { key: "share", value: { doubleValue: 0.5 } },
                  { key: "last", value: { boolValue: true } },
                ],
                status: { code: 2, message: "apply failed" },
              },
            ],
          },
        ],
      },
    ],
  });
});

describe("OpenTelemetry's variables", () => {
  test("switch traces on, say where to, with what and as whom", () => {
    const settings = traceSettings({
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318/base/",
      OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20tok,x = 1",
      OTEL_EXPORTER_OTLP_TIMEOUT: "2500",
      OTEL_RESOURCE_ATTRIBUTES: "deployment.environment=prod,service.name=not-this",
      OTEL_SERVICE_NAME: "agent-eu",
    });
    expect(settings?.endpoint.href).toBe("http://collector:4318/base/v1/traces");
    expect(settings?.headers.reveal()).toEqual({ authorization: "Bearer tok", x: "1" });
    expect(JSON.stringify(settings)).not.toContain("tok,");
    expect(settings).toMatchObject({
      timeoutMs: 2_500,
      resource: { "deployment.environment": "prod", "service.name": "agent-eu" },
    });
  });

  test("those of traces win, and their endpoint stands for itself", () => {
    const settings = traceSettings({
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://other",
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "https://collector/own",
      OTEL_EXPORTER_OTLP_TRACES_HEADERS: "a=1",
      OTEL_EXPORTER_OTLP_HEADERS: "b=2",
    });
    expect(settings?.endpoint.href).toBe("https://collector/own");
    expect(settings?.headers.reveal()).toEqual({ a: "1" });
    expect(settings).toMatchObject({ timeoutMs: 10_000, resource: { "service.name": "outpost" } });
  });

  test("without an endpoint, or switched off, there are no traces; a bad one is an error", () => {
    expect(traceSettings({})).toBeUndefined();
    const OTEL_EXPORTER_OTLP_ENDPOINT = "http://collector";
    expect(traceSettings({ OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SDK_DISABLED: "true" })).toBeUndefined();
    expect(traceSettings({ OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_EXPORTER: "none" })).toBeUndefined();
    expect(() => traceSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4317" })).toThrow(
      /OTEL_EXPORTER_OTLP_ENDPOINT/,
    );
  });
});

describe("the exporter", () => {
  interface Request {
    path: string;
    headers: Record<string, unknown>;
    names: string[];
  }
  let server: Server;
  let requests: Request[];
  /** Answers in order; then 200. "hang" never answers. */
  let answers: Array<{ status: number; body?: string } | "hang">;
  let arrived: () => void;
  beforeEach(async () => {
    requests = [];
    answers = [];
    arrived = () => undefined;
    server = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk) => {
        body += chunk;
      });
      request.on("end", () => {
        const spans: Span[] = JSON.parse(body).resourceSpans[0].scopeSpans[0].spans;
        const names = spans.map(({ name }) => name);
        requests.push({ path: request.url ?? "", headers: request.headers, names });
        const answer = answers.shift() ?? { status: 200 };
        if (answer !== "hang") response.writeHead(answer.status).end(answer.body ?? "{}");
        arrived();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  function exporting() {
    const clock = new FakeClock();
    const problems: string[] = [];
    let troubled: () => void = () => undefined;
    const trouble = new Promise<void>((resolve) => {
      troubled = resolve;
    });
    const settings = traceSettings({
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20tok",
    });
    if (!settings) throw new Error("no settings");
    const exporter = new TraceExporter(settings, clock, (text) => {
      problems.push(text);
      troubled();
    });
    /** Resolves when this many requests have come in all. */
    const until = async (count: number) => {
      while (requests.length < count)
        await new Promise<void>((resolve) => {
          arrived = resolve;
        });
    };
    return { clock, exporter, problems, trouble, until };
  }

  test("sends what came in five seconds as one request, with the headers", async () => {
    const { clock, exporter, until } = exporting();
    exporter.add(span("a"));
    await clock.advance(4_900);
    exporter.add(span("b"));
    expect(requests).toEqual([]);
    await clock.advance(100);
    await until(1);
    expect(requests[0]).toMatchObject({
      path: "/v1/traces",
      names: ["a", "b"],
      headers: { authorization: "Bearer tok", "content-type": "application/json" },
    });
    await exporter.close();
    expect(requests).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });

  test("sends a full batch at once, and the rest at the end", async () => {
    const { exporter, until } = exporting();
    for (let index = 0; index < 600; index++) exporter.add(span(String(index)));
    await until(1);
    await exporter.close();
    expect(requests.map(({ names }) => names.length)).toEqual([512, 88]);
    expect(requests.flatMap(({ names }) => names)).toEqual(Array.from({ length: 600 }, (_, index) => String(index)));
    expect(exporter.dropped).toBe(0);
  });

  test("holds 2,048 spans for a collector that is away, counts the others, and tells it once", async () => {
    const { clock, exporter, problems, trouble, until } = exporting();
    answers = [{ status: 503 }, { status: 503 }];
    exporter.add(span("first"));
    await clock.advance(5_000);
    await trouble;
    await clock.advance(0);
    for (let index = 0; index < 3_000; index++) exporter.add(span(String(index)));
    expect(exporter.dropped).toBe(953);
    await until(2);
    await exporter.close();
    expect(requests.slice(2).flatMap(({ names }) => names)).toHaveLength(2_048);
    expect(problems).toEqual([expect.stringMatching(/^send traces to 127\.0\.0\.1:\d+: HTTP 503/)]);
    expect(problems.join()).not.toContain("tok");
  });

  test("drops and counts what a collector refuses, wholly or in part", async () => {
    const { exporter, problems } = exporting();
    answers = [{ status: 400 }];
    exporter.add(span("a"));
    await exporter.close();
    expect(exporter.dropped).toBe(1);
    const partly = exporting();
    answers = [{ status: 200, body: '{"partialSuccess":{"rejectedSpans":"2"}}' }];
    for (const name of ["a", "b", "c"]) partly.exporter.add(span(name));
    await partly.exporter.close();
    expect(partly.exporter.dropped).toBe(2);
    expect(problems).toEqual([expect.stringContaining("HTTP 400")]);
  });

  test("ends in its time whatever the collector does, also with a request under way", async () => {
    const { clock, exporter, until } = exporting();
    answers = ["hang"];
    exporter.add(span("a"));
    await clock.advance(5_000);
    await until(1);
    exporter.add(span("b"));
    const closed = exporter.close(3_000);
    await clock.advance(3_000);
    await closed;
    expect(exporter.dropped).toBe(2);
    expect(clock.pending).toBe(0);
  });
});
