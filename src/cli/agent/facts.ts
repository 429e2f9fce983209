import type { CredentialSources } from "../../agent/job-credentials.ts";
import type { ChosenName } from "../../agent/name.ts";
import type { Engine } from "../../engine/find.ts";
import type { JobEvent } from "../../job/events.ts";
import type { Clock } from "../../kit/clock.ts";
import type { LinkEvent } from "../../link/events.ts";
import type { Folders } from "./folders.ts";
import type { JobHeader } from "./job-header.ts";

/** What happens in an agent, for logs, health and screens. */
export type AgentFact =
  /** `lane`: the name of the connection where each slot has its own. */
  | { kind: "link"; event: LinkEvent; lane?: string }
  | { kind: "cache-problem"; text: string }
  | { kind: "job-began"; job: JobHeader }
  | { kind: "job"; job: JobHeader; event: JobEvent };

export interface AgentSurroundings {
  environment: Readonly<Record<string, string | undefined>>;
  clock: Clock;
  random: () => number;
  version: string;
  /** Our own main file: what a worker is. */
  main: string;
  onFact: (fact: AgentFact) => void;
  onDownload: (receivedBytes: number, totalBytes: number | undefined) => void;
}

/** What an agent found out about itself before it connects. */
export interface AgentFacts {
  name: ChosenName;
  folders: Folders;
  engine: Engine;
  isolation: "process" | "none";
  /** What jobs may see of this machine. */
  credentials: CredentialSources;
}
