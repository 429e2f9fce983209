import { WorkspaceTransition } from "../../gen/provisioner_pb.ts";
import type { AcquiredJob } from "../../gen/provisionerd_pb.ts";

/** A job in the words of whoever waits for it. */
export interface JobHeader {
  id: string;
  slot: number;
  /** import, dry-run, start, stop, delete. */
  kind: string;
  /** `owner/workspace` of a build; the user who asked otherwise. */
  forWhom: string;
  /** Template and version, where the control plane told. */
  template: string;
}

export function jobHeader({ jobId, type, userName }: AcquiredJob, slot: number): JobHeader {
  const header = { id: jobId, slot, kind: "unknown", forWhom: userName, template: "" };
  switch (type.case) {
    case "templateImport":
      return { ...header, kind: "import" };
    case "templateDryRun":
      return { ...header, kind: "dry-run" };
    case "workspaceBuild": {
      const metadata = type.value.metadata;
      const forWhom = `${metadata?.workspaceOwner ?? ""}/${metadata?.workspaceName ?? type.value.workspaceName}`;
      const template = [metadata?.templateName, metadata?.templateVersion].filter(Boolean).join(" ");
      return { ...header, kind: transitionWord(metadata?.workspaceTransition), forWhom, template };
    }
    default:
      return header;
  }
}

function transitionWord(transition: WorkspaceTransition | undefined): string {
  if (transition === WorkspaceTransition.STOP) return "stop";
  return transition === WorkspaceTransition.DESTROY ? "delete" : "start";
}
