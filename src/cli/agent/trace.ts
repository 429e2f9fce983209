import type { JobEvent, JobResult } from "../../job/events.ts";
import type { Clock } from "../../kit/clock.ts";
import type { Span } from "../../observe/trace-otlp.ts";
import type { AgentFact } from "./facts.ts";
import type { JobHeader } from "./job-header.ts";

export interface TraceOptions {
  /** Takes finished spans; see TraceExporter. */
  add: (span: Span) => void;
  clock: Clock;
  /** Random bytes in hex. */
  randomHex: (bytes: number) => string;
}

/** One job's trace while it runs. */
interface Running {
  root: Pick<Span, "traceId" | "spanId" | "parentSpanId" | "traceState">;
  startMs: number;
  beganMs: number;
  /** Where the last step ended: what comes after the last one is the report. */
  lastMs: number;
  prepared: boolean;
  step: { name: string; stage: string; startMs: number } | undefined;
}

/** A job that waited longer than this was not waiting, or its clock is not ours: the wait is left out. */
const maxWaitMs = 24 * 3_600_000;

/**
 * Makes one trace for each job: `acquire` (the wait since the control plane made the job), `prepare` (until the engine is asked
 * for anything), the steps under their own names, `report`. A job that brings a trace gets its spans there (spec/02 §1.4);
 * one that says it is not sampled gets none.
 */
export function tracer({ add, clock, randomHex }: TraceOptions): (fact: AgentFact) => void {
  const running = new Map<string, Running>();

  const begin = (job: JobHeader) => {
    const parent = parentOf(job.traceMetadata);
    if (parent && !parent.sampled) return;
    const beganMs = clock.now();
    const waitedMs = beganMs - job.createdAt;
    const startMs = job.createdAt > 0 && waitedMs > 0 && waitedMs < maxWaitMs ? job.createdAt : beganMs;
    const root = {
      traceId: parent?.traceId ?? randomHex(16),
      spanId: randomHex(8),
      parentSpanId: parent?.spanId,
      traceState: parent?.traceState,
    };
    const trace: Running = { root, startMs, beganMs, lastMs: beganMs, prepared: false, step: undefined };
    running.set(job.id, trace);
    child(trace, "acquire", startMs, beganMs);
  };

  const child = ({ root }: Running, name: string, startMs: number, endMs: number, more: Partial<Span> = {}) => {
    const { traceId, spanId: parentSpanId, traceState } = root;
    add({ traceId, spanId: randomHex(8), parentSpanId, traceState, name, startMs, endMs, attributes: {}, ...more });
  };

  /** The preparation is over when the first step of the engine begins, or the job ends without one. */
  const prepared = (trace: Running, atMs: number, failed: string | undefined) => {
    if (trace.prepared) return;
    trace.prepared = true;
    trace.lastMs = atMs;
    child(trace, "prepare", trace.beganMs, atMs, { error: failed });
  };

  const tellJob = (job: JobHeader, event: JobEvent) => {
    const trace = running.get(job.id);
    if (!trace) return;
    const nowMs = clock.now();
    switch (event.kind) {
      case "step-began":
        if (event.step === "open" || event.step === "download") return;
        prepared(trace, nowMs, undefined);
        trace.step = { name: event.step, stage: event.stage, startMs: nowMs };
        break;
      case "step-ended": {
        if (!event.ok && !trace.step) prepared(trace, nowMs, `${event.step} failed`);
        trace.lastMs = nowMs;
        if (!trace.step) return;
        const { name, stage, startMs } = trace.step;
        trace.step = undefined;
        child(trace, name, startMs, nowMs, { attributes: { stage }, error: event.ok ? undefined : `${name} failed` });
        break;
      }
      case "result":
        running.delete(job.id);
        prepared(trace, trace.lastMs, undefined);
        finish(trace, job, event.result, nowMs);
        break;
    }
  };

  const finish = (trace: Running, job: JobHeader, { status, error, unconfirmed }: JobResult, endMs: number) => {
    child(trace, "report", trace.lastMs, endMs, { error: unconfirmed });
    const why = status === "succeeded" ? undefined : (unconfirmed ?? error ?? status).split("\n")[0];
    add({
      ...trace.root,
      name: `job ${job.kind}`,
      startMs: trace.startMs,
      endMs,
      attributes: attributesOf(job, status),
      error: why,
    });
  };

  return (fact) => {
    if (fact.kind === "job-began") begin(fact.job);
    else if (fact.kind === "job") tellJob(fact.job, fact.event);
  };
}

function attributesOf({ id, slot, kind, build }: JobHeader, status: string): Span["attributes"] {
  const job = { "job.id": id, "job.kind": kind, "job.status": status, "outpost.slot": slot };
  if (!build) return job;
  return {
    ...job,
    "template.name": build.templateName,
    "template.version": build.templateVersion,
    "workspace.build.id": build.buildId,
    "workspace.id": build.workspaceId,
    "workspace.transition": build.transition,
  };
}

interface Parent {
  traceId: string;
  spanId: string;
  sampled: boolean;
  traceState: string | undefined;
}

/** W3C trace context; undefined for what is none, and then the job gets a trace of its own. */
function parentOf({ traceparent = "", tracestate }: Readonly<Record<string, string>>): Parent | undefined {
  const match = /^(?!ff)[\da-f]{2}-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})(?:-|$)/.exec(traceparent);
  if (!match) return undefined;
  const [, traceId = "", spanId = "", flags = ""] = match;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1, traceState: tracestate };
}
