import type { Metadata, VariableValue } from "../gen/provisioner_pb.ts";
import type { AcquiredJob } from "../gen/provisionerd_pb.ts";

/** Every secret that came with a job: none of them may stand in a log or an error (02#86). */
export function secretsOf({ type }: AcquiredJob): string[] {
  switch (type.case) {
    case "workspaceBuild":
      return [
        ...ofMetadata(type.value.metadata),
        ...sensitiveOf(type.value.variableValues),
        ...type.value.externalAuthProviders.map((provider) => provider.accessToken),
      ].filter(Boolean);
    case "templateImport":
      return [...ofMetadata(type.value.metadata), ...sensitiveOf(type.value.userVariableValues)].filter(Boolean);
    case "templateDryRun":
      return [...ofMetadata(type.value.metadata), ...sensitiveOf(type.value.variableValues)].filter(Boolean);
    default:
      return [];
  }
}

/** Values of variables that are marked sensitive. */
export function sensitiveOf(variables: readonly VariableValue[]): string[] {
  return variables.filter((variable) => variable.sensitive && variable.value).map((variable) => variable.value);
}

function ofMetadata(metadata: Metadata | undefined): string[] {
  if (!metadata) return [];
  return [
    metadata.workspaceOwnerSessionToken,
    metadata.workspaceOwnerOidcAccessToken,
    metadata.workspaceOwnerSshPrivateKey,
    ...metadata.runningAgentAuthTokens.map((agent) => agent.token),
  ];
}
