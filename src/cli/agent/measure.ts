import type { JobEvent, JobResult, StepName } from "../../job/events.ts";
import type { Clock } from "../../kit/clock.ts";
import type { Registry } from "../../observe/metrics.ts";
import type { AgentFact } from "./facts.ts";
import type { JobHeader } from "./job-header.ts";

export interface MeasureOptions {
  clock: Clock;
  slots: number;
  /** Owners and workspaces as labels: personal data, and a series for each workspace. Else these labels are empty. */
  personalLabels: boolean;
  /** What the agent's own log lost; see OpenLog. */
  logLinesDropped: () => number;
}

interface Running {
  /** Monotonic milliseconds: when it began, and when an update was last answered. */
  beganMs: number;
  answeredMs: number;
  waitingLines: number;
  step: StepName | undefined;
}

const provisioner = "terraform";
const steps = [
  "open",
  "download",
  "init",
  "parse",
  "variables",
  "plan",
  "quota",
  "apply",
  "graph",
  "report",
] as const satisfies readonly StepName[];

/** Counts an agent's facts: Coder's five metrics with their labels and buckets (spec/02 §6.3), and ours under `outpost_`. */
export function measure(registry: Registry, options: MeasureOptions): (fact: AgentFact) => void {
  const coder = coderMetrics(registry, options.personalLabels);
  const own = ownMetrics(registry, options);
  const running = new Map<string, Running>();
  registry.ask("gauge", "outpost_slots_busy", "Slots that run a job.", () => running.size);
  registry.ask("gauge", "outpost_update_queue_lines", "Lines of jobs that wait to be sent.", () =>
    [...running.values()].reduce((sum, { waitingLines }) => sum + waitingLines, 0),
  );
  registry.ask(
    "gauge",
    "outpost_heartbeat_age_seconds",
    "Time since the last answered update, of the running job for which it is longest; 0 without jobs.",
    () => {
      const nowMs = options.clock.monotonic();
      return Math.max(0, ...[...running.values()].map(({ answeredMs }) => nowMs - answeredMs)) / 1_000;
    },
  );

  const moveTo = (job: Running, step: StepName | undefined) => {
    if (job.step) own.stage.add({ stage: job.step }, -1);
    if (step) own.stage.add({ stage: step }, 1);
    job.step = step;
  };
  const tellJob = (header: JobHeader, event: JobEvent) => {
    const job = running.get(header.id);
    if (!job) return;
    switch (event.kind) {
      case "step-began":
        moveTo(job, event.step);
        break;
      case "step-ended":
        moveTo(job, undefined);
        break;
      case "log":
        job.waitingLines++;
        break;
      case "logs-dropped":
        own.dropped.add({}, event.lines);
        job.waitingLines = Math.max(0, job.waitingLines - event.lines);
        break;
      case "update-answered":
        job.waitingLines = event.waitingLines;
        job.answeredMs = options.clock.monotonic();
        break;
      case "result":
        moveTo(job, undefined);
        running.delete(header.id);
        own.ended(event.result);
        coder.ended(header, event.result, (options.clock.monotonic() - job.beganMs) / 1_000);
        break;
    }
  };

  return (fact) => {
    if (fact.kind === "link") own.link(fact.event);
    else if (fact.kind === "job-began") {
      const nowMs = options.clock.monotonic();
      running.set(fact.job.id, { beganMs: nowMs, answeredMs: nowMs, waitingLines: 0, step: undefined });
      coder.current.add({ provisioner }, 1);
    } else if (fact.kind === "job") tellJob(fact.job, fact.event);
  };
}

function coderMetrics(registry: Registry, personalLabels: boolean) {
  const current = registry.gauge("coderd_provisionerd_jobs_current", "Jobs that run now.", ["provisioner"]);
  current.set({ provisioner }, 0);
  registry.ask("gauge", "coderd_provisionerd_num_daemons", "Provisioner daemons of this process.", () => 1);
  const timings = registry.histogram("coderd_provisionerd_job_timings_seconds", "How long jobs took.", [
    "provisioner",
    "status",
  ]);
  const builds = registry.counter("coderd_workspace_builds_total", "Workspace builds that ended.", [
    "workspace_owner",
    "workspace_name",
    "template_name",
    "template_version",
    "workspace_transition",
    "status",
  ]);
  const buildTimings = registry.histogram(
    "coderd_provisionerd_workspace_build_timings_seconds",
    "How long workspace builds took.",
    ["template_name", "template_version", "workspace_transition", "status"],
  );
  const ended = (job: JobHeader, result: JobResult, seconds: number) => {
    // Only what the control plane took counts as success (W27).
    const status = result.status === "succeeded" ? "success" : "failed";
    current.add({ provisioner }, -1);
    timings.observe({ provisioner, status }, seconds);
    const { build } = job;
    if (!build) return;
    const labels = {
      template_name: build.templateName,
      template_version: build.templateVersion,
      workspace_transition: build.transition,
      status,
    };
    buildTimings.observe(labels, seconds);
    const personal = personalLabels
      ? { workspace_owner: build.workspaceOwner, workspace_name: build.workspaceName }
      : { workspace_owner: "", workspace_name: "" };
    builds.add({ ...personal, ...labels });
  };
  return { current, ended };
}

function ownMetrics(registry: Registry, { slots, logLinesDropped }: MeasureOptions) {
  let connected = false;
  let everConnected = false;
  const bound = (value: number) => () => value;
  registry.ask("gauge", "outpost_connected", "1 while there is a connection to the control plane.", () =>
    Number(connected),
  );
  registry.ask("gauge", "outpost_slots", "Jobs that may run at the same time.", bound(slots));
  const stage = registry.gauge("outpost_jobs_in_stage", "Running jobs by the step they are in.", ["stage"]);
  for (const step of steps) stage.set({ stage: step }, 0);
  const dropped = registry.counter("outpost_job_log_lines_dropped_total", "Lines of jobs that were not delivered.", []);
  dropped.add({}, 0);
  registry.ask(
    "counter",
    "outpost_log_lines_dropped_total",
    "Lines of the agent's own log that were lost.",
    logLinesDropped,
  );
  const reconnects = registry.counter("outpost_reconnects_total", "Connections after the first.", []);
  reconnects.add({}, 0);
  const rescue = registry.gauge(
    "outpost_rescue_needed",
    "Jobs since the start whose state the control plane did not take: a person must save it.",
    [],
  );
  rescue.set({}, 0);
  const unconfirmed = registry.counter("outpost_jobs_unconfirmed_total", "Jobs whose result may not have arrived.", []);
  unconfirmed.add({}, 0);
  let longestGapMs = 0;
  registry.ask(
    "gauge",
    "outpost_longest_gap_seconds",
    "Longest time between two answered updates of a job.",
    () => longestGapMs / 1_000,
  );
  return {
    stage,
    dropped,
    link: (event: (AgentFact & { kind: "link" })["event"]) => {
      if (event.kind === "lost") connected = false;
      if (event.kind !== "connected") return;
      if (everConnected) reconnects.add({});
      connected = true;
      everConnected = true;
    },
    ended: (result: JobResult) => {
      longestGapMs = Math.max(longestGapMs, result.longestGapMs);
      if (result.rescue) rescue.add({}, 1);
      if (result.status === "unconfirmed") unconfirmed.add({});
    },
  };
}
