import type { ExternalAuthProvider, Metadata, RichParameterValue, VariableValue } from "../gen/provisioner_pb.ts";

export type JobKind = "import" | "dry-run" | "build";

/** What every terminal message needs to know: an unknown kind has no type of its own (spec/02 §2.8 B17). */
export interface JobIdentity {
  readonly id: string;
  readonly kind: JobKind | undefined;
}

interface JobBase {
  readonly id: string;
  /** Tar of the template. */
  readonly templateArchive: Uint8Array;
  readonly metadata: Metadata;
}

/** A template import: parse, and two plans. */
export interface ImportJob extends JobBase {
  readonly kind: "import";
  readonly userVariableValues: VariableValue[];
}

/** A template dry run: one plan; its metadata are those of spec/02 §2.4, defaults included. */
export interface DryRunJob extends JobBase {
  readonly kind: "dry-run";
  readonly variableValues: VariableValue[];
  readonly richParameterValues: RichParameterValue[];
}

/** A workspace build: start, stop or destroy. */
export interface BuildJob extends JobBase {
  readonly kind: "build";
  readonly logLevel: string;
  readonly state: Uint8Array;
  readonly variableValues: VariableValue[];
  readonly richParameterValues: RichParameterValue[];
  readonly previousParameterValues: RichParameterValue[];
  readonly externalAuthProviders: ExternalAuthProvider[];
}

export type Job = ImportJob | DryRunJob | BuildJob;
