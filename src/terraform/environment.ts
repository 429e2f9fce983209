import { createHash } from "node:crypto";
import {
  PrebuiltWorkspaceBuildStage,
  WorkspaceTransition as Transition,
  type WorkspaceTransition,
} from "../gen/provisioner_pb.ts";
import type { PlanInput } from "../session/types.ts";
import { bootstrapVariables } from "./bootstrap.ts";
import type { CompleteSettings } from "./settings.ts";

/** A child's environment; `labels` say what a person calls a variable, for errors about its value. */
export interface Environment {
  variables: Record<string, string>;
  labels: Map<string, string>;
}

/** The folders of one job that its children know by a variable. */
export interface PrivatePaths {
  home: string;
  temporary: string;
  cliConfig: string;
}

/**
 * What never reaches a child, even if the operator lists it: what belongs to us, what would move the engine's data or
 * state to where nobody looks (spec/03 §1.9, §9.3), and what our own CLI configuration decides.
 */
const dropped =
  /^(CODER_.*|OUTPOST_.*|TF_DATA_DIR|TF_WORKSPACE|TF_CLI_CONFIG_FILE|TERRAFORM_CONFIG|TF_PLUGIN_CACHE_DIR)$/;

/** The part of the agent's environment that the job really gets. */
export function inherited(settings: CompleteSettings): Record<string, string> {
  return Object.fromEntries(Object.entries(settings.environment).filter(([name]) => !dropped.test(name)));
}

/** For init, show and graph (spec/03 §4.2, §4.8). */
export function basicEnvironment(settings: CompleteSettings, paths: PrivatePaths): Record<string, string> {
  return {
    HOME: paths.home,
    ...inherited(settings),
    ...settings.tuning,
    TMPDIR: paths.temporary,
    CHECKPOINT_DISABLE: "1",
    TF_IN_AUTOMATION: "1",
    TF_INPUT: "0",
    TF_CLI_CONFIG_FILE: paths.cliConfig,
  };
}

/** For plan and apply (spec/03 §4.3); an empty field is still set, to the empty string. */
export function jobEnvironment(
  settings: CompleteSettings,
  paths: PrivatePaths,
  logLevel: string,
  input: PlanInput,
): Environment {
  const { metadata: job } = input;
  const variables: Record<string, string> = {
    ...basicEnvironment(settings, paths),
    CODER_AGENT_URL: job.coderUrl,
    CODER_WORKSPACE_TRANSITION: transitionName(job.workspaceTransition),
    CODER_WORKSPACE_NAME: job.workspaceName,
    CODER_WORKSPACE_OWNER: job.workspaceOwner,
    CODER_WORKSPACE_OWNER_EMAIL: job.workspaceOwnerEmail,
    CODER_WORKSPACE_OWNER_NAME: job.workspaceOwnerName,
    CODER_WORKSPACE_OWNER_OIDC_ACCESS_TOKEN: job.workspaceOwnerOidcAccessToken,
    CODER_WORKSPACE_OWNER_GROUPS: jsonList(job.workspaceOwnerGroups),
    CODER_WORKSPACE_OWNER_SSH_PUBLIC_KEY: job.workspaceOwnerSshPublicKey,
    CODER_WORKSPACE_OWNER_SSH_PRIVATE_KEY: job.workspaceOwnerSshPrivateKey,
    CODER_WORKSPACE_OWNER_LOGIN_TYPE: job.workspaceOwnerLoginType,
    CODER_WORKSPACE_OWNER_RBAC_ROLES: jsonList(
      // A member that is empty is left out: the other side tells absent from empty.
      job.workspaceOwnerRbacRoles.map(({ name, orgId }) => ({
        ...(name && { name }),
        ...(orgId && { org_id: orgId }),
      })),
    ),
    CODER_WORKSPACE_ID: job.workspaceId,
    CODER_WORKSPACE_OWNER_ID: job.workspaceOwnerId,
    CODER_WORKSPACE_OWNER_SESSION_TOKEN: job.workspaceOwnerSessionToken,
    CODER_WORKSPACE_TEMPLATE_ID: job.templateId,
    CODER_WORKSPACE_TEMPLATE_NAME: job.templateName,
    CODER_WORKSPACE_TEMPLATE_VERSION: job.templateVersion,
    CODER_WORKSPACE_BUILD_ID: job.workspaceBuildId,
    CODER_TASK_ID: job.taskId,
    CODER_TASK_PROMPT: job.taskPrompt,
  };
  const labels = new Map([["CODER_TASK_PROMPT", "task prompt"]]);
  const set = (name: string, value: string, label: string) => {
    variables[name] = value;
    labels.set(name, label);
  };

  const stage = job.prebuiltWorkspaceBuildStage;
  if (stage === PrebuiltWorkspaceBuildStage.CREATE) variables["CODER_WORKSPACE_IS_PREBUILD"] = "true";
  if (stage === PrebuiltWorkspaceBuildStage.CLAIM) variables["CODER_WORKSPACE_IS_PREBUILD_CLAIM"] = "true";
  const tokens = job.runningAgentAuthTokens;
  for (const { agentId, token } of tokens) {
    // The provider asks by the hash of nothing; several agents can't be told apart that way, so each keeps its id.
    variables[`CODER_RUNNING_WORKSPACE_AGENT_TOKEN_${hashOf(tokens.length === 1 ? "" : agentId)}`] = token;
  }
  Object.assign(variables, bootstrapVariables(settings.bootstrapScripts));

  for (const { name, value } of input.previousParameterValues) {
    set(`CODER_PARAMETER_PREVIOUS_${hashOf(name)}`, value, `previous value of parameter "${name}"`);
  }
  for (const { name, value } of input.richParameterValues) {
    set(`CODER_PARAMETER_${hashOf(name)}`, value, `parameter "${name}"`);
  }
  for (const { id, accessToken } of input.externalAuthProviders) {
    set(`CODER_GIT_AUTH_ACCESS_TOKEN_${id}`, accessToken, `token of external auth "${id}"`);
    set(`CODER_EXTERNAL_AUTH_ACCESS_TOKEN_${id}`, accessToken, `token of external auth "${id}"`);
  }
  for (const { name, value, sensitive } of input.variableValues) {
    if (sensitive) set(`TF_VAR_${name}`, value, `variable "${name}"`);
  }
  if (logLevel !== "") variables["TF_LOG"] = "JSON";
  Object.assign(variables, traceVariables(settings.trace));
  return { variables, labels };
}

/** Header names of a trace context as variables: upper case, `-` to `_`, nothing else but letters and digits (spec/03 §4.7). */
function traceVariables(trace: Record<string, string>): Record<string, string> {
  const name = (header: string) =>
    header
      .toUpperCase()
      .replaceAll("-", "_")
      .replace(/[^A-Z0-9_]/g, "");
  return Object.fromEntries(Object.entries(trace).map(([header, value]) => [name(header), value]));
}

/** Names whose values tell nothing (spec/03 §5.5). */
const plain = new Set([
  "TF_LOG",
  "TF_LOG_PATH",
  "TF_INPUT",
  "TF_DATA_DIR",
  "TF_WORKSPACE",
  "TF_IN_AUTOMATION",
  "TF_REGISTRY_DISCOVERY_RETRY",
  "TF_REGISTRY_CLIENT_TIMEOUT",
  "TF_CLI_CONFIG_FILE",
  "TF_IGNORE",
]);

/** One line for each `TF_` variable that the job inherits, values masked unless they tell nothing (spec/03 §5.5). */
export function inheritedNotes(settings: CompleteSettings): string[] {
  return Object.entries(inherited(settings))
    .filter(([name]) => name.startsWith("TF_"))
    .map(([name, value]) => `terraform environment variable: ${name}=${plain.has(name) ? value : "<value redacted>"}`);
}

function transitionName(transition: WorkspaceTransition): string {
  if (transition === Transition.DESTROY) return "destroy";
  return transition === Transition.STOP ? "stop" : "start";
}

const jsonList = (list: unknown[]): string => (list.length > 0 ? JSON.stringify(list) : "null");

const hashOf = (name: string): string => createHash("sha256").update(name, "utf8").digest("hex");
