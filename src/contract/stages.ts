import { LogLevel, WorkspaceTransition } from "../gen/provisioner_pb.ts";

/** Stage names: the UI groups log lines by them (spec/02 §2.1). */
export const stages = {
  settingUp: "Setting up",
  parsing: "Parsing template parameters",
  persistent: "Detecting persistent resources",
  ephemeral: "Detecting ephemeral resources",
  cleaningUp: "Cleaning Up",
  init: "Initializing Terraform Directory",
  parse: "Parse parameters",
  plan: "Planning Infrastructure",
  graph: "Graphing Infrastructure",
  quota: "Commit quota",
} as const;

/** The stage of an apply, by transition (spec/02 §2.5). */
export function applyStage(transition: WorkspaceTransition): string {
  switch (transition) {
    case WorkspaceTransition.STOP:
      return "Stopping workspace";
    case WorkspaceTransition.DESTROY:
      return "Destroying workspace";
    default:
      return "Starting workspace";
  }
}

/** A level by its name in any case; anything else, also empty, is TRACE: nothing is dropped (spec/03 §5.6). */
export function levelFromName(name: string): LogLevel {
  const level = (LogLevel as unknown as Record<string, LogLevel | string>)[name.toUpperCase()];
  return typeof level === "number" ? level : LogLevel.TRACE;
}
