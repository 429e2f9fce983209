import { versionText } from "../../contract/versions.ts";
import type { JobEvent } from "../../job/events.ts";
import type { LinkEvent } from "../../link/events.ts";
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

/** Our own way to tell: short, for whoever reads it at night. */
export const outpostVoice: Voice = {
  life,
  link,
  began: (job) => [
    {
      level: "info",
      logger: "job",
      message: `${short(job)} ${job.kind.padEnd(7)} ${job.forWhom}  ${job.template}`.trimEnd(),
      fields: where(job),
    },
  ],
  event: jobLines,
  copied: (job, { output, stage }, level) => ({
    level,
    logger: "runner",
    message: `${short(job)} ${output}`,
    fields: { ...where(job), stage },
  }),
};

const short = (job: JobHeader) => job.id.slice(0, 8);
const where = (job: JobHeader) => ({ id: job.id, slot: job.slot });
const seconds = (ms: number) => (ms / 1_000).toFixed(1);

function life(fact: LifeFact): Line[] {
  switch (fact.kind) {
    case "starting":
      if (fact.credential === "key") return [];
      return [{ level: "info", logger: "agent", message: `takes ${takenWords(fact.tags, "agent")}` }];
    case "serving":
      return [{ level: "info", logger: "agent", message: `${fact.what} on http://${fact.address}/` }];
    case "descending": {
      const words = {
        draining: "no new jobs",
        stopping: "interrupting jobs, their state is reported",
        killed: "ending jobs now",
      };
      const message = `${fact.signal}: ${words[fact.phase]}`;
      return [{ level: "info", logger: "drain", message, fields: { running: fact.running } }];
    }
    case "ended": {
      if (fact.clean) return [{ level: "info", logger: "drain", message: "drained: every job was reported" }];
      const message = "jobs were ended before they were reported; what they left is kept";
      return [{ level: "error", logger: "drain", message, fields: { folder: fact.workFolder } }];
    }
  }
}

function link(event: LinkEvent, news: LinkNews): Line[] {
  const line = (level: Line["level"], message: string, fields: Line["fields"] = {}): Line[] => [
    { level: news.kind === "said-before" ? "debug" : level, logger: "link", message, fields },
  ];
  const still = news.kind === "still" ? `, for ${age(news.lastsMs)} now (${news.tries} tries)` : "";
  switch (event.kind) {
    case "warning":
      return line("warn", event.message);
    case "connected": {
      const server = event.serverVersion ?? "an unknown version";
      const fields = { server, protocol: versionText(event.apiVersion), tries: event.tries };
      if (news.kind !== "back")
        return line("info", `connected in ${seconds(event.afterMs)} s, waiting for jobs`, fields);
      const lost = news.lost ? `lost: ${news.lost}` : "nothing lost";
      return line("info", `back after ${age(news.lastsMs)} (${news.tries} tries), ${lost}; waiting for jobs`, fields);
    }
    case "lost": {
      const why = event.why ?? "closed by the control plane";
      const times = news.kind === "still" ? `, ${news.tries} times in ${age(news.lastsMs)}` : "";
      return line("warn", `connection lost: ${why}${times}; jobs go on, their logs are held; retrying`);
    }
    case "dial-failed":
      return line(
        "warn",
        `connect: ${event.why}${still}; retrying${still ? "" : "; outpost doctor tells what is in the way"}`,
        {
          delay_ms: Math.round(event.delayMs),
        },
      );
    case "refused": {
      const { message, code, reason, cure } = event.error;
      const words = `${message} [${code}]${still}; not ready, retrying slowly`;
      return line("error", words, { cause: reason, cure });
    }
    case "going-away":
      return line("info", "the control plane asks to reconnect; running jobs go on");
    case "acquire-failed":
      if (news.kind === "back")
        return line("info", `asking for jobs works again, after ${age(news.lastsMs)} (${news.tries} tries)`);
      return line("warn", `ask for a job: ${event.why}${still}; asking again`);
    case "key": {
      const tags = Object.entries(event.details.tags).map(([key, value]) => `${key}=${value}`);
      const message = `key "${event.details.name}" accepted; takes ${takenWords(tags, "key")}`;
      return line("info", message, { organization: event.details.organizationId });
    }
  }
}

function jobLines(job: JobHeader, event: JobEvent, story: JobStory, nowMs: number): Line[] {
  const line = (level: Line["level"], words: string, more: Line["fields"] = {}): Line => ({
    level,
    logger: "job",
    message: `${short(job)} ${words}`,
    fields: { ...where(job), ...more },
  });
  switch (event.kind) {
    case "interrupted":
      return [line("warn", `interrupted: ${event.text}`, { reason: event.reason })];
    case "warning":
      return [line("warn", event.text)];
    case "logs-dropped":
      return [line("warn", `${event.lines} log lines dropped: the control plane does not take them`)];
    case "result": {
      const { status, error, rescue, unconfirmed } = event.result;
      const times = [...story.steps].map(([step, ms]) => `${step} ${seconds(ms)}`).join(" ");
      const level = status === "succeeded" ? "info" : status === "failed" ? "warn" : "error";
      const why = error ? `: ${error.split("\n")[0]}` : "";
      const took = `${age(nowMs - story.beganMs)}${times ? ` (${times})` : ""}`;
      const lines = [line(level, `${status} in ${took}${why}`)];
      if (rescue) {
        const words =
          "its state was not taken by the control plane and is kept in the work folder: a person must save it";
        lines.push(line("error", words));
      }
      if (unconfirmed) lines.push(line("error", `unconfirmed: ${unconfirmed}`));
      return lines;
    }
    case "step-began":
    case "step-ended":
    case "progress":
    case "update-answered":
    case "log":
      return [];
  }
}
