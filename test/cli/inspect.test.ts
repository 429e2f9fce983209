import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { commandLine } from "../support/command-line.ts";
import { dot, planJson, resource } from "../support/graph-documents.ts";
import { sharedFolder } from "../support/shared.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "outpost-inspect-"));
afterAll(() => rmSync(folder, { recursive: true }));

function written(name: string, content: unknown): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

const cost = resource("coder_metadata.m", { daily_cost: 7 });
const plan = {
  ...(planJson([
    resource("null_resource.a", { id: "1" }),
    resource("coder_agent.main", { os: "linux" }),
    cost,
  ]) as object),
  resource_changes: [
    {
      address: "null_resource.a",
      type: "null_resource",
      change: { actions: ["delete", "create"], replace_paths: [["x"]], before: { x: 1 }, after: { x: 2 } },
    },
  ],
};
const planFile = written("plan.json", plan);
const dotFile = written("plan.dot", dot(["null_resource.a -> coder_agent.main"]));

describe("inspect graph", () => {
  test("prints the message as JSON", async () => {
    const { stdout, code } = await commandLine("inspect", "graph", "--plan", planFile, "--dot", dotFile);
    expect(code).toBe(0);
    const { resources, has_ai_tasks, parameters } = JSON.parse(stdout);
    expect(resources).toMatchObject([
      { name: "a", type: "null_resource", agents: [{ name: "main", operating_system: "linux" }] },
    ]);
    expect({ has_ai_tasks, parameters }).toEqual({ has_ai_tasks: false, parameters: [] });
  });

  test("prints a tree for people with --pretty", async () => {
    const { stdout, code } = await commandLine("inspect", "graph", "--plan", planFile, "--dot", dotFile, "--pretty");
    expect(code).toBe(0);
    expect(stdout).toContain("resources (1)\n");
    expect(stdout).toContain("agent main (linux/)");
  });

  test("a failed conversion ends with 1 and says the same on both streams", async () => {
    const broken = written("broken.dot", "Error: not a graph");
    const { stdout, stderr, code } = await commandLine("inspect", "graph", "--plan", planFile, "--dot", broken);
    expect(code).toBe(1);
    const { error } = JSON.parse(stdout);
    expect(error).toEqual({ category: "parse_graph", message: expect.stringContaining("parse graph: ") });
    expect(stderr).toContain(error.message);
  });

  test.each([
    [["--dot", dotFile], "give --plan FILE or --state FILE"],
    [["--plan", planFile], "required option '--dot <file>' not specified"],
    [["--plan", planFile, "--state", planFile, "--dot", dotFile], "cannot be used with option"],
    [["--plan", join(folder, "nope.json"), "--dot", dotFile], 'nope.json": no such file'],
    [["--state", folder, "--dot", dotFile], "it is a folder"],
  ])("%j ends with 64 and one clear message", async (args, message) => {
    const { stdout, stderr, code } = await commandLine("inspect", "graph", ...args);
    expect({ stdout, code }).toEqual({ stdout: "", code: 64 });
    expect(stderr).toContain(message);
    expect(stderr.match(/error:/g)).toHaveLength(1);
  });
});

describe("inspect plan", () => {
  test("prints cost, replacements and the lines that they cause", async () => {
    const { stdout, code } = await commandLine("inspect", "plan", planFile);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      daily_cost: 7,
      resource_replacements: [{ resource: "null_resource.a", paths: ["x"] }],
      logs: [
        { level: "WARN", output: "Resource replacements:" },
        { level: "WARN", output: "  -/+ null_resource.a (replace)" },
        { level: "WARN", output: "      ~ x: 1 -> 2 (forces replacement)" },
      ],
    });
  });

  test("prints lines for people with --pretty", async () => {
    const { stdout } = await commandLine("inspect", "plan", planFile, "--pretty");
    expect(stdout).toContain("daily cost  7\n");
    expect(stdout).toContain("\n      ~ x: 1 -> 2 (forces replacement)\n");
  });

  test("what is no plan ends with 1", async () => {
    const { stdout, code } = await commandLine("inspect", "plan", dotFile);
    expect(code).toBe(1);
    expect(JSON.parse(stdout).error.category).toBe("parse_json");
  });
});

describe("inspect parse", () => {
  test("prints variables, tags and README", async () => {
    written(
      "good/main.tf",
      'variable "a" {\n  default = [1]\n}\ndata "coder_workspace_tags" "t" {\n  tags = { x = var.a }\n}',
    );
    written("good/README.md", "# Good\n");
    written("good/sub/other.tf", "broken");
    const { stdout, code } = await commandLine("inspect", "parse", join(folder, "good"));
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      template_variables: [{ name: "a", default_value: "[1]" }],
      workspace_tags: { x: "var.a" },
      readme: "# Good\n",
    });
    const people = await commandLine("inspect", "parse", join(folder, "good"), "--pretty");
    expect(people.stdout).toMatch(/variables \(1\)\n.* a {2}any {2}= \[1\]\ntags \(1\)\n.* x {2}= var\.a\n/);
  });

  test("04#134 README.md is told as its bytes, and another spelling of the name is not", async () => {
    written("upper/main.tf", "");
    written("upper/README.md", "# Häuser\n");
    written("lower/main.tf", "");
    written("lower/readme.md", "# nobody reads this");
    const upper = await commandLine("inspect", "parse", join(folder, "upper"));
    const lower = await commandLine("inspect", "parse", join(folder, "lower"));
    expect(JSON.parse(upper.stdout).readme).toBe("# Häuser\n");
    expect(JSON.parse(lower.stdout).readme).toBe("");
  });

  test("04#134 a template that cannot be read ends with 1; its README is there all the same", async () => {
    written("bad/main.tf", "a;b");
    written("bad/README.md", "# Bad");
    const { stdout, stderr, code } = await commandLine("inspect", "parse", join(folder, "bad"));
    expect(code).toBe(1);
    const { error, readme } = JSON.parse(stdout);
    expect(error.category).toBe("load_module");
    expect(error.message).toContain('The ";" character is not valid.');
    expect(readme).toBe("# Bad");
    for (const line of error.message.split("\n")) expect(stderr).toContain(line.trim());
  });

  test("wrong tags have a category of their own", async () => {
    written("tags/main.tf", 'data "coder_workspace_tags" "t" {}');
    const { stdout } = await commandLine("inspect", "parse", join(folder, "tags"));
    expect(JSON.parse(stdout).error).toEqual({
      category: "workspace_tags",
      message: `can't load workspace tags: "tags" attribute is required by coder_workspace_tags`,
    });
  });

  test.each([join(folder, "nope"), planFile])("%s ends with 64", async (path) => {
    const { stdout, stderr, code } = await commandLine("inspect", "parse", path);
    expect({ stdout, code }).toEqual({ stdout: "", code: 64 });
    expect(stderr).toContain(`read "${path}": `);
  });
});

test.each([[], ["graph"], ["plan"], ["parse"]])("inspect %s --help has an example", async (...words) => {
  const { stdout, code } = await commandLine("inspect", ...words, "--help");
  expect(code).toBe(0);
  expect(stdout).toContain(`outpost inspect ${words[0] ?? "parse"} `);
});

test("the command as people call it: JSON alone on stdout, words alone on stderr, code 1", () => {
  const bad = dirname(written("child/main.tf", "a;b"));
  const child = spawnSync(process.execPath, ["--import", "tsx", "src/main.ts", "inspect", "parse", bad], {
    cwd: root,
    encoding: "utf8",
    env: { PATH: process.env["PATH"], NO_COLOR: "1" },
  });
  expect(child.status).toBe(1);
  expect(JSON.parse(child.stdout).error.category).toBe("load_module");
  expect(child.stderr.startsWith("error: load module:")).toBe(true);
});

const recorded = sharedFolder ? readdirSync(join(sharedFolder, "cases/templates")) : [];

test.skipIf(!sharedFolder)("the recorded folders are there", () => expect(recorded).toHaveLength(32));

describe("recorded graphs come out as recorded", () => {
  test.each(recorded.flatMap((name) => [[name, "plan"] as const, [name, "state"] as const]))(
    "%s %s",
    async (name, step) => {
      const base = join(sharedFolder ?? "", "cases/templates", name, `${name}.tf${step}`);
      const expected = JSON.parse(readFileSync(join(sharedFolder ?? "", `cases/graph/${name}.expected.json`), "utf8"));
      const { stdout, code } = await commandLine(
        "inspect",
        "graph",
        `--${step}`,
        `${base}.json`,
        "--dot",
        `${base}.dot`,
      );
      const { exact_ids: _, error, ...facts } = expected[step];
      expect(code).toBe(error ? 1 : 0);
      if (!error) expect(JSON.parse(stdout)).toEqual(facts);
      else {
        const told = JSON.parse(stdout).error;
        expect(told.category).toBe(error.category);
        expect(told.message).toContain(error.message_contains);
      }
    },
  );
});
