import { create } from "@bufbuild/protobuf";
import { nilUuid } from "../contract/identity.ts";
import {
  type ExternalAuthProvider,
  ExternalAuthProviderSchema,
  type Metadata,
  MetadataSchema,
  PrebuiltWorkspaceBuildStage,
  type RunningAgentAuthToken,
  RunningAgentAuthTokenSchema,
  type VariableValue,
  VariableValueSchema,
  WorkspaceTransition,
} from "../gen/provisioner_pb.ts";
import {
  type AcquiredJob,
  AcquiredJob_TemplateDryRunSchema,
  AcquiredJob_TemplateImportSchema,
  AcquiredJob_WorkspaceBuildSchema,
  AcquiredJobSchema,
} from "../gen/provisionerd_pb.ts";
import { asOfVersion } from "./as-of-version.ts";
import type { Build, Job, TemplateVersion, User, Workspace } from "./rows.ts";
import { renewSessionToken, revokeSessionTokens } from "./users.ts";
import { mustGet, type World } from "./world.ts";

/** The group that every user is in (spec/02 §5.4). */
const everyone = "Everyone";

/**
 * What a locked job says to its daemon (spec/02 §5.4). A START build gets a new session token here, any build revokes the
 * former one. Throws RefusedError where a row is missing.
 */
export function acquiredJob(world: World, job: Job): AcquiredJob {
  const message = create(AcquiredJobSchema, {
    jobId: job.id,
    createdAt: BigInt(job.createdAt),
    provisioner: job.provisioner,
    userName: job.initiatorName,
    templateSourceArchive: versionOf(world, job).archive,
    type: typeOf(world, job),
    traceMetadata: { ...job.traceMetadata },
  });
  return asOfVersion(AcquiredJobSchema, message, world.apiVersion.minor);
}

/** The template version that a job imports, tries or builds. */
export function versionOf(world: World, { input }: Job): TemplateVersion {
  const { store } = world;
  const id =
    input.kind === "workspace_build"
      ? mustGet(store.builds, input.buildId, "workspace build").versionId
      : input.versionId;
  return mustGet(store.versions, id, "template version");
}

function typeOf(world: World, job: Job): AcquiredJob["type"] {
  const { input } = job;
  const version = versionOf(world, job);
  const common = { coderUrl: world.url, workspaceOwnerGroups: [everyone] };
  switch (input.kind) {
    case "template_import":
      return {
        case: "templateImport",
        value: create(AcquiredJob_TemplateImportSchema, {
          userVariableValues: [...input.userVariableValues],
          metadata: create(MetadataSchema, {
            ...common,
            templateId: mustGet(world.store.templates, version.templateId, "template").activeVersionId
              ? version.templateId
              : "",
            templateVersionId: version.id,
          }),
        }),
      };
    case "template_dry_run":
      return {
        case: "templateDryRun",
        value: create(AcquiredJob_TemplateDryRunSchema, {
          richParameterValues: [...input.parameters],
          variableValues: variableValues(version),
          metadata: create(MetadataSchema, { ...common, workspaceName: input.workspaceName }),
        }),
      };
    case "workspace_build":
      return buildType(world, mustGet(world.store.builds, input.buildId, "workspace build"), version);
  }
}

function buildType(world: World, build: Build, version: TemplateVersion): AcquiredJob["type"] {
  const { store } = world;
  const workspace = mustGet(store.workspaces, build.workspaceId, "workspace");
  const owner = mustGet(store.users, workspace.ownerId, "user");
  const previous = previousBuild(world, build);
  return {
    case: "workspaceBuild",
    value: create(AcquiredJob_WorkspaceBuildSchema, {
      workspaceBuildId: build.id,
      workspaceName: workspace.name,
      state: build.state,
      richParameterValues: [...build.parameters],
      previousParameterValues: [...(previous?.parameters ?? [])],
      variableValues: variableValues(version),
      externalAuthProviders: externalAuth(world, version, owner),
      logLevel: build.logLevel,
      metadata: metadataOf(world, build, version, workspace, owner),
    }),
  };
}

function metadataOf(world: World, build: Build, version: TemplateVersion, workspace: Workspace, owner: User): Metadata {
  const start = build.transition === WorkspaceTransition.START;
  revokeSessionTokens(world, workspace.id);
  return create(MetadataSchema, {
    coderUrl: world.url,
    workspaceTransition: build.transition,
    workspaceName: workspace.name,
    workspaceOwner: owner.name,
    workspaceId: workspace.id,
    workspaceOwnerId: owner.id,
    workspaceOwnerEmail: owner.email,
    workspaceOwnerName: owner.fullName,
    workspaceOwnerGroups: [everyone, ...owner.groups],
    workspaceOwnerLoginType: owner.loginType,
    workspaceOwnerRbacRoles: owner.roles.filter((role) => role.orgId === "" || role.orgId === workspace.organizationId),
    workspaceOwnerOidcAccessToken: owner.oidcAccessToken,
    workspaceOwnerSessionToken: start ? renewSessionToken(world, owner.id, workspace.id) : "",
    workspaceOwnerSshPublicKey: owner.sshPublicKey,
    workspaceOwnerSshPrivateKey: owner.sshPrivateKey,
    workspaceBuildId: build.id,
    templateId: version.templateId,
    templateName: mustGet(world.store.templates, version.templateId, "template").name,
    templateVersion: version.name,
    templateVersionId: version.id,
    templateVersionModulesFile: version.moduleFileId ?? "",
    prebuiltWorkspaceBuildStage: build.prebuildStage,
    runningAgentAuthTokens:
      build.prebuildStage === PrebuiltWorkspaceBuildStage.CLAIM ? runningAgents(world, build) : [],
    taskId: build.task?.id ?? nilUuid,
    taskPrompt: build.task?.prompt ?? "",
  });
}

/** Variables that have a value or are required (spec/02 §5.4). */
const variableValues = (version: TemplateVersion): VariableValue[] =>
  version.variables
    .filter(({ variable, value }) => value !== "" || variable.defaultValue !== "" || variable.required)
    .map(({ variable, value }) =>
      create(VariableValueSchema, { name: variable.name, value, sensitive: variable.sensitive }),
    );

const externalAuth = (world: World, version: TemplateVersion, owner: User): ExternalAuthProvider[] =>
  version.externalAuth.flatMap(({ id }) => {
    const accessToken = owner.externalTokens[id];
    return accessToken && world.externalAuthProviders.has(id)
      ? [create(ExternalAuthProviderSchema, { id, accessToken })]
      : [];
  });

/** Agents of build 1, which a claim takes over (spec/02 §5.4). */
function runningAgents(world: World, build: Build): RunningAgentAuthToken[] {
  const first = world.store.builds.find((other) => other.workspaceId === build.workspaceId && other.number === 1);
  return (first?.resources ?? [])
    .flatMap((resource) => resource.agents)
    .map((agent) =>
      create(RunningAgentAuthTokenSchema, {
        agentId: agent.id,
        token: agent.auth.case === "token" ? agent.auth.value : "",
      }),
    );
}

/** The build before this one, whatever its outcome. */
export const previousBuild = (world: World, build: Build): Build | undefined =>
  world.store.builds.find((other) => other.workspaceId === build.workspaceId && other.number === build.number - 1);
