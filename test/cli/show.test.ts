import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { harmless, widthOf } from "../../src/cli/show/text.ts";
import { templateTree } from "../../src/cli/show/tree.ts";
import {
  AppSharingLevel,
  PresetSchema,
  ResourceSchema,
  RichParameterSchema,
  TemplateVariableSchema,
} from "../../src/gen/provisioner_pb.ts";

const utf8 = { columns: 100, unicode: true };
const ascii = { columns: 100, unicode: false };

const machine = create(ResourceSchema, {
  type: "kubernetes_deployment",
  name: "main",
  dailyCost: 12,
  agents: [
    {
      name: "main",
      operatingSystem: "linux",
      architecture: "amd64",
      directory: "/work",
      apps: [{ slug: "code" }, { slug: "jupyter", sharingLevel: AppSharingLevel.PUBLIC, external: true }],
      scripts: [
        { displayName: "Setup", runOnStart: true, startBlocksLogin: true },
        { displayName: "Backup", cron: "0 0 1 * * *" },
      ],
      metadata: [{ key: "cpu", displayName: "CPU usage", interval: 10n }],
      extraEnvs: [{ name: "TOKEN", value: "secret" }],
      resourcesMonitoring: {
        memory: { enabled: true, threshold: 80 },
        volumes: [{ path: "/home", enabled: true, threshold: 90 }],
      },
      devcontainers: [{ name: "web", workspaceFolder: "/work/app", apps: [{ slug: "site" }] }],
    },
  ],
  metadata: [
    { key: "region", value: "eu" },
    { key: "password", value: "secret", sensitive: true },
  ],
});
const volume = create(ResourceSchema, { type: "volume", name: "home", modulePath: 'module.disk["a"]' });

test("resources are shown with agents, apps, scripts, metadata, dev containers and daily cost", () => {
  expect(templateTree({ resources: [machine, volume] }, utf8)).toEqual([
    "resources (2), daily cost 12",
    "├─ kubernetes_deployment.main  daily cost 12",
    "│  ├─ agent main (linux/amd64)  in /work",
    "│  │  ├─ apps      code, jupyter (public, external)",
    "│  │  ├─ scripts   Setup (at start, blocks login), Backup (cron 0 0 1 * * *)",
    "│  │  ├─ env       TOKEN",
    "│  │  ├─ metadata  CPU usage every 10 s",
    "│  │  ├─ monitors  memory 80 %, /home 90 %",
    "│  │  └─ dev container web  in /work/app",
    "│  │     └─ apps  site",
    "│  ├─ region    eu",
    "│  └─ password  (sensitive)",
    '└─ module.disk["a"].volume.home',
  ]);
});

test("without UTF-8 the tree is plain ASCII", () => {
  const lines = templateTree({ resources: [create(ResourceSchema, { type: "a", name: "é" }), volume] }, ascii);
  expect(lines).toEqual(["resources (2)", "|- a.?", '`- module.disk["a"].volume.home']);
});

test("parameters are shown with type, default and options, presets and tags with their values", () => {
  const parameters = [
    create(RichParameterSchema, {
      name: "cpu",
      type: "number",
      required: true,
      mutable: true,
      options: [{ value: "2" }, { value: "4" }],
    }),
    create(RichParameterSchema, { name: "image", type: "string", defaultValue: "ubuntu", ephemeral: true }),
    create(RichParameterSchema, {
      name: "disk",
      type: "number",
      defaultValue: "10",
      validationMin: 0,
      validationMax: 20,
    }),
    create(RichParameterSchema, { name: "note", type: "string" }),
  ];
  const presets = [
    create(PresetSchema, {
      name: "small",
      default: true,
      parameters: [{ name: "cpu", value: "2" }],
      prebuild: { instances: 3 },
    }),
    create(PresetSchema, { name: "large", parameters: [{ name: "cpu", value: "4" }] }),
  ];
  const variables = [
    create(TemplateVariableSchema, { name: "namespace", type: "string", required: true, description: "where" }),
    create(TemplateVariableSchema, { name: "token", type: "string", defaultValue: "secret", sensitive: true }),
  ];
  expect(templateTree({ parameters, presets, variables, tags: { region: "eu" } }, utf8)).toEqual([
    "variables (2)",
    "├─ namespace  string  required       where",
    "└─ token      string  = (sensitive)",
    "parameters (4)",
    "├─ cpu    number  required    one of 2|4  mutable",
    '├─ image  string  = "ubuntu"              ephemeral',
    "├─ disk   number  = 10        0 to 20",
    '└─ note   string  = ""',
    "presets (2)",
    '├─ small  default  cpu = "2"  prebuilds 3',
    '└─ large           cpu = "4"',
    "tags (1)",
    "└─ region  = eu",
  ]);
});

test("nothing is shown of nothing", () => {
  expect(templateTree({}, utf8)).toEqual([]);
});

test("a long list is broken into lines, a very long one is cut", () => {
  const apps = Array.from({ length: 40 }, (_, n) => ({ slug: `application-${n}` }));
  const resource = create(ResourceSchema, { type: "a", name: "b", agents: [{ name: "main", apps }] });
  const lines = templateTree({ resources: [resource] }, utf8);
  expect(lines.length).toBeGreaterThan(5);
  expect(lines.length).toBeLessThan(10);
  const many = Array.from({ length: 1000 }, (_, n) => create(ResourceSchema, { type: "a", name: `n${n}` }));
  expect(templateTree({ resources: many }, utf8).at(-1)).toBe("└─ … and 800 more");
});

test.each([
  ["\u001b[31mred\u001b[0m", "red"],
  ["\u001b]0;title\u0007text", "text"],
  ["\u001b]8;;http://x\u001b\\link\u001b]8;;\u001b\\", "link"],
  ["\u001bPq\u001b\\x", "x"],
  ["\u009b2Jx", "x"],
  ["a\nb\r\tc", "a b c"],
  ["\u001b]never closed", ""],
  ["ab\u202ecd", "ab cd"],
  ["nul\0", "nul"],
])("%j is shown as %j", (text, shown) => {
  expect(harmless(text, utf8)).toBe(shown);
});

test("whatever a template holds, lines are harmless and no wider than the screen", () => {
  const anyText = fc.oneof(
    fc.string({ unit: "binary", maxLength: 300 }),
    fc.constantFrom("\u001b[2J", "漢字".repeat(80), "x".repeat(500), "\u001b]0;a"),
  );
  fc.assert(
    fc.property(anyText, anyText, anyText, fc.boolean(), (a, b, c, unicode) => {
      const agent = {
        name: a,
        operatingSystem: b,
        apps: [{ slug: c }],
        scripts: [{ displayName: a }],
        devcontainers: [{ name: b }],
      };
      const resources = [
        create(ResourceSchema, { type: a, name: b, agents: [agent], metadata: [{ key: c, value: a }] }),
      ];
      const parameters = [create(RichParameterSchema, { name: a, type: b, defaultValue: c, options: [{ value: a }] })];
      const lines = templateTree({ resources, parameters, tags: { [a]: b } }, { columns: 100, unicode });
      for (const line of lines) {
        expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/);
        if (!unicode) expect(line).toMatch(/^[\x20-\x7e]*$/);
        expect(widthOf(line)).toBeLessThanOrEqual(100);
      }
    }),
  );
});
