import type { JobEvent, JobLine, StepName } from "../../job/events.ts";
import type { LinkEvent } from "../../link/events.ts";
import type { Fields, Level } from "../../observe/log.ts";
import type { JobHeader } from "./job-header.ts";

/** What happens to the agent besides its facts: told by the command that runs it. */
export type LifeFact =
  | { kind: "starting"; name: string; credential: "key" | "psk" | "token"; tags: readonly string[] }
  | { kind: "serving"; what: "metrics"; address: string }
  | { kind: "descending"; signal: string; phase: "draining" | "stopping" | "killed"; running: number }
  | { kind: "ended"; clean: boolean; workFolder: string };

/** A line that is to be written. */
export interface Line {
  level: Level;
  logger: string;
  message: string;
  fields?: Fields;
}

/** What a job has been through so far: milliseconds for each step, since when on the monotonic clock, and what failed. */
export interface JobStory {
  beganMs: number;
  steps: Map<StepName, number>;
}

/** What a connection's event means after what was said before. */
export type LinkNews =
  | { kind: "said-before" }
  | { kind: "new" }
  | { kind: "still"; tries: number; lastsMs: number }
  | { kind: "back"; tries: number; lastsMs: number; lost: string };

/** One style of telling: ours, or that of Coder's daemon, whose lines people search for (spec/02 §6.2). */
export interface Voice {
  life(fact: LifeFact): Line[];
  link(event: LinkEvent, news: LinkNews): Line[];
  began(job: JobHeader): Line[];
  event(job: JobHeader, event: JobEvent, story: JobStory, nowMs: number): Line[];
  /** A line of the job's own log, which comes masked. */
  copied(job: JobHeader, line: JobLine, level: Level): Line;
}

/** Which jobs are taken, by the tags of a key or of the agent: a job's tags must all be among them, and tagged agents leave untagged jobs alone. */
export function takenWords(tags: readonly string[], whose: "key" | "agent"): string {
  const own = tags.filter((tag) => !/^(scope|owner)=/.test(tag));
  if (own.length === 0) return `untagged jobs only: the ${whose} has no tags`;
  return `jobs whose tags are all in {${own.join(", ")}}; no untagged jobs: the ${whose} has tags`;
}

/** `850 ms`, `22 s`, `3 m 20 s`, `2 h 5 m`. */
export function age(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 ? `${minutes} m ${seconds % 60} s` : `${minutes} m`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} m`;
}
