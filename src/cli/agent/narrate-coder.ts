import { stages } from "../../contract/stages.ts";
import type { JobEvent, JobLine } from "../../job/events.ts";
import type { LinkEvent } from "../../link/events.ts";
import type { Fields } from "../../observe/log.ts";
import type { JobHeader } from "./job-header.ts";
import {
  age,
  type JobStory,
  type LifeFact,
  type Line,
  type LinkNews,
  takenWords,
  type Voice,
} from "./narrate-voice.ts";

/** The lines of Coder's daemon that people search for, at their levels, with their fields (spec/02 §6.2); and few of ours. */
export const coderVoice: Voice = {
  life,
  link,
  began: (job) => [{ level: "debug", logger: "", message: "acquired job", fields: acquiredFields(job) }],
  event: jobLines,
  copied: (job, line, level) => ({
    level,
    logger: "runner",
    message: copiedMessage(line),
    fields: { level: level.toUpperCase(), output: line.output, ...runnerFields(job) },
  }),
};

function life(fact: LifeFact): Line[] {
  const line = (level: Line["level"], message: string, fields: Fields = {}): Line => ({
    level,
    logger: "",
    message,
    fields,
  });
  switch (fact.kind) {
    case "starting": {
      const { name, tags, credential } = fact;
      const lines = [line("info", "starting provisioner daemon", { tags: tagMap(tags), name })];
      if (credential === "psk") lines.push(line("info", "psk automatically sets tag scope=organization"));
      if (credential !== "key" && tags.length === 0)
        lines.push(line("info", "note: untagged provisioners can only pick up jobs from untagged templates"));
      return lines;
    }
    case "serving":
      return [
        line("info", "starting Prometheus endpoint", { address: fact.address }),
        line("info", "http server listening", { addr: fact.address, name: "prometheus" }),
      ];
    case "descending":
      return [line("info", "attempting graceful shutdown", { signal: fact.signal, running: fact.running })];
    case "ended": {
      const ended = fact.clean
        ? line("info", "gracefully shutdown")
        : line("warn", "graceful shutdown failed", { folder: fact.workFolder });
      return [ended, line("info", "closing provisionerd")];
    }
  }
}

function link(event: LinkEvent, news: LinkNews): Line[] {
  const age = news.kind === "still" || news.kind === "back" ? { tries: news.tries, after: ageOf(news) } : {};
  const line = (level: Line["level"], message: string, fields: Fields = {}): Line[] => [
    { level: news.kind === "said-before" ? "debug" : level, logger: "", message, fields: { ...fields, ...age } },
  ];
  switch (event.kind) {
    case "warning":
      return line("warn", event.message);
    case "connected":
      return line(
        "info",
        "successfully connected to coderd",
        news.kind === "back" ? { lost: news.lost || "nothing" } : {},
      );
    case "lost":
      return line("info", "connection to coderd closed", { error: event.why });
    case "dial-failed":
      return line("warn", "coderd client failed to dial", { error: event.why });
    case "refused": {
      const { message, code, cure } = event.error;
      return line("error", "not authorized to dial coderd", { error: message, code, cure });
    }
    case "going-away":
      return line("info", "the control plane asks to reconnect; running jobs go on");
    case "acquire-failed":
      if (news.kind === "back") return line("info", "acquiring jobs works again");
      return line("warn", "failed to acquire job, retrying", { error: event.why });
    case "key": {
      const tags = Object.entries(event.details.tags).map(([key, value]) => `${key}=${value}`);
      const set = tags.flatMap((tag) => line("info", `provisioner key auth automatically sets tag ${tag}`));
      return [...set, ...line("info", `key "${event.details.name}" accepted; takes ${takenWords(tags, "key")}`)];
    }
  }
}

const ageOf = ({ lastsMs }: { lastsMs: number }) => age(lastsMs);

function jobLines(job: JobHeader, event: JobEvent, story: JobStory, nowMs: number): Line[] {
  const line = (level: Line["level"], message: string, fields: Fields = {}): Line[] => [
    { level, logger: "runner", message, fields: { ...fields, ...runnerFields(job) } },
  ];
  switch (event.kind) {
    case "step-ended": {
      const told = steps[event.step];
      if (!told) return [];
      return event.ok ? (told.ok ? line("info", told.ok) : []) : line("warn", told.failed);
    }
    case "interrupted":
      return line("info", "attempting graceful cancellation", { reason: event.reason, error: event.text });
    case "warning":
      return line("warn", event.text);
    case "logs-dropped":
      return line("error", "flush queued logs", { dropped: event.lines });
    case "result": {
      const { status, error, rescue, unconfirmed } = event.result;
      const lines = unconfirmed
        ? line("error", error ? "sending FailJob failed" : "sending CompletedJob failed", { error: unconfirmed })
        : line(status === "succeeded" ? "info" : "warn", `job ${status}`, { error, took: age(nowMs - story.beganMs) });
      if (!rescue) return lines;
      return [
        ...lines,
        ...line("error", "state not taken by coderd is kept in the work folder: a person must save it"),
      ];
    }
    case "step-began":
    case "progress":
    case "update-answered":
    case "log":
      return [];
  }
}

const steps: Partial<Record<(JobEvent & { kind: "step-ended" })["step"], { ok?: string; failed: string }>> = {
  init: { failed: "init request failed" },
  plan: { ok: "plan request successful", failed: "plan request failed" },
  graph: { failed: "graph request failed" },
  apply: { ok: "apply successful", failed: "apply failed; updating state" },
};

const copies: Readonly<Record<string, string>> = {
  [stages.init]: "terraform initialization",
  [stages.plan]: "terraform planning",
  [stages.persistent]: "terraform planning",
  [stages.ephemeral]: "terraform planning",
  [stages.graph]: "terraform graphing",
  [stages.parse]: "parse job logged",
};

function copiedMessage({ stage }: JobLine): string {
  return copies[stage] ?? "workspace provisioner job logged";
}

function acquiredFields(job: JobHeader): Fields {
  return { initiator_username: job.userName, provisioner: "terraform", ...runnerFields(job) };
}

function runnerFields({ id, build }: JobHeader): Fields {
  if (!build) return { job_id: id };
  return {
    job_id: id,
    template_name: build.templateName,
    template_version: build.templateVersion,
    workspace_build_id: build.buildId,
    workspace_id: build.workspaceId,
    workspace_name: build.workspaceName,
    workspace_owner: build.workspaceOwner,
    workspace_transition: build.transition,
  };
}

function tagMap(tags: readonly string[]): Record<string, string> {
  return Object.fromEntries(tags.map((tag) => [tag.slice(0, tag.indexOf("=")), tag.slice(tag.indexOf("=") + 1)]));
}
