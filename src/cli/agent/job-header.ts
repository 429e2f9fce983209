import { WorkspaceTransition } from "../../gen/provisioner_pb.ts";
import type { AcquiredJob, AcquiredJob_WorkspaceBuild } from "../../gen/provisionerd_pb.ts";

/** A job in the words of whoever waits for it. Nothing in here is secret. */
export interface JobHeader {
  id: string;
  slot: number;
  /** import, dry-run, start, stop, delete. */
  kind: string;
  /** `owner/workspace` of a build; the user who asked otherwise. */
  forWhom: string;
  /** Template and version, where the control plane told. */
  template: string;
  userName: string;
  /** When the control plane made the job, in Unix milliseconds by its own clock; 0 where it didn't tell. */
  createdAt: number;
  /** The trace that the job belongs to, W3C header names in lower case; empty without tracing (spec/01 §6). */
  traceMetadata: Readonly<Record<string, string>>;
  /** A workspace build as logs and metrics name it. */
  build?: BuildHeader;
}

export interface BuildHeader {
  templateName: string;
  templateVersion: string;
  buildId: string;
  workspaceId: string;
  workspaceName: string;
  workspaceOwner: string;
  transition: "START" | "STOP" | "DESTROY";
}

export function jobHeader({ jobId, type, userName, createdAt, traceMetadata }: AcquiredJob, slot: number): JobHeader {
  const header = {
    id: jobId,
    slot,
    forWhom: userName,
    template: "",
    userName,
    createdAt: Number(createdAt),
    traceMetadata,
  };
  switch (type.case) {
    case "templateImport":
      return { ...header, kind: "import" };
    case "templateDryRun":
      return { ...header, kind: "dry-run" };
    case "workspaceBuild": {
      const build = buildHeader(type.value);
      const forWhom = `${build.workspaceOwner}/${build.workspaceName}`;
      const template = [build.templateName, build.templateVersion].filter(Boolean).join(" ");
      return { ...header, kind: words[build.transition], forWhom, template, build };
    }
    default:
      return { ...header, kind: "unknown" };
  }
}

const words: Record<BuildHeader["transition"], string> = { START: "start", STOP: "stop", DESTROY: "delete" };

function buildHeader({ workspaceBuildId, workspaceName, metadata }: AcquiredJob_WorkspaceBuild): BuildHeader {
  return {
    templateName: metadata?.templateName ?? "",
    templateVersion: metadata?.templateVersion ?? "",
    buildId: workspaceBuildId,
    workspaceId: metadata?.workspaceId ?? "",
    workspaceName: metadata?.workspaceName ?? workspaceName,
    workspaceOwner: metadata?.workspaceOwner ?? "",
    transition: transitionName(metadata?.workspaceTransition),
  };
}

function transitionName(transition: WorkspaceTransition | undefined): BuildHeader["transition"] {
  if (transition === WorkspaceTransition.STOP) return "STOP";
  return transition === WorkspaceTransition.DESTROY ? "DESTROY" : "START";
}
