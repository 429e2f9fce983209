import { statSync } from "node:fs";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { VariableValueSchema, WorkspaceTransition } from "../../src/gen/provisioner_pb.ts";
import { destroyOf, initInputOf, metadataOf, never, planInputOf, stateText, tarOf, World } from "./world.ts";

const variable = (name: string, value: string, sensitive = false) =>
  create(VariableValueSchema, { name, value, sensitive });

test("03#6 03#7 the session folder is Session<uuid> with mode 0700, not there before Init, and gone with the session", async () => {
  await using world = await World.open();
  expect(world.folderName).toBeUndefined();
  await world.init();
  expect(world.folderName).toMatch(/^Session[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(statSync(world.folder).mode & 0o777).toBe(0o700);
  await world.session[Symbol.asyncDispose]();
  expect(world.folderName).toBeUndefined();
});

test("03#3 after a failed Init another one is accepted, in an empty folder", async () => {
  await using world = await World.open({ scenario: { init: { exit: 1, files: { left: "over" } } } });
  await expect(world.init()).rejects.toThrow("initialize terraform: exit status 1");
  await world.fake.script({});
  const initialized = await world.init();
  expect(() => statSync(join(world.folder, "left"))).toThrow();
  expect(initialized.facts.modules).toEqual([]);
});

test("03#8 03#9 03#13 an archive's way out fails Init, a/../b is b, and the module archive wins", async () => {
  await using world = await World.open();
  for (const name of ["../x", "/x"]) {
    await expect(world.init(initInputOf({ [name]: "" })), name).rejects.toThrow(/non-local path/);
  }
  const modules = tarOf({ "a.tf": "# module\n" });
  const initialized = await world.init({
    ...initInputOf({ "a/../README.md": "x", "a.tf": "# template\n" }),
    moduleArchive: modules,
  });
  expect(Buffer.from((await initialized.parse(never)).readme).toString()).toBe("x");
  expect((await import("node:fs")).readFileSync(join(world.folder, "a.tf"), "utf8")).toBe("# module\n");
});

test("03#14 state is written to terraform.tfstate with 0600 after init and before plan; empty state writes nothing", async () => {
  await using world = await World.open();
  await world.plan(planInputOf({ state: Buffer.from(stateText()) }));
  expect(world.fake.call("init").state).toBeNull();
  expect(world.fake.call("plan").state).toEqual({ text: stateText(), mode: 0o600 });
  await using empty = await World.open();
  await empty.plan();
  expect(empty.fake.call("plan").state).toBeNull();
});

test("03#15 README.md of the root is in the Parse answer, and Parse works without it", async () => {
  await using world = await World.open();
  const withReadme = await world.init(initInputOf({ "README.md": "# Häuser", "main.tf": 'variable "a" {}\n' }));
  const parsed = await withReadme.parse(never);
  expect(Buffer.from(parsed.readme).toString()).toBe("# Häuser");
  expect(parsed.templateVariables.map(({ name }) => name)).toEqual(["a"]);
  await using other = await World.open();
  expect((await (await other.init(initInputOf({ "readme.md": "x" }))).parse(never)).readme).toHaveLength(0);
});

test("03#23 03#24 03#25 the module list: root left out, local kept, in the order of the file, without Dir", async () => {
  const index = {
    Modules: [
      { Key: "b", Source: "./b", Dir: "b" },
      { Key: "", Source: "", Dir: "." },
      { Key: "a.inner", Source: "registry.example/x/y/z", Version: "1.2.3", Dir: ".terraform/modules/a.inner" },
    ],
  };
  await using world = await World.open();
  await world.fake.script({ init: { files: {} } });
  const none = await world.init();
  expect(none.facts.modules).toEqual([]);
  expect(none.facts.moduleFiles).toHaveLength(0);

  const withIndex = async (text: string) => {
    await using other = await World.open();
    const input = initInputOf();
    // A cached archive brings the index, and the fake's init leaves it.
    const moduleArchive = tarOf({ ".terraform/modules/modules.json": text });
    return (await other.init({ ...input, moduleArchive })).facts.modules.map(({ key, source, version, dir }) => ({
      key,
      source,
      version,
      dir,
    }));
  };
  expect(await withIndex(JSON.stringify(index))).toEqual([
    { key: "b", source: "./b", version: "", dir: "" },
    { key: "a.inner", source: "registry.example/x/y/z", version: "1.2.3", dir: "" },
  ]);
  expect(await withIndex("{")).toEqual([]);
});

test("03#33 an engine below 1.1.0 fails the request with both versions in the error", async () => {
  await using world = await World.open({
    settings: { engine: { path: "/none", version: "1.0.9", flavor: "terraform" } },
  });
  await expect(world.init()).rejects.toThrow(/1\.0\.9.*1\.1\.0/);
});

test("03#35 argv of init: -json from 1.9.0 on", async () => {
  for (const [version, json] of [
    ["1.8.5", []],
    ["1.9.0", ["-json"]],
    ["1.15.5", ["-json"]],
  ] as const) {
    await using world = await World.open();
    await using versioned = await World.open({
      settings: { engine: { path: world.fake.path, version, flavor: "terraform" } },
    });
    await versioned.init();
    expect(world.fake.call("init").args, version).toEqual(["init", "-no-color", "-input=false", ...json]);
  }
});

test("03#36 argv of graph: -type=plan from 1.7.0 on", async () => {
  for (const [version, type] of [
    ["1.6.6", []],
    ["1.7.0", ["-type=plan"]],
  ] as const) {
    await using world = await World.open();
    await using versioned = await World.open({
      settings: { engine: { path: world.fake.path, version, flavor: "terraform" } },
    });
    await (await versioned.plan()).graph(never);
    expect(world.fake.call("graph").args, version).toEqual(["graph", ...type]);
  }
});

test("03#37 03#41 argv of plan for start, stop and destroy; variables last, in order, unchanged; sensitive ones by the environment", async () => {
  const awkward = " a=b\n'ä\"$HOME = ";
  const variableValues = [variable("z", awkward), variable("secret", "hush hush", true), variable("a", "")];
  const { START, STOP, DESTROY } = WorkspaceTransition;
  for (const transition of [START, STOP, DESTROY]) {
    await using world = await World.open();
    const metadata = metadataOf({ workspaceTransition: transition });
    await world.plan(planInputOf({ metadata, variableValues, state: Buffer.from(stateText()) }));
    const { args, environment } = world.fake.call("plan");
    expect(args).toEqual([
      "plan",
      "-no-color",
      "-input=false",
      "-json",
      "-refresh=true",
      `-out=${world.folder}/terraform.tfplan`,
      ...(transition === DESTROY ? ["-destroy"] : []),
      "-var",
      `z=${awkward}`,
      "-var",
      "a=",
    ]);
    expect(environment["TF_VAR_secret"]).toBe("hush hush");
    expect(Object.keys(environment).filter((name) => name.startsWith("TF_VAR_"))).toEqual(["TF_VAR_secret"]);
  }
});

test("03#37 a values file of the template that assigns a sensitive variable fails the job and is named", async () => {
  const files = {
    "terraform.tfvars": "plain = 1\nsecret = 2\n",
    "x.auto.tfvars": "secret = 2\n",
    "x.auto.tfvars.json": '{"secret": 2}',
    "terraform.tfvars.json": '{"secret": 2}',
  };
  for (const [name, text] of Object.entries(files)) {
    await using world = await World.open();
    const initialized = await world.init(initInputOf({ "main.tf": "", [name]: text }));
    const planned = initialized.plan(planInputOf({ variableValues: [variable("secret", "hush", true)] }), never);
    await expect(planned).rejects.toThrow(`"${name}"`);
    expect(world.fake.commands).toEqual(["init"]);
  }
  await using world = await World.open();
  const initialized = await world.init(
    initInputOf({ "main.tf": "", "other.tfvars": "secret = 1\n", "a.auto.tfvars": "b = 1\n" }),
  );
  await initialized.plan(planInputOf({ variableValues: [variable("secret", "x", true), variable("b", "2")] }), never);
});

test("03#38 argv of apply and of the three kinds of show; paths are absolute", async () => {
  await using world = await World.open({ scenario: claimScenario });
  await world.build(planInputOf({ metadata: metadataOf({ prebuiltWorkspaceBuildStage: 2 }) }));
  const plan = `${world.folder}/terraform.tfplan`;
  const { args } = world.fake.call("apply");
  expect(args).toEqual(["apply", "-no-color", "-auto-approve", "-input=false", "-json", plan]);
  expect(world.fake.call("show plan").args).toEqual(["show", "-json", "-no-color", plan]);
  expect(world.fake.call("show people").args).toEqual(["show", "-no-color", plan]);
  expect(world.fake.call("show state").args).toEqual(["show", "-json", "-no-color"]);
});

const replacement = {
  address: "terraform_data.a",
  type: "terraform_data",
  change: { actions: ["delete", "create"], before: { x: 1 }, after: { x: 2 }, replace_paths: [["x"]] },
};
const planJson = JSON.stringify({
  format_version: "1.2",
  planned_values: { root_module: {} },
  resource_changes: [replacement],
});
const claimScenario = {
  "show plan": { stdout: planJson },
  "show people": { stdout: "\n  ~ x = 1 -> 2 # forces replacement\n}\n", stderr: "odd\n" },
};

test("03#39 the current folder is the session's and stdin is empty, for every command", async () => {
  await using world = await World.open({ scenario: claimScenario });
  await world.build(planInputOf({ metadata: metadataOf({ prebuiltWorkspaceBuildStage: 2 }) }));
  expect(new Set(world.fake.commands)).toEqual(
    new Set(["init", "plan", "show plan", "show people", "graph", "apply", "show state"]),
  );
  for (const call of world.fake.calls)
    expect([call.command, call.cwd, call.stdin]).toEqual([call.command, world.folder, ""]);
});

test("03#47 a build runs init, plan, show, apply, show and graph once each, and no version", async () => {
  await using world = await World.open();
  await world.build();
  expect(world.fake.commands.toSorted()).toEqual(["apply", "graph", "init", "plan", "show plan", "show state"]);
});

test("an import with two plans runs graph once", async () => {
  await using world = await World.open();
  const initialized = await world.init(initInputOf({ "main.tf": "" }, true));
  for (const workspaceTransition of [WorkspaceTransition.START, WorkspaceTransition.STOP]) {
    const metadata = metadataOf({ workspaceBuildId: "", workspaceTransition });
    const planned = await initialized.plan(planInputOf({ metadata }), never);
    expect((await planned.graph(never)).resources).toEqual([]);
  }
  expect(world.fake.commands.filter((command) => command === "graph")).toHaveLength(1);
});

test("03#40 03#54 destroy without state runs nothing, says nothing to do, and succeeds empty; a shipped state changes nothing", async () => {
  await using world = await World.open();
  const initialized = await world.init(initInputOf({ "main.tf": "", "terraform.tfstate": stateText() }));
  const before = world.fake.commands.length;
  const input = destroyOf("");
  const planned = await initialized.plan(input, never);
  expect(planned.facts).toEqual({
    plan: new Uint8Array(),
    dailyCost: 0,
    aiTaskCount: 0,
    resourceReplacements: [],
    timings: [],
  });
  expect(world.lines.filter((line) => line.includes("nothing to do"))).toEqual([expect.stringMatching(/^INFO /)]);
  world.logs.length = 0;
  const states: Uint8Array[] = [];
  const applied = await planned.apply(input.metadata, async (state) => void states.push(state), never);
  expect({ ...applied, graph: undefined }).toEqual({ state: new Uint8Array(), timings: [], graph: undefined });
  expect(states).toEqual([]);
  expect(world.lines.filter((line) => line.includes("nothing to do"))).toEqual([expect.stringMatching(/^INFO /)]);
  expect(await applied.graph(never)).toMatchObject({ resources: [], parameters: [], timings: [] });
  expect(await planned.graph(never)).toMatchObject({ resources: [], parameters: [], timings: [] });
  expect(world.fake.commands).toHaveLength(before);
});

test("03#42 a plan that fails says terraform plan: exit status 1, without timings", async () => {
  await using world = await World.open({ scenario: { plan: { exit: 1 } } });
  const failure = await world.plan().catch((error: unknown) => error);
  expect(failure).toMatchObject({ name: "JobError", message: "terraform plan: exit status 1" });
  expect(failure).not.toHaveProperty("timings");
});

test("03#43 a show that fails has its stderr in the error; a plan of format 2.0 or of none fails", async () => {
  await using world = await World.open({
    scenario: { "show plan": { exit: 2, stderr: "\u001b[31mno such plan\u001b[0m\n" } },
  });
  await expect(world.plan()).rejects.toThrow("show terraform plan file: no such plan: exit status 2");
  for (const stdout of ['{"format_version":"2.0"}', "{}", "no json"]) {
    await using other = await World.open({ scenario: { "show plan": { stdout } } });
    await expect(other.plan(), stdout).rejects.toThrow("show terraform plan file: decode terraform json: ");
  }
});

test("03#44 a graph that fails is reported with the end of its stderr, for plan and for state", async () => {
  const scenario = { graph: { exit: 1, stderr: `${"x".repeat(9000)}the reason\n` } };
  const expected = /^generate graph: graph: x{4000,4096}the reason: exit status 1$/;
  await using world = await World.open({ scenario });
  await expect((await world.plan()).graph(never)).rejects.toThrow(expected);
  await using other = await World.open({ scenario });
  await expect((await other.apply()).graph(never)).rejects.toThrow(expected);
  await using dot = await World.open({ scenario: { graph: { stdout: "no graph" } } });
  await expect((await dot.plan()).graph(never)).rejects.toThrow("parse graph");
});

test("a graph that was made while the apply ran and failed is made again when it is asked for", async () => {
  await using world = await World.open({ scenario: { graph: { exit: 1 } } });
  const applied = await world.apply();
  await world.fake.started("graph");
  await world.fake.script({});
  expect((await applied.graph(never)).timings).toHaveLength(1);
});

test("03#45 a state without values has no resources, and that is a success", async () => {
  await using world = await World.open({ scenario: { "show state": { stdout: '{"format_version":"1.0"}' } } });
  expect((await world.build()).graph.resources).toEqual([]);
  await using failing = await World.open({ scenario: { "show state": { exit: 1, stderr: "broken\n" } } });
  await expect(failing.build()).rejects.toThrow("load tfstate for graph: terraform show state: broken: exit status 1");
});

test("03#46 a missing binary, an argument above 128 KiB and a NUL give an error answer that names the value's owner, not the value", async () => {
  await using missing = await World.open({
    settings: { engine: { path: "/none/terraform", version: "1.11.4", flavor: "terraform" } },
  });
  await expect(missing.init()).rejects.toThrow(
    'initialize terraform: start "/none/terraform": no such file or directory',
  );
  await using world = await World.open();
  const initialized = await world.init();
  const fails = async (input: Parameters<typeof planInputOf>[0], message: RegExp) => {
    const failure = await initialized.plan(planInputOf(input), never).catch((error: unknown) => error);
    expect(failure).toMatchObject({ name: "JobError", message: expect.stringMatching(message) });
    expect(String(failure)).not.toContain("quiet");
  };
  const long = "quiet".repeat(30_000);
  await fails({ variableValues: [variable("big", long)] }, /variable "big": 150000 bytes: at most 131067/);
  await fails({ variableValues: [variable("big", long, true)] }, /variable "big": 150000 bytes: at most 131060/);
  await fails({ richParameterValues: [{ name: "disk", value: long } as never] }, /parameter "disk": 150000 bytes/);
  await fails(
    { richParameterValues: [{ name: "disk", value: "quiet\0" } as never] },
    /parameter "disk": it holds a NUL/,
  );
  await fails({ metadata: metadataOf({ taskPrompt: long }) }, /task prompt: 150000 bytes/);
  expect(world.fake.commands).toEqual(["init"]);
  // The longest that fits does start.
  await initialized.plan(planInputOf({ variableValues: [variable("big", "x".repeat(131_067))] }), never);
});

test("03#53 a backend other than an empty local, or a cloud block, is refused at import; a build overrides it", async () => {
  const refused: Record<string, string> = {
    "main.tf": 'terraform {\n  backend "s3" {\n    bucket = "b"\n  }\n}\n',
    "cloud.tf": 'terraform {\n  cloud {\n    organization = "o"\n  }\n}\n',
    "local.tf": 'terraform {\n  backend "local" {\n    path = "elsewhere"\n  }\n}\n',
    "json.tf.json": '{"terraform":{"backend":{"gcs":{}}}}',
    "z_override.tf": 'terraform {\n  backend "http" {}\n}\n',
  };
  for (const [name, text] of Object.entries(refused)) {
    await using world = await World.open();
    await expect(world.init(initInputOf({ [name]: text }, true)), name).rejects.toThrow(
      new RegExp(`${name} line \\d.*remove the block`),
    );
    expect(world.fake.commands).toEqual([]);
    await using build = await World.open();
    await build.init(initInputOf({ [name]: text }));
    expect(build.lines.join("\n")).toMatch(new RegExp(`WARN .*${name}.*overridden`));
  }
  for (const text of ['terraform {\n  backend "local" {}\n}\n', "terraform {}\n", 'locals {\n  backend = "s3"\n}\n']) {
    await using world = await World.open();
    await world.init(initInputOf({ "main.tf": text }, true));
  }
});

test("03#53 a backend that only the engine found fails the job after init", async () => {
  const record = (backend: object) => ({
    init: { files: { ".terraform/terraform.tfstate": JSON.stringify({ backend }) } },
  });
  const init = async (backend: object) => {
    await using world = await World.open({ scenario: record(backend) });
    // The fake writes no folders: a cached module brings this one.
    return await world.init({ ...initInputOf(), moduleArchive: tarOf({ ".terraform/modules/x": "" }) });
  };
  await expect(init({ type: "s3", config: {} })).rejects.toThrow('backend "s3"');
  await expect(init({ type: "local", config: { path: "x" } })).rejects.toThrow('"x"');
  await init({ type: "local", config: { path: null } });
});

test("03#86 a claim with a replacement prints the plan for people, one without prints nothing; another build prints the block", async () => {
  const claim = planInputOf({ metadata: metadataOf({ prebuiltWorkspaceBuildStage: 2 }) });
  await using world = await World.open({ scenario: claimScenario });
  await world.plan(claim);
  expect(world.lines).toEqual(["INFO ", "WARN   ~ x = 1 -> 2 # forces replacement", "INFO }", "ERROR odd"]);
  await using without = await World.open();
  await without.plan(claim);
  expect(without.lines).toEqual([]);
  expect(without.fake.commands).not.toContain("show people");
  await using start = await World.open({ scenario: claimScenario });
  const { facts } = await start.plan();
  expect(start.fake.commands).not.toContain("show people");
  expect(start.lines[1]).toBe("WARN   -/+ terraform_data.a (replace)");
  expect(facts.resourceReplacements.map(({ resource, paths }) => [resource, paths])).toEqual([
    ["terraform_data.a", ["x"]],
  ]);
  await using failing = await World.open({ scenario: { ...claimScenario, "show people": { exit: 1 } } });
  await failing.plan(claim);
});

test("links that an archive holds are skipped with one warning, and state that it ships is left out with another", async () => {
  await using world = await World.open();
  const { tarEntry, tarEnd } = await import("../../src/archive/tar-write.ts");
  const links = Array.from({ length: 12 }, (_, index) =>
    tarEntry({ name: `link${index}`, mode: 0o777, linkTarget: "/etc" }),
  );
  const shipped = tarEntry({ name: "terraform.tfstate", mode: 0o644, data: Buffer.from("{}") });
  await world.init({ ...initInputOf(), templateArchive: Buffer.concat([...links, shipped, tarEnd]) });
  expect(world.lines).toEqual([
    expect.stringMatching(/^WARN links .*link0, .*link9 and 2 more$/),
    expect.stringMatching(/^WARN .*terraform\.tfstate$/),
  ]);
});
