import { clone, create } from "@bufbuild/protobuf";
import { type Metadata, MetadataSchema, WorkspaceTransition } from "../gen/provisioner_pb.ts";
import type { AcquiredJob } from "../gen/provisionerd_pb.ts";
import { JobError } from "../kit/errors.ts";
import type { Job, JobIdentity } from "./job.ts";

/** The one provisioner type that exists for us (spec/02 §1.4). */
const ourProvisioner = "terraform";

const kinds = { templateImport: "import", templateDryRun: "dry-run", workspaceBuild: "build" } as const;

/** What can be said about a job even if it can't be run. */
export function identityOf(acquired: AcquiredJob): JobIdentity {
  const { case: type } = acquired.type;
  return { id: acquired.jobId, kind: type && kinds[type] };
}

/**
 * Reads a job out of the control plane's message. Throws JobError for a provisioner or a type that is not ours
 * (02#9, 02#10). `random` yields [0, 1): a dry run without ids gets made-up ones.
 */
export function jobFromWire(acquired: AcquiredJob, random: () => number): Job {
  const { jobId: id, templateSourceArchive: templateArchive, type } = acquired;
  if (acquired.provisioner !== ourProvisioner) {
    const named = acquired.provisioner || "(empty)";
    throw new JobError(
      `failed to connect to provisioner: missing provisioner type ${named}: this agent has ${ourProvisioner}`,
    );
  }
  switch (type.case) {
    case "templateImport": {
      const { metadata = create(MetadataSchema), userVariableValues } = type.value;
      return { kind: "import", id, templateArchive, metadata, userVariableValues };
    }
    case "templateDryRun": {
      const { variableValues, richParameterValues } = type.value;
      const metadata = dryRunMetadata(type.value.metadata, acquired.userName, random);
      return { kind: "dry-run", id, templateArchive, metadata, variableValues, richParameterValues };
    }
    case "workspaceBuild": {
      const { metadata = create(MetadataSchema), logLevel, state } = type.value;
      const { variableValues, richParameterValues, previousParameterValues, externalAuthProviders } = type.value;
      return {
        kind: "build",
        id,
        templateArchive,
        metadata,
        logLevel,
        state,
        variableValues,
        richParameterValues,
        previousParameterValues,
        externalAuthProviders,
      };
    }
    default:
      throw new JobError("unknown job type: it is none of template import, template dry run, workspace build");
  }
}

/** The defaults of spec/02 §2.4. */
function dryRunMetadata(given: Metadata | undefined, userName: string, random: () => number): Metadata {
  const metadata = given ? clone(MetadataSchema, given) : create(MetadataSchema);
  metadata.workspaceTransition = WorkspaceTransition.START;
  metadata.coderUrl ||= "http://localhost:3000";
  metadata.workspaceName ||= "dryrun";
  metadata.workspaceOwner = userName || "dryrunner";
  metadata.workspaceId ||= randomUuid(random);
  metadata.workspaceOwnerId ||= randomUuid(random);
  return metadata;
}

/** A version 4 UUID. */
function randomUuid(random: () => number): string {
  return "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx".replace(/[xy]/g, (place) => {
    const nibble = Math.floor(random() * 16);
    return (place === "x" ? nibble : (nibble & 3) | 8).toString(16);
  });
}
