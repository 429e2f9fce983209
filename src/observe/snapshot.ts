/**
 * An agent at one moment, as `outpost status`, the status page and the support file show it. Plain data: it travels as
 * JSON. Times are Unix milliseconds, durations milliseconds; every list has a bound (`bounds`).
 */
export interface Snapshot {
  at: number;
  agent: AgentPart;
  /** Jobs are taken right now. */
  ready: boolean;
  /** Why they are not; empty when ready. */
  notReady: string[];
  /** running, paused, draining, stopping or killed. */
  phase: string;
  link: LinkPart;
  /** Undefined where the credential is no key, or before the control plane told. */
  key?: { name: string; ageMs?: number };
  slots: number;
  machine: MachineFigures;
  /** One per busy slot, by slot. */
  running: RunningJob[];
  /** Newest first. */
  ended: EndedJob[];
  today: Today;
  /** Newest first. */
  problems: Problem[];
  /** What waits for a person right now. */
  person: Problem[];
  /** Names of owners and workspaces, and what jobs said, were taken out. */
  namesHidden?: boolean;
}

/** Who we are, and how jobs are held: what does not change while the agent runs. */
export interface AgentPart {
  name: string;
  /** Name where it was set, id where the control plane told it. */
  organization: string;
  version: string;
  startedAt: number;
  isolation: string;
  engine: string;
  /** Which jobs the control plane hands us, in words. */
  takes: string;
  /** What jobs may see of this machine, in words. */
  jobsSee: string;
  stateFolder: string;
}

export interface LinkPart {
  url: string;
  /** idle, connecting, connected, refused or ended. */
  kind: string;
  since: number;
  server?: string;
  protocol?: string;
  lastError?: string;
  /** The last outage that is over. */
  lastLost?: { at: number; ms: number; tries: number };
}

/** What is used of what there is; undefined where nobody tells. */
export interface MachineFigures {
  /** CPUs, over the time since the last look. */
  cpu?: Figure;
  /** Bytes. */
  memory?: Figure;
  /** Bytes of providers that are kept. */
  cache?: Figure;
}

export interface Figure {
  used: number;
  of: number;
}

export interface Step {
  name: string;
  /** Undefined while it runs. */
  ms?: number;
  ok?: boolean;
}

export interface JobPart {
  id: string;
  /** import, dry-run, start, stop, delete. */
  kind: string;
  forWhom: string;
  template: string;
  startedAt: number;
  /** In the order in which they began. */
  steps: Step[];
}

export interface RunningJob extends JobPart {
  slot: number;
  /** Resources done, of those planned. */
  done?: number;
  total?: number;
  /** When it last said something. */
  heardAt: number;
  /** The last ones, oldest first. */
  lines: string[];
  /** Why it was interrupted. */
  interrupted?: string;
}

export interface EndedJob extends JobPart {
  endedAt: number;
  status: "succeeded" | "failed" | "unconfirmed";
  /** Who has to look: template, quota, canceled, stopped …; "" for a success. */
  blame: string;
  /** First line of the error. */
  reason: string;
}

/** Since midnight, local time. */
export interface Today {
  jobs: number;
  failed: number;
  /** Failed ones by blame. */
  byBlame: Record<string, number>;
  /** Of builds that succeeded; undefined without one. */
  p95BuildMs?: number;
}

export interface Problem {
  at: number;
  what: string;
  code?: string;
  cause?: string;
  cure?: string;
  /** The job that it is about. */
  job?: string;
  forWhom?: string;
}

/** What a snapshot holds at most: it is made every 2 s for each page that is open, and kept in memory for ever. */
export const bounds = {
  ended: 50,
  problems: 20,
  lines: 20,
  /** Of one text; a line of a job may be megabytes. */
  textChars: 300,
  /** Steps of one job: the longest pipeline has a dozen. */
  steps: 24,
} as const;

/** A text as it stands in a snapshot: one line, bounded. */
export function short(text: string): string {
  const line = text.split("\n", 1)[0] ?? "";
  return line.length > bounds.textChars ? `${line.slice(0, bounds.textChars - 1).toWellFormed()}…` : line;
}

/** The snapshot for who has not shown the token: without names of owners and workspaces, and without what may hold them, the words of jobs. */
export function withoutNames(snapshot: Snapshot): Snapshot {
  const hidden = { forWhom: "", template: "" };
  const problem = ({ forWhom: _, ...rest }: Problem): Problem =>
    rest.job === undefined ? rest : { at: rest.at, what: "about a job: hidden", job: rest.job };
  return {
    ...snapshot,
    running: snapshot.running.map(({ interrupted, ...job }) => ({
      ...job,
      ...hidden,
      lines: [],
      ...(interrupted ? { interrupted: "interrupted" } : {}),
    })),
    ended: snapshot.ended.map((job) => ({ ...job, ...hidden, reason: "" })),
    problems: snapshot.problems.map(problem),
    // The words that call for a person are ours, and nobody must miss them.
    person: snapshot.person.map(({ forWhom: _, ...rest }) => rest),
    namesHidden: true,
  };
}
