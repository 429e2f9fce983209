import type {
  AITask,
  ExternalAuthProviderResource,
  LogLevel,
  Module,
  PrebuiltWorkspaceBuildStage,
  Preset,
  Resource,
  ResourceReplacement,
  RichParameter,
  RichParameterValue,
  Role,
  TemplateVariable,
  Timing,
  VariableValue,
  WorkspaceTransition,
} from "../gen/provisioner_pb.ts";
import type { LogSource } from "../gen/provisionerd_pb.ts";

/** Key and value, neither with a NUL byte (spec/01 §1.9). */
export type Tags = Readonly<Record<string, string>>;

/** All times are Unix milliseconds, all ids lower-case UUID text unless a comment says otherwise. */
interface Row {
  readonly id: string;
}

export interface Organization extends Row {
  readonly name: string;
  readonly isDefault: boolean;
  readonly createdAt: number;
}

/** A provisioner key as it is kept: its secret is shown once, at creation (spec/01 §1.7). */
export interface ProvisionerKey extends Row {
  readonly organizationId: string;
  readonly name: string;
  /** Before completion. */
  readonly tags: Tags;
  /** SHA-256 of the key's ASCII bytes, in hex. */
  readonly hash: string;
  readonly createdAt: number;
}

export interface User extends Row {
  /** Unique; the name that jobs carry. */
  readonly name: string;
  readonly email: string;
  readonly fullName: string;
  readonly loginType: string;
  /** An admin may do everything; others may use their own things. */
  readonly admin: boolean;
  readonly groups: readonly string[];
  readonly roles: readonly Role[];
  readonly sshPublicKey: string;
  readonly sshPrivateKey: string;
  readonly oidcAccessToken: string;
  /** External auth provider id → access token. */
  readonly externalTokens: Readonly<Record<string, string>>;
  /** Organization id → daily credits. No entry: no quota engine for this owner (spec/01 §4.14). */
  readonly budgets: Readonly<Record<string, number>>;
}

/** A user's session token. Its id is the token's SHA-256 in hex. */
export interface SessionToken extends Row {
  readonly userId: string;
  /** The workspace that the token was made for; absent for a person's own. */
  readonly workspaceId?: string;
}

/** One row per organization, name and owner; its id is the worker id of jobs (spec/02 §5.1). */
export interface Daemon extends Row {
  readonly organizationId: string;
  readonly name: string;
  /** Lower-cased value of the tag `owner`. */
  readonly owner: string;
  readonly provisioners: readonly string[];
  /** Of the newest handshake; jobs are matched with the tags of their connection. */
  readonly tags: Tags;
  readonly version: string;
  readonly apiVersion: string;
  readonly keyId?: string | undefined;
  readonly createdAt: number;
  readonly lastSeenAt: number;
}

export interface Template extends Row {
  readonly organizationId: string;
  readonly name: string;
  /** Set once an import succeeded. */
  readonly activeVersionId?: string;
}

/** A template variable with the value that its version stored. */
export interface StoredVariable {
  readonly variable: TemplateVariable;
  readonly value: string;
}

export interface TemplateVersion extends Row {
  readonly organizationId: string;
  readonly templateId: string;
  readonly name: string;
  readonly jobId: string;
  /** Tar of the template. */
  readonly archive: Uint8Array;
  readonly readme: string;
  readonly variables: readonly StoredVariable[];
  /** Source texts, not values (spec/04 §7.4). */
  readonly workspaceTags: Tags;
  readonly parameters: readonly RichParameter[];
  readonly presets: readonly Preset[];
  readonly startResources: readonly Resource[];
  readonly stopResources: readonly Resource[];
  readonly startModules: readonly Module[];
  /** Only from agents up to API 1.14 (spec/01 §5.5). */
  readonly stopModules: readonly Module[];
  readonly externalAuth: readonly ExternalAuthProviderResource[];
  readonly hasAiTasks: boolean;
  readonly hasExternalAgents: boolean;
  /** The plan as JSON bytes; empty when none was stored. */
  readonly plan: Uint8Array;
  /** The cached module archive, an id in the table of files. */
  readonly moduleFileId?: string;
}

export interface Workspace extends Row {
  readonly organizationId: string;
  readonly ownerId: string;
  readonly templateId: string;
  readonly name: string;
  readonly deleted: boolean;
  readonly createdAt: number;
}

/** What a build knows of the task that it serves (spec/02 §5.4). */
export interface TaskOfBuild {
  readonly id: string;
  readonly prompt: string;
}

export interface Build extends Row {
  readonly workspaceId: string;
  /** 1 for the first build of the workspace. */
  readonly number: number;
  readonly versionId: string;
  readonly jobId: string;
  readonly transition: WorkspaceTransition;
  readonly parameters: readonly RichParameterValue[];
  readonly logLevel: "" | "debug";
  readonly prebuildStage: PrebuiltWorkspaceBuildStage;
  readonly task?: TaskOfBuild;
  /** Terraform state; empty when there is none. */
  readonly state: Uint8Array;
  readonly dailyCost: number;
  readonly resources: readonly Resource[];
  readonly modules: readonly Module[];
  readonly timings: readonly Timing[];
  readonly replacements: readonly ResourceReplacement[];
  readonly aiTasks: readonly AITask[];
  /** A later build of the workspace replaced its agents (spec/02 §5.7). */
  readonly agentsDeleted: boolean;
}

/** What a job is about. */
export type JobInput =
  | {
      readonly kind: "template_import";
      readonly versionId: string;
      readonly userVariableValues: readonly VariableValue[];
    }
  | {
      readonly kind: "template_dry_run";
      readonly versionId: string;
      readonly workspaceName: string;
      readonly parameters: readonly RichParameterValue[];
    }
  | { readonly kind: "workspace_build"; readonly buildId: string };

/** What a dry run found. */
export interface DryRunResult {
  readonly resources: readonly Resource[];
  readonly modules: readonly Module[];
}

export interface Job extends Row {
  readonly organizationId: string;
  readonly provisioner: string;
  readonly tags: Tags;
  readonly initiatorId: string;
  readonly initiatorName: string;
  readonly input: JobInput;
  readonly traceMetadata: Readonly<Record<string, string>>;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly startedAt?: number | undefined;
  readonly canceledAt?: number | undefined;
  readonly completedAt?: number | undefined;
  /** Daemon id of whoever runs it; stays after the end (spec/02 §5.11). */
  readonly workerId?: string | undefined;
  readonly error?: string | undefined;
  readonly errorCode?: string | undefined;
  /** SHA-256 of the CompletedJob that ended it, in hex: what makes a repetition recognisable. */
  readonly completedBy?: string | undefined;
  /** Bytes of log output as received (spec/02 §3.3). */
  readonly logsLength: number;
  readonly logsOverflowed: boolean;
  readonly dryRun?: DryRunResult | undefined;
}

/** One stored line; the list's order is the order of reading (spec/02 §3.3). */
export interface JobLog {
  readonly source: LogSource;
  readonly level: LogLevel;
  /** The daemon's clock. */
  readonly createdAt: number;
  readonly stage: string;
  readonly output: string;
}

/** A cached module archive. One row per content. */
export interface StoredFile extends Row {
  /** SHA-256 in hex. */
  readonly hash: string;
  readonly data: Uint8Array;
}

export type JobStatus = "pending" | "running" | "canceling" | "succeeded" | "failed" | "canceled";

/** The generated column of spec/02 §5.12. */
export function jobStatus(job: Pick<Job, "completedAt" | "error" | "canceledAt" | "startedAt">): JobStatus {
  if (job.error) return "failed";
  const canceled = job.canceledAt !== undefined;
  if (job.completedAt !== undefined) return canceled ? "canceled" : "succeeded";
  if (canceled) return "canceling";
  return job.startedAt === undefined ? "pending" : "running";
}
