/** What happens in a template's life, as facts: a screen shows them, `--json` prints them, one per line. */
export type JobName = "import" | "plan" | "start" | "stop" | "delete";

/** A step of a job and how long it took in milliseconds. */
export interface StepTime {
  step: string;
  ms: number;
}

export interface Changes {
  made: number;
  changed: number;
  destroyed: number;
}

export type LifeEvent =
  | { kind: "ready"; lines: Array<{ what: string; text: string }> }
  | { kind: "job-started"; job: JobName }
  | { kind: "log"; job: JobName; stage: string; level: LogLevelName; text: string }
  | {
      kind: "job-ended";
      job: JobName;
      succeeded: boolean;
      ms: number;
      steps: StepTime[];
      /** Why it failed; absent when it succeeded. */
      error?: string;
      /** What an apply did; absent for an import. */
      changes?: Changes;
      /** Managed resources that the state still holds. */
      left?: number;
      stateBytes?: number;
      dailyCost?: number;
      /** Lines that show what the job found, for people. */
      details: string[];
    }
  | { kind: "warning"; text: string }
  | {
      kind: "finished";
      succeeded: boolean;
      jobs: number;
      ms: number;
      engineMs: number;
      /** Set when resources were made and could not be destroyed: where their state lies. */
      stateFile?: string;
    };

export type LogLevelName = "trace" | "debug" | "info" | "warn" | "error";

/** Short words for stages, as people see them beside each line. */
export function stageWord(stage: string): string {
  const words: Record<string, string> = {
    "Initializing Terraform Directory": "init",
    "Parse parameters": "parse",
    "Planning Infrastructure": "plan",
    "Detecting persistent resources": "plan",
    "Detecting ephemeral resources": "plan",
    "Graphing Infrastructure": "graph",
    "Starting workspace": "apply",
    "Stopping workspace": "apply",
    "Destroying workspace": "apply",
    "Commit quota": "quota",
  };
  return words[stage] ?? stage.toLowerCase();
}
