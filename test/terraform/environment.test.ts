import { readFileSync } from "node:fs";
import { create } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  ExternalAuthProviderSchema,
  PrebuiltWorkspaceBuildStage,
  RichParameterValueSchema,
  RoleSchema,
  RunningAgentAuthTokenSchema,
  WorkspaceTransition,
} from "../../src/gen/provisioner_pb.ts";
import { jobEnvironment } from "../../src/terraform/environment.ts";
import { completeSettings, type TerraformSettings } from "../../src/terraform/settings.ts";
import { metadataOf, never, planInputOf, World } from "./world.ts";

const settings = (more: Partial<TerraformSettings> = {}) =>
  completeSettings({
    engine: { path: "/bin/true", version: "1.11.4", flavor: "terraform" },
    workRoot: "/w",
    cacheRoot: "",
    environment: {},
    cliConfig: "",
    bootstrapScripts: {},
    exitTimeoutMs: 1,
    ...more,
  });
const paths = { home: "/home", temporary: "/tmp", cliConfig: "/rc" };
const variablesOf = (input = planInputOf(), more: Partial<TerraformSettings> = {}, logLevel = "") =>
  jobEnvironment(settings(more), paths, logLevel, input).variables;
const parameter = (name: string, value: string) => create(RichParameterValueSchema, { name, value });

describe("with a daemon environment that must not show", () => {
  const given = { CODER_PROVISIONER_DAEMON_KEY: "key", CODER_X: "y", OUTPOST_KEY: "k", STRAY: "s", TF_DATA_DIR: "/d" };
  beforeEach(() => void Object.assign(process.env, given));
  afterEach(() => {
    for (const name of Object.keys(given)) delete process.env[name];
  });

  test("03#55 03#56 no CODER_ variable of the daemon and nothing outside the allow-list reaches any command", async () => {
    const environment = { PATH: process.env["PATH"] ?? "", LISTED: "yes", ...given };
    await using world = await World.open({ settings: { environment } });
    await world.build();
    const ours = ["HOME", "TMPDIR", "CHECKPOINT_DISABLE", "TF_IN_AUTOMATION", "TF_INPUT", "TF_CLI_CONFIG_FILE"];
    const basic = ["PATH", "LISTED", "STRAY", ...ours].sort();
    for (const { command, environment: seen } of world.fake.calls) {
      expect(seen, command).not.toHaveProperty("CODER_PROVISIONER_DAEMON_KEY");
      expect(seen, command).not.toHaveProperty("TF_DATA_DIR");
      const job = command === "plan" || command === "apply";
      const names = Object.keys(seen).filter((name) => !(job && name.startsWith("CODER_")));
      expect(names.sort(), command).toEqual(basic);
    }
    await using strict = await World.open({ settings: { environment: { PATH: process.env["PATH"] ?? "" } } });
    await strict.build();
    for (const { command, environment: seen } of strict.fake.calls) expect(seen, command).not.toHaveProperty("STRAY");
  });
});

test("HOME and TMPDIR are the job's own beside its folder, and one configuration file serves all commands", async () => {
  await using world = await World.open({ settings: { cliConfig: 'credentials "x" {\n}\n', tuning: { GOGC: "200" } } });
  await world.build();
  const { environment } = world.fake.call("init");
  expect(environment["HOME"]).toMatch(/\/p[0-9a-f]{8}\/home$/);
  expect(environment["TMPDIR"]).toMatch(/\/p[0-9a-f]{8}\/tmp$/);
  const file = environment["TF_CLI_CONFIG_FILE"] as string;
  expect(readFileSync(file, "utf8")).toBe('disable_checkpoint = true\ncredentials "x" {\n}\n\n');
  for (const call of world.fake.calls) {
    expect(call.environment["TF_CLI_CONFIG_FILE"], call.command).toBe(file);
    expect(call.environment["GOGC"], call.command).toBe("200");
  }
  await using own = await World.open({ settings: { environment: { HOME: "/operator" } } });
  await own.init();
  expect(own.fake.call("init").environment["HOME"]).toBe("/operator");
});

test("03#57 all variables are present in plan with the values of the metadata; empty ones are present and empty", async () => {
  const metadata = metadataOf({
    coderUrl: "https://coder.example/",
    workspaceTransition: WorkspaceTransition.STOP,
    workspaceName: "box",
    workspaceOwner: "ada",
    workspaceOwnerEmail: "ada@example.com",
    workspaceOwnerName: "Ada L.",
    workspaceOwnerOidcAccessToken: "oidc",
    workspaceOwnerSshPublicKey: "pub",
    workspaceOwnerSshPrivateKey: "priv\nate",
    workspaceOwnerLoginType: "password",
    workspaceId: "wid",
    workspaceOwnerId: "oid",
    workspaceOwnerSessionToken: "session",
    templateId: "tid",
    templateName: "tpl",
    templateVersion: "v1",
    workspaceBuildId: "bid",
    taskId: "task",
    taskPrompt: "do it",
  });
  await using world = await World.open();
  await world.plan(planInputOf({ metadata }));
  const { environment } = world.fake.call("plan");
  const expected = {
    CODER_AGENT_URL: "https://coder.example/",
    CODER_WORKSPACE_TRANSITION: "stop",
    CODER_WORKSPACE_NAME: "box",
    CODER_WORKSPACE_OWNER: "ada",
    CODER_WORKSPACE_OWNER_EMAIL: "ada@example.com",
    CODER_WORKSPACE_OWNER_NAME: "Ada L.",
    CODER_WORKSPACE_OWNER_OIDC_ACCESS_TOKEN: "oidc",
    CODER_WORKSPACE_OWNER_GROUPS: "null",
    CODER_WORKSPACE_OWNER_SSH_PUBLIC_KEY: "pub",
    CODER_WORKSPACE_OWNER_SSH_PRIVATE_KEY: "priv\nate",
    CODER_WORKSPACE_OWNER_LOGIN_TYPE: "password",
    CODER_WORKSPACE_OWNER_RBAC_ROLES: "null",
    CODER_WORKSPACE_ID: "wid",
    CODER_WORKSPACE_OWNER_ID: "oid",
    CODER_WORKSPACE_OWNER_SESSION_TOKEN: "session",
    CODER_WORKSPACE_TEMPLATE_ID: "tid",
    CODER_WORKSPACE_TEMPLATE_NAME: "tpl",
    CODER_WORKSPACE_TEMPLATE_VERSION: "v1",
    CODER_WORKSPACE_BUILD_ID: "bid",
    CODER_TASK_ID: "task",
    CODER_TASK_PROMPT: "do it",
  };
  expect(environment).toMatchObject(expected);
  expect(environment).not.toHaveProperty("AWS_SDK_UA_APP_ID");

  const empty = variablesOf(planInputOf({ metadata: metadataOf({ coderUrl: "", workspaceBuildId: "" }) }));
  for (const name of Object.keys(expected)) {
    const otherwise = {
      CODER_WORKSPACE_TRANSITION: "start",
      CODER_WORKSPACE_OWNER_GROUPS: "null",
      CODER_WORKSPACE_OWNER_RBAC_ROLES: "null",
    };
    expect(empty[name], name).toBe(otherwise[name as keyof typeof otherwise] ?? "");
  }
});

test("03#58 groups null for none, a JSON array for two; an empty member of a role is left out", () => {
  const variables = variablesOf(
    planInputOf({
      metadata: metadataOf({
        workspaceOwnerGroups: ["a", "b"],
        workspaceOwnerRbacRoles: [
          create(RoleSchema, { name: "member" }),
          create(RoleSchema, { name: "organization-admin", orgId: "org" }),
        ],
      }),
    }),
  );
  expect(variables["CODER_WORKSPACE_OWNER_GROUPS"]).toBe('["a","b"]');
  expect(variables["CODER_WORKSPACE_OWNER_RBAC_ROLES"]).toBe(
    '[{"name":"member"},{"name":"organization-admin","org_id":"org"}]',
  );
  expect(variablesOf()["CODER_WORKSPACE_OWNER_GROUPS"]).toBe("null");
});

test("03#59 parameters by the SHA-256 of their names; an empty value is present, an absent one is not; kept for apply", async () => {
  const input = planInputOf({
    richParameterValues: [parameter("region", "eu"), parameter("AI Prompt", ""), parameter("Größe", "L")],
    previousParameterValues: [parameter("region", "us")],
  });
  const expected = {
    CODER_PARAMETER_c697d2981bf416569a16cfbcdec1542b5398f3cc77d2b905819aa99c46ecf6f6: "eu",
    CODER_PARAMETER_0881b748bb90b4c4eb0d79a67fa62678aec1d0cdb90d9ae75026b11dcac8555a: "",
    CODER_PARAMETER_aedc3f80989a6546962705852b2f4a481dbd1e490760693525c3724bacab3f50: "L",
    CODER_PARAMETER_PREVIOUS_c697d2981bf416569a16cfbcdec1542b5398f3cc77d2b905819aa99c46ecf6f6: "us",
  };
  await using world = await World.open();
  await world.apply(input);
  for (const command of ["plan", "apply"] as const) {
    const { environment } = world.fake.call(command);
    const names = Object.keys(environment).filter((name) => name.startsWith("CODER_PARAMETER_"));
    expect(names.sort()).toEqual(Object.keys(expected).sort());
    expect(environment).toMatchObject(expected);
  }
});

test("03#60 stage create sets only IS_PREBUILD, claim only IS_PREBUILD_CLAIM, none neither", () => {
  const flags = (prebuiltWorkspaceBuildStage: PrebuiltWorkspaceBuildStage) =>
    Object.entries(variablesOf(planInputOf({ metadata: metadataOf({ prebuiltWorkspaceBuildStage }) }))).filter(
      ([name]) => name.includes("_IS_PREBUILD"),
    );
  expect(flags(PrebuiltWorkspaceBuildStage.CREATE)).toEqual([["CODER_WORKSPACE_IS_PREBUILD", "true"]]);
  expect(flags(PrebuiltWorkspaceBuildStage.CLAIM)).toEqual([["CODER_WORKSPACE_IS_PREBUILD_CLAIM", "true"]]);
  expect(flags(PrebuiltWorkspaceBuildStage.NONE)).toEqual([]);
});

test("03#61 one agent token uses the hash of nothing, two those of their agent ids, none sets nothing", () => {
  const tokens = (...ids: string[]) => {
    const runningAgentAuthTokens = ids.map((agentId) =>
      create(RunningAgentAuthTokenSchema, { agentId, token: `t-${agentId}` }),
    );
    const prefix = "CODER_RUNNING_WORKSPACE_AGENT_TOKEN_";
    return Object.entries(variablesOf(planInputOf({ metadata: metadataOf({ runningAgentAuthTokens }) })))
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, value]) => [name.slice(prefix.length), value]);
  };
  expect(tokens("region")).toEqual([["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "t-region"]]);
  expect(tokens("region", "AI Prompt")).toEqual([
    ["c697d2981bf416569a16cfbcdec1542b5398f3cc77d2b905819aa99c46ecf6f6", "t-region"],
    ["0881b748bb90b4c4eb0d79a67fa62678aec1d0cdb90d9ae75026b11dcac8555a", "t-AI Prompt"],
  ]);
  expect(tokens()).toEqual([]);
});

test("03#62 external auth sets both names with the same token, in plan and in apply", async () => {
  const externalAuthProviders = [create(ExternalAuthProviderSchema, { id: "Git-Hub", accessToken: "gho" })];
  await using world = await World.open();
  await world.apply(planInputOf({ externalAuthProviders }));
  for (const command of ["plan", "apply"] as const) {
    expect(world.fake.call(command).environment).toMatchObject({
      "CODER_GIT_AUTH_ACCESS_TOKEN_Git-Hub": "gho",
      "CODER_EXTERNAL_AUTH_ACCESS_TOKEN_Git-Hub": "gho",
    });
  }
});

test("03#63 seven agent scripts, architecture filled in, the provider's placeholders untouched; the deployment's own win", () => {
  const scripts = Object.entries(variablesOf()).filter(([name]) => name.startsWith("CODER_AGENT_SCRIPT_"));
  expect(scripts.map(([name]) => name.slice("CODER_AGENT_SCRIPT_".length))).toEqual([
    "linux_amd64",
    "linux_arm64",
    "linux_armv7",
    "darwin_amd64",
    "darwin_arm64",
    "windows_amd64",
    "windows_arm64",
  ]);
  for (const [name, text] of scripts) {
    const [os, arch] = name.split("_").slice(3) as [string, string];
    expect(text).toContain(`bin/coder-${os}-${arch}`);
    expect(text).toContain("${ACCESS_URL}");
    expect(text).toContain("${AUTH_TYPE}");
    expect(text).not.toContain("${ARCH}");
  }
  const given = variablesOf(planInputOf(), { bootstrapScripts: { linux_arm64: "its own ${ARCH} ${ACCESS_URL}" } });
  expect(given["CODER_AGENT_SCRIPT_linux_arm64"]).toBe("its own arm64 ${ACCESS_URL}");
  expect(given["CODER_AGENT_SCRIPT_linux_amd64"]).toBe(variablesOf()["CODER_AGENT_SCRIPT_linux_amd64"]);
});

test("03#64 TF_LOG=JSON exactly when the session has a log level, in plan and apply only, and it beats an inherited one", async () => {
  for (const logLevel of ["", "warn"]) {
    const environment = { PATH: process.env["PATH"] ?? "", TF_LOG: "TRACE" };
    await using world = await World.open({ logLevel, settings: { environment } });
    await world.build();
    for (const { command, environment: seen } of world.fake.calls) {
      const json = logLevel !== "" && (command === "plan" || command === "apply");
      expect(seen["TF_LOG"], command).toBe(json ? "JSON" : "TRACE");
    }
    await using bare = await World.open({ logLevel });
    await bare.init();
    expect(bare.fake.call("init").environment).not.toHaveProperty("TF_LOG");
  }
});

test("03#65 with a trace context TRACEPARENT is set or replaced once, without it nothing is added", () => {
  const trace = { traceparent: "00-60d19e9e9abf2197c1d6d8f93e28ee2a-a028bd951229a46f-01", "x-b3.y": "z" };
  const environment = { TRACEPARENT: "old" };
  const variables = variablesOf(planInputOf(), { trace, environment });
  expect(variables["TRACEPARENT"]).toBe(trace.traceparent);
  expect(variables["X_B3Y"]).toBe("z");
  expect(variablesOf()).not.toHaveProperty("TRACEPARENT");
  expect(variablesOf(planInputOf(), { environment })["TRACEPARENT"]).toBe("old");
});

test("03#73 TF_ variables that the job gets are listed at WARN in Init, Plan, Graph and Apply, unknown ones masked", async () => {
  const environment = {
    PATH: process.env["PATH"] ?? "",
    TF_VAR_password: "hunter2",
    TF_REGISTRY_CLIENT_TIMEOUT: "30",
    TF_DATA_DIR: "/never",
    NOT_TF: "x",
  };
  await using world = await World.open({ settings: { environment } });
  const expected = [
    "WARN terraform environment variable: TF_VAR_password=<value redacted>",
    "WARN terraform environment variable: TF_REGISTRY_CLIENT_TIMEOUT=30",
  ];
  const since = () => {
    const lines = world.lines;
    world.logs.length = 0;
    return lines;
  };
  const initialized = await world.init();
  expect(since()).toEqual(expected);
  const planned = await initialized.plan(planInputOf(), never);
  expect(since()).toEqual(expected);
  await planned.graph(never);
  expect(since()).toEqual(expected);
  const applied = await planned.apply(metadataOf(), async () => undefined, never);
  expect(since()).toEqual(expected);
  await applied.graph(never);
  expect(since()).toEqual(expected);
});
