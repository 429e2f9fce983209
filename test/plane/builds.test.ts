import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { RichParameterSchema, RichParameterValueSchema } from "../../src/gen/provisioner_pb.ts";
import { CompletedJob_TemplateImportSchema } from "../../src/gen/provisionerd_pb.ts";
import { type ParameterSources, resolveParameters } from "../../src/plane/parameters.ts";
import { importTemplate, scene } from "../support/plane-life.ts";

const parameters = (...list: MessageInitShape<typeof RichParameterSchema>[]) =>
  list.map((parameter) => create(RichParameterSchema, { mutable: true, ...parameter }));
const value = (name: string, text: string) => create(RichParameterValueSchema, { name, value: text });

function resolve(list: ReturnType<typeof parameters>, sources: Partial<ParameterSources>): Record<string, string> {
  const values = resolveParameters(list, { given: {}, preset: {}, previous: undefined, ...sources });
  return Object.fromEntries(values.map((row) => [row.name, row.value]));
}

describe("parameter values of a build", () => {
  test("given beats preset beats the build before beats the default", () => {
    const list = parameters(...["a", "b", "c", "d"].map((name) => ({ name, defaultValue: "default" })));
    const previous = ["a", "b", "c"].map((name) => value(name, "previous"));
    const preset = { a: "preset", b: "preset" };
    expect(resolve(list, { given: { a: "given" }, preset, previous })).toEqual({
      a: "given",
      b: "preset",
      c: "previous",
      d: "default",
    });
  });

  test("an ephemeral parameter forgets", () => {
    const list = parameters({ name: "debug", ephemeral: true, defaultValue: "false" });
    expect(resolve(list, { previous: [value("debug", "true")] })).toEqual({ debug: "false" });
  });

  test("a required one without a value, an immutable one that changes, no option and an unknown name are refused", () => {
    expect(() => resolve(parameters({ name: "r", required: true }), {})).toThrow(/"r".*required/);
    const fixed = parameters({ name: "i", mutable: false });
    expect(() => resolve(fixed, { given: { i: "2" }, previous: [value("i", "1")] })).toThrow(/"i".*immutable/);
    expect(resolve(fixed, { given: { i: "2" } })).toEqual({ i: "2" });
    const options = parameters({ name: "o", options: [{ name: "One", value: "1" }] });
    expect(() => resolve(options, { given: { o: "2" } })).toThrow(/"o".*"1"/);
    expect(() => resolve(options, { given: { x: "1" } })).toThrow(/"x"/);
  });
});

describe("workspace tags of a build", () => {
  test("constants are folded into the job's tags, over the import's", async () => {
    await using s = await scene();
    const { template } = await importTemplate(s, {}, { workspaceTags: { cluster: '"dev"', size: "3", gpu: "true" } });
    const { job } = s.plane.createWorkspace({ templateId: template.id, name: "w" });
    expect(job.tags).toEqual({ scope: "organization", owner: "", cluster: "dev", size: "3", gpu: "true" });
  });

  test("an expression fails the build, naming the tag, and leaves no workspace", async () => {
    await using s = await scene();
    const { template } = await importTemplate(
      s,
      {},
      { workspaceTags: { region: "data.coder_parameter.region.value" } },
    );
    expect(() => s.plane.createWorkspace({ templateId: template.id, name: "w" })).toThrow(/workspace tag "region"/);
    expect(s.plane.workspaces()).toEqual([]);
  });

  test("a user-scoped import makes builds for the owner's daemons (spec/02 §5.2)", async () => {
    await using s = await scene();
    const { user } = s.plane.createUser({ name: "ana" });
    const { template } = await importTemplate(s);
    const { job } = s.plane.createWorkspace({ templateId: template.id, name: "w", ownerId: user.id });
    expect(job).toMatchObject({ initiatorName: "ana", tags: { scope: "organization", owner: "" } });
  });
});

describe("what an older server keeps of an import", () => {
  test("1.14 records stop_modules of an agent that sends them; 1.18 does not look", async () => {
    for (const [minor, count] of [
      [14, 1],
      [18, 0],
    ] as const) {
      await using s = await scene({ apiVersion: { major: 1, minor } });
      // Field 7, a Module {source: "x"}: tag 0x3a, length 3.
      const value = create(CompletedJob_TemplateImportSchema);
      value.$unknown = [{ no: 7, wireType: 2, data: new Uint8Array([3, 0x0a, 1, 0x78]) }];
      const { version } = await importTemplate(s, value);
      expect(s.plane.version(version.id).stopModules).toHaveLength(count);
    }
  });

  test("1.3 keeps presets but no plan, no module files and no prebuild", async () => {
    await using s = await scene({ apiVersion: { major: 1, minor: 3 } });
    const some = new Uint8Array([1]);
    const presets = [{ name: "p", prebuild: { instances: 1 } }];
    const { version } = await importTemplate(s, { plan: some, moduleFiles: some, presets, hasAiTasks: true });
    const kept = s.plane.version(version.id);
    expect(kept.plan).toHaveLength(0);
    expect(kept).toMatchObject({ presets: [{ name: "p" }], hasAiTasks: false });
    expect(kept.presets[0]?.prebuild).toBeUndefined();
    expect(kept.moduleFileId).toBeUndefined();
  });

  test("1.0 reads the names of external auth providers", async () => {
    await using s = await scene({ apiVersion: { major: 1, minor: 0 }, externalAuthProviders: ["github"] });
    const both = { externalAuthProvidersNames: ["github"], externalAuthProviders: [{ id: "unknown" }] };
    const { version } = await importTemplate(s, both);
    expect(s.plane.version(version.id).externalAuth).toMatchObject([{ id: "github" }]);
  });

  test("1.7 to 1.10 demand the sidebar app of an AI task; later ones take app_id", async () => {
    const app = "11111111-1111-4111-8111-111111111111";
    for (const [minor, ok] of [
      [10, false],
      [11, true],
    ] as const) {
      await using s = await scene({ apiVersion: { major: 1, minor } });
      const { template } = await importTemplate(s);
      const { job } = s.plane.createWorkspace({ templateId: template.id, name: "w" });
      await s.agent.acquire();
      const complete = (aiTasks: object[]) =>
        s.agent.complete({ jobId: job.id, type: { case: "workspaceBuild", value: { aiTasks } } });
      if (ok) await complete([{ id: app, appId: app }]);
      else await expect(complete([{ id: app, appId: app }])).rejects.toThrow("sidebar app");
      if (!ok) await complete([{ id: app, sidebarApp: { id: app } }]);
    }
  });
});
