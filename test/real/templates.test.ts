import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Plane, startPlane } from "../../src/plane/plane.ts";
import { Outpost } from "../support/outpost.ts";
import { mirrorConfig, providerMirror } from "../support/providers.ts";
import { recordedTerraform } from "../support/real-jobs.ts";
import { RealLife } from "../support/real-life.ts";

/*
 * What the plane must hold of each template after each of its jobs, written after the tables of spec/04; `ID` stands for ids
 * and tokens that differ each time.
 */

/** What an agent has that says no more than it must (spec/04 §2.2). */
const usual = {
  connectionTimeoutSeconds: 120,
  displayApps: { vscode: true, webTerminal: true, sshHelper: true, portForwardingHelper: true },
  resourcesMonitoring: {},
  apiKeyScope: "all",
};

/** Before the first apply no id is known; afterwards an agent has one, and its token. */
const planned = { token: "" };
const running = { id: "ID", token: "ID" };

const text = { type: "string", formType: "INPUT" };

/** The tags that real-parameters gives its workspaces' jobs. */
const dataTags = { team: "data", tier: "2", gpu: "false" };

describe.skipIf(!providerMirror || !recordedTerraform())(
  "templates with the real provider, over their whole life",
  () => {
    let folder: string;
    let plane: Plane;
    let agents: Outpost[] = [];
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "outpost-real-"));
      await writeFile(join(folder, "terraformrc"), mirrorConfig(providerMirror as string));
      plane = await startPlane({ rateLimitPerMinute: 0, externalAuthProviders: ["github"] });
      // An agent with tags takes no untagged jobs.
      agents = [agent("plain", {}), agent("data", dataTags)];
    });
    afterAll(async () => {
      for (const one of agents) await one[Symbol.asyncDispose]();
      await plane.close();
      await rm(folder, { recursive: true, force: true });
    });

    const agent = (name: string, tags: Record<string, string>) =>
      new Outpost(["start", "--name", name, "--health-address", "127.0.0.1:0"], {
        CODER_URL: plane.url,
        CODER_PROVISIONER_DAEMON_KEY: plane.createKey(name, tags).secret,
        CODER_CACHE_DIRECTORY: join(folder, "cache"),
        OUTPOST_STATE_DIRECTORY: join(folder, name),
        TMPDIR: folder,
        TF_CLI_CONFIG_FILE: join(folder, "terraformrc"),
      });

    test("real-agent: every option of an agent, its scripts and its variables", async () => {
      const envs = ["editor", "only_once", "path_after", "path_before"].map((name) => ({ name, type: "coder_env" }));
      const machine = (editor: string, identity: object) => ({
        name: "machine",
        type: "terraform_data",
        agents: [
          {
            ...identity,
            name: "main",
            operatingSystem: "linux",
            architecture: "arm64",
            directory: "/work",
            connectionTimeoutSeconds: 45,
            troubleshootingUrl: "https://example.com/help",
            motdFile: "/etc/motd",
            order: "7",
            apiKeyScope: "no_user_data",
            env: { LANG: "C.UTF-8", EMPTY: "" },
            displayApps: { vscodeInsiders: true, webTerminal: true },
            metadata: [
              { key: "second", displayName: "Second", script: "date +%s", interval: "30", timeout: "5", order: "2" },
              { key: "first", script: "#!/bin/sh\nuptime\n", interval: "10" },
            ],
            resourcesMonitoring: {
              memory: { enabled: true, threshold: 80 },
              // A set of the provider: in the order of its own hashes.
              volumes: [
                { path: "/var", threshold: 50 },
                { path: "/home", enabled: true, threshold: 90 },
              ],
            },
            scripts: [
              {
                displayName: "Startup Script",
                icon: "/emojis/25b6-fe0f.png",
                logPath: "coder-startup-script.log",
                script: "echo up",
                runOnStart: true,
                startBlocksLogin: true,
              },
              {
                displayName: "Shutdown Script",
                icon: "/emojis/25c0.png",
                logPath: "coder-shutdown-script.log",
                script: "echo down",
                runOnStop: true,
              },
              {
                displayName: "Nightly",
                icon: "/icon/moon.svg",
                script: "backup",
                cron: "0 30 2 * * *",
                logPath: "nightly.log",
                timeoutSeconds: 600,
              },
              { displayName: "Set up", script: "install", runOnStart: true, startBlocksLogin: true },
              { displayName: "Tear down", script: "remove", runOnStop: true },
            ],
            extraEnvs: [
              { name: "EDITOR", value: editor, mergeStrategy: "replace" },
              { name: "ONLY_ONCE", mergeStrategy: "error" },
              { name: "PATH", value: "/opt/after", mergeStrategy: "append" },
              { name: "PATH", value: "/opt/before", mergeStrategy: "prepend" },
            ],
          },
        ],
      });

      const life = await RealLife.import(plane, "real-agent");
      expect(life.version).toMatchObject({
        parameters: [{ name: "editor", ...text, mutable: true, defaultValue: "vim" }],
        presets: [],
        externalAuth: [],
        modules: [],
        workspaceTags: {},
        variables: [],
        readme: expect.stringMatching(/^# real-agent\n/),
      });
      expect(life.version.start).toEqual([...envs, machine("vim", planned)]);
      expect(life.version.stop).toEqual(envs);

      expect(await life.dryRun({ editor: "emacs" })).toEqual([...envs, machine("emacs", planned)]);

      const workspace = await life.create({ editor: "emacs" });
      expect(workspace.resources).toEqual([...envs, machine("emacs", running)]);
      expect(workspace.identities.told).toEqual(workspace.identities.stated);
      const handedOut = await fetch(`${plane.url}/api/v2/init-script/linux/arm64`);
      expect(workspace.inState("coder_agent")[0]?.init_script).toBe(await handedOut.text());

      await workspace.build("start", { editor: "nano" });
      expect(workspace.resources).toEqual([...envs, machine("nano", running)]);
      expect(workspace.identities.told).toEqual(workspace.identities.stated);
      const { replacements } = workspace.newest;
      expect(replacements.map(({ resource, paths }) => [resource, ...paths])).toEqual([
        ["terraform_data.machine[0]", "triggers_replace"],
      ]);

      await workspace.build("stop");
      expect(workspace.resources).toEqual(envs);

      await workspace.build("delete");
      expect(workspace.resources).toEqual([]);
      expect(workspace.managed).toEqual([]);
    });

    test("real-parameters: parameters of every type, presets, tags", async () => {
      const machine = [{ name: "machine", type: "terraform_data" }];
      const mutable = { mutable: true };

      const life = await RealLife.import(plane, "real-parameters", { team: "data" });
      const { parameters, presets, workspaceTags, start, stop } = life.version;
      // By address, which is by name here; `order` is the server's business (spec/04 §5.1).
      expect(parameters).toEqual([
        { name: "backup", type: "bool", formType: "CHECKBOX", ...mutable, defaultValue: "true" },
        {
          name: "branch",
          ...text,
          ...mutable,
          defaultValue: "main",
          validationRegex: "^[a-z][a-z0-9/-]*$",
          validationError: "A branch has lower-case letters, digits, - and /.",
        },
        {
          name: "cpu",
          type: "number",
          formType: "SLIDER",
          ...mutable,
          defaultValue: "2",
          validationMin: 1,
          validationMax: 8,
        },
        {
          name: "disk",
          type: "number",
          formType: "INPUT",
          ...mutable,
          defaultValue: "10",
          // A limit of 0 is one; a limit that isn't there is none.
          validationMin: 0,
          validationMonotonic: "increasing",
          validationError: "{value} is less than {min}",
        },
        { name: "gpu", type: "bool", formType: "SWITCH", ...mutable, defaultValue: "false" },
        { name: "hosts", type: "list(string)", formType: "TAGSELECT", ...mutable, defaultValue: "[]" },
        { name: "notes", type: "string", formType: "TEXTAREA", ...mutable },
        {
          name: "port",
          type: "number",
          formType: "DROPDOWN",
          ...mutable,
          defaultValue: "8080",
          options: [
            { name: "8080", value: "8080" },
            { name: "9090", value: "9090" },
          ],
        },
        { name: "project", ...text, ...mutable, required: true },
        {
          name: "region",
          displayName: "Region",
          description: "Where it *runs*.",
          icon: "/emojis/1f30d.png",
          type: "string",
          formType: "DROPDOWN",
          defaultValue: "eu",
          order: 1,
          options: [
            { name: "Europe", value: "eu", description: "Frankfurt", icon: "/emojis/1f1ea-1f1fa.png" },
            { name: "United States", value: "us" },
          ],
        },
        { name: "reset", type: "bool", formType: "CHECKBOX", ...mutable, ephemeral: true, defaultValue: "false" },
        {
          name: "shell",
          type: "string",
          formType: "RADIO",
          ...mutable,
          defaultValue: "bash",
          options: [
            { name: "Bash", value: "bash" },
            { name: "Zsh", value: "zsh" },
          ],
        },
        {
          name: "tools",
          type: "list(string)",
          formType: "MULTISELECT",
          ...mutable,
          defaultValue: '["git"]',
          options: [
            { name: "Git", value: "git" },
            { name: "Vim", value: "vim" },
          ],
        },
      ]);
      expect(presets).toEqual([
        { name: "Large", parameters: [{ name: "cpu", value: "8" }], prebuild: {} },
        {
          name: "Small",
          description: "One core",
          icon: "/icon/small.svg",
          default: true,
          parameters: [
            { name: "cpu", value: "1" },
            { name: "region", value: "us" },
          ],
          prebuild: {
            instances: 2,
            expirationPolicy: { ttl: 86400 },
            scheduling: {
              timezone: "Europe/Berlin",
              schedule: [
                { cron: "* 8-18 * * 1-5", instances: 4 },
                { cron: "* 8-14 * * 6", instances: 1 },
              ],
            },
          },
        },
      ]);
      // Source texts: the server evaluates them (spec/04 §7.4).
      expect(workspaceTags).toEqual({ team: '"data"', tier: "2", gpu: "false" });
      expect(start).toEqual(machine);
      expect(stop).toEqual([]);

      expect(await life.dryRun({ project: "x" })).toEqual(machine);

      const workspace = await life.create({ project: "x", branch: "dev", disk: "20" }, "Small");
      expect(plane.job(workspace.newest.jobId).tags).toMatchObject(dataTags);
      expect(workspace.resources).toEqual(machine);
      const made = { region: "us", project: "x", branch: "dev", disk: "20", cpu: "1", reset: "false", tools: ["git"] };
      expect(workspace.inState("terraform_data")[0]?.input).toMatchObject({ value: made });

      await workspace.build("start", { disk: "30", reset: "true", tools: '["git","vim"]' });
      expect(workspace.inState("terraform_data")[0]?.input).toMatchObject({
        value: { ...made, disk: "30", reset: "true", tools: ["git", "vim"] },
      });

      const smaller = await workspace.failingBuild("start", { disk: "25" });
      expect(smaller.error).toMatch(/^terraform plan: exit status 1/);
      expect(
        plane
          .logs(smaller.id)
          .map(({ output }) => output)
          .join("\n"),
      ).toContain("must be equal or greater than previous value: 30");
      const unclean = await workspace.failingBuild("start", { branch: "Main" });
      expect(
        plane
          .logs(unclean.id)
          .map(({ output }) => output)
          .join("\n"),
      ).toContain("A branch has lower-case letters");

      await workspace.build("stop", { branch: "dev", disk: "30" });
      // An ephemeral value is gone with its build.
      expect(workspace.parameters).toMatchObject({ disk: "30", reset: "false", tools: '["git","vim"]' });
      expect(workspace.resources).toEqual([]);

      await workspace.build("delete");
      expect(workspace.managed).toEqual([]);
    });

    test("real-apps: two agents on two machines, apps of every sort, metadata with a cost", async () => {
      plane.setQuota(plane.admin.id, 100);
      const tools = { group: "Tools" };
      const resources = (title: string, identity: object, isNull: object) => [
        {
          name: "back",
          type: "terraform_data",
          agents: [
            {
              ...usual,
              ...identity,
              name: "back",
              operatingSystem: "windows",
              architecture: "amd64",
              apps: [{ id: "ID", slug: "top", displayName: "Processes", command: "top", openIn: "SLIM_WINDOW" }],
            },
          ],
        },
        disk,
        {
          name: "front",
          type: "terraform_data",
          icon: "/icon/memory.svg",
          dailyCost: 30,
          metadata: [
            { key: "title", value: title },
            { key: "password", value: "not-shown", sensitive: true },
            { key: "nothing", ...isNull },
          ],
          agents: [
            {
              ...usual,
              ...identity,
              name: "front",
              operatingSystem: "linux",
              architecture: "amd64",
              apps: [
                {
                  id: "ID",
                  slug: "docs",
                  displayName: "docs",
                  url: "https://example.com/docs",
                  external: true,
                  order: "1",
                  ...tools,
                  openIn: "SLIM_WINDOW",
                },
                {
                  id: "ID",
                  slug: "editor",
                  displayName: title,
                  url: "http://localhost:8080/?folder=/work",
                  icon: "/icon/code.svg",
                  subdomain: true,
                  sharingLevel: "AUTHENTICATED",
                  order: "2",
                  ...tools,
                  openIn: "TAB",
                  tooltip: "The *editor*",
                  healthcheck: { url: "http://localhost:8080/healthz", interval: 5, threshold: 6 },
                },
                {
                  id: "ID",
                  slug: "metrics",
                  displayName: "metrics",
                  url: "http://localhost:9090",
                  sharingLevel: "PUBLIC",
                  hidden: true,
                  openIn: "SLIM_WINDOW",
                },
              ],
            },
          ],
        },
      ];
      const disk = { name: "disk", type: "terraform_data", hide: true, dailyCost: 5 };
      // Whether an item is nothing is known once the provider has seen it (spec/04 §2.7).
      const [unknown, isNull] = [{}, { isNull: true }];

      const life = await RealLife.import(plane, "real-apps");
      expect(life.version.parameters).toEqual([{ name: "title", ...text, mutable: true, defaultValue: "Editor" }]);
      expect(life.version.start).toEqual(resources("Editor", planned, unknown));
      expect(life.version.stop).toEqual([disk]);

      expect(await life.dryRun({ title: "IDE" })).toEqual(resources("IDE", planned, unknown));

      const workspace = await life.create({ title: "IDE" });
      expect(workspace.resources).toEqual(resources("IDE", running, isNull));
      expect(workspace.identities.told).toEqual(workspace.identities.stated);
      expect(workspace.newest.dailyCost).toBe(35);

      await workspace.build("start", { title: "Code" });
      expect(workspace.resources).toEqual(resources("Code", running, isNull));
      expect(workspace.identities.told).toEqual(workspace.identities.stated);

      await workspace.build("stop");
      expect(workspace.resources).toEqual([disk]);
      expect(workspace.newest.dailyCost).toBe(5);

      await workspace.build("delete");
      expect(workspace.resources).toEqual([]);
      expect(workspace.managed).toEqual([]);
    });

    test("real-identities: instance identities, dev containers, an external login that nobody has", async () => {
      const others = [
        { name: "plain", type: "coder_devcontainer" },
        { name: "web", type: "coder_devcontainer" },
        { name: "web", type: "coder_env" },
      ];
      const machine = (instanceId: string, id: object, token: object, container: object) => ({
        name: "machine",
        type: "terraform_data",
        agents: [
          { ...usual, ...id, name: "aws", operatingSystem: "linux", architecture: "amd64", instanceId },
          {
            ...usual,
            ...token,
            name: "containers",
            operatingSystem: "linux",
            architecture: "amd64",
            devcontainers: [
              { ...container, name: "plain", workspaceFolder: "/work/plain" },
              {
                ...container,
                name: "web",
                workspaceFolder: "/work/web",
                configPath: "/work/web/.devcontainer/devcontainer.json",
                apps: [
                  { id: "ID", slug: "web", displayName: "web", url: "http://localhost:3000", openIn: "SLIM_WINDOW" },
                ],
                scripts: [{ displayName: "Dependencies", script: "npm ci", runOnStart: true }],
                envs: [{ name: "NODE_ENV", value: "development", mergeStrategy: "replace" }],
              },
            ],
          },
          { ...usual, ...id, name: "google", operatingSystem: "linux", architecture: "arm64", instanceId: "" },
        ],
      });
      const made = [{ id: "ID" }, running, { id: "ID", subagentId: "ID" }] as const;

      const life = await RealLife.import(plane, "real-identities");
      expect(life.version.externalAuth).toEqual([{ id: "github", optional: true }]);
      expect(life.version.start).toEqual([...others, machine("", {}, planned, {})]);
      expect(life.version.stop).toEqual(others);

      expect(await life.dryRun({ instance: "i-1" })).toEqual([...others, machine("", {}, planned, {})]);

      const workspace = await life.create({ instance: "i-1" });
      expect(workspace.resources).toEqual([...others, machine("i-1", ...made)]);
      expect(workspace.identities.told).toEqual(workspace.identities.stated);
      expect(workspace.inState("terraform_data")[0]?.input).toMatchObject({ value: { github: "" } });

      plane.setExternalToken(plane.admin.id, "github", "gho_of-the-owner");
      await workspace.build("start", { instance: "i-2" });
      expect(workspace.resources).toEqual([...others, machine("i-2", ...made)]);
      expect(workspace.identities.told).toEqual(workspace.identities.stated);
      expect(workspace.inState("terraform_data")[0]?.input).toMatchObject({ value: { github: "gho_of-the-owner" } });

      await workspace.build("stop");
      expect(workspace.resources).toEqual(others);

      await workspace.build("delete");
      expect(workspace.resources).toEqual([]);
      expect(workspace.managed).toEqual([]);
    });

    test("real-modules: an agent in a module, modules with count and for_each, one inside another", async () => {
      const replica = (index: number) => {
        const volume = {
          name: "volume",
          type: "terraform_data",
          modulePath: `module.replica[${index}].module.inner["log"]`,
        };
        return [volume, volume, { name: "copy", type: "terraform_data", modulePath: `module.replica[${index}]` }];
      };
      const machine = (agent: object) => ({
        name: "machine",
        type: "terraform_data",
        modulePath: "module.workspace",
        dailyCost: 3,
        agents: [{ ...usual, ...agent, name: "main", operatingSystem: "linux", architecture: "amd64" }],
      });
      // At plan nothing in a module finds its agent; ids do (spec/04 §3.2).
      const atPlan = machine(planned);
      const withApps = machine({
        ...running,
        apps: [
          { id: "ID", slug: "git", displayName: "git", command: "git", openIn: "SLIM_WINDOW" },
          { id: "ID", slug: "vi-m", displayName: "vi.m", command: "vi.m", openIn: "SLIM_WINDOW" },
          { id: "ID", slug: "home", displayName: "home", url: "http://localhost:8000", openIn: "SLIM_WINDOW" },
        ],
      });

      const life = await RealLife.import(plane, "real-modules");
      // Those of modules come first (spec/04 §5.1).
      expect(life.version.parameters).toEqual([
        { name: "zone", ...text, defaultValue: "a" },
        { name: "replicas", type: "number", formType: "INPUT", mutable: true, defaultValue: "1" },
      ]);
      expect(life.version.modules).toEqual([
        { key: "replica", source: "./replica" },
        { key: "replica.inner", source: "./inner" },
        { key: "tools", source: "./tools" },
        { key: "workspace", source: "./workspace" },
      ]);
      expect(plane.moduleFiles(life.versionId)).toBeUndefined();
      expect(life.version.start).toEqual([...replica(0), atPlan]);
      expect(life.version.stop).toEqual(replica(0));

      expect(await life.dryRun({ replicas: "2" })).toEqual([...replica(0), ...replica(1), atPlan]);

      const workspace = await life.create({ replicas: "2" });
      expect(workspace.resources).toEqual([...replica(0), ...replica(1), withApps]);
      expect(workspace.identities.told).toEqual(workspace.identities.stated);
      expect(workspace.newest.modules.map(({ key }) => key)).toEqual([
        "replica",
        "replica.inner",
        "tools",
        "workspace",
      ]);

      await workspace.build("start", { replicas: "1" });
      expect(workspace.resources).toEqual([...replica(0), withApps]);
      expect(workspace.identities.told).toEqual(workspace.identities.stated);

      await workspace.build("stop");
      expect(workspace.resources).toEqual(replica(0));

      await workspace.build("delete");
      expect(workspace.resources).toEqual([]);
      expect(workspace.managed).toEqual([]);
    });
  },
);
