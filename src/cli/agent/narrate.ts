import { LogLevel } from "../../gen/provisioner_pb.ts";
import type { JobEvent } from "../../job/events.ts";
import { type Clock, systemClock } from "../../kit/clock.ts";
import type { Level, Log } from "../../observe/log.ts";
import type { AgentFact } from "./facts.ts";
import type { JobHeader } from "./job-header.ts";
import { coderVoice } from "./narrate-coder.ts";
import { LinkStory } from "./narrate-link.ts";
import { outpostVoice } from "./narrate-outpost.ts";
import { type JobStory, type LifeFact, type Line, takenWords } from "./narrate-voice.ts";

export interface NarrateOptions {
  /** Which lines of jobs are copied into the agent's log (W22: by default only errors). */
  jobLogs?: "errors" | "all" | "none";
  clock?: Clock;
}

/** An agent that has had no job for so long may be waiting for tags that no job has: it says once more what it takes. */
const idleMs = 15 * 60_000;

/** Tells an agent's facts to its log: one line per thing that an operator wants to know. Debug has every try of a failure that repeats. */
export function narrator(
  log: Log,
  style: "outpost" | "coder" = "outpost",
  { jobLogs = "errors", clock = systemClock }: NarrateOptions = {},
): (fact: AgentFact | LifeFact) => void {
  const voice = style === "coder" ? coderVoice : outpostVoice;
  const say = ({ level, logger, message, fields }: Line) => log.write(level, logger, message, fields);
  const stories = new Map<string, JobStory>();
  const link = new LinkStory(clock, (event, news) => voice.link(event, news).forEach(say));
  let takes: string | undefined;
  const idle = clock.after(idleMs, () => {
    if (takes) log.write("info", style === "coder" ? "" : "link", `no job in the first 15 minutes; takes ${takes}`);
  });

  const tellJob = (job: JobHeader, event: JobEvent) => {
    const story = stories.get(job.id) ?? { beganMs: clock.monotonic(), steps: new Map() };
    if (event.kind === "step-ended") story.steps.set(event.step, (story.steps.get(event.step) ?? 0) + event.ms);
    if (event.kind === "result") stories.delete(job.id);
    if (event.kind === "logs-dropped") link.losses.lines += event.lines;
    if (event.kind === "result" && event.result.status === "unconfirmed") link.losses.results++;
    if (event.kind === "log") {
      const level = levels[event.line.level] ?? "debug";
      const wanted = jobLogs === "all" || (jobLogs === "errors" && level === "error");
      if (wanted && event.line.output) say(voice.copied(job, event.line, level));
    }
    voice.event(job, event, story, clock.monotonic()).forEach(say);
  };

  return (fact) => {
    switch (fact.kind) {
      case "link":
        if (fact.event.kind === "key") takes = takenWords(Object.entries(fact.event.details.tags).map(pair), "key");
        link.tell(fact.event);
        break;
      case "cache-problem":
        log.write("warn", "cache", fact.text);
        break;
      case "job-began":
        idle[Symbol.dispose]();
        link.gotJob();
        stories.set(fact.job.id, { beganMs: clock.monotonic(), steps: new Map() });
        voice.began(fact.job).forEach(say);
        break;
      case "job":
        tellJob(fact.job, fact.event);
        break;
      default:
        // What a key takes is in the key, which only the control plane can read.
        if (fact.kind === "starting" && fact.credential !== "key") takes = takenWords(fact.tags, "agent");
        voice.life(fact).forEach(say);
    }
  };
}

const levels: Partial<Record<LogLevel, Level>> = {
  [LogLevel.INFO]: "info",
  [LogLevel.WARN]: "warn",
  [LogLevel.ERROR]: "error",
};

const pair = ([key, value]: [string, string]) => `${key}=${value}`;
