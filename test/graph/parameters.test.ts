import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { AITaskSchema, ParameterFormType, PresetSchema, RichParameterSchema } from "../../src/gen/provisioner_pb.ts";
import { dot, graphError, printed, resource, state } from "../support/graph-documents.ts";

const empty = "digraph {}";
const parameterAt = (address: string, values: object) => resource(address, values);
const parameters = (...values: object[]) =>
  state(
    values.map((one, i) => parameterAt(`data.coder_parameter.p${i}`, { name: `p${i}`, ...one })),
    empty,
  ).parameters;
const parameter = (values: object) => parameters(values)[0];

describe("parameters", () => {
  test("04#88 grandchildren, children, root; within each the order of the list", () => {
    const at = (module: string, ...names: string[]) =>
      names.map((name) => parameterAt(`${module}data.coder_parameter.${name}`, { name: module + name, order: 1 }));
    const facts = state(
      {
        resources: at("", "z", "a"),
        child_modules: [
          {
            address: "module.n",
            resources: at("module.n.", "n"),
            child_modules: [{ address: "module.n.module.o", resources: at("module.n.module.o.", "o") }],
          },
          { address: "module.m", resources: at("module.m.", "m") },
        ],
      },
      empty,
    );
    expect(facts.parameters.map(({ name }) => name)).toEqual([
      "module.n.module.o.o",
      "module.n.n",
      "module.m.m",
      "z",
      "a",
    ]);
  });

  test("04#89 optional false, null or absent: required; default null: empty", () => {
    expect(
      parameters({ optional: false }, { optional: null }, {}, { optional: true }).map(({ required }) => required),
    ).toEqual([true, true, true, false]);
    expect(parameters({ default: null }, {}, { default: "x" }).map(({ defaultValue }) => defaultValue)).toEqual([
      "",
      "",
      "x",
    ]);
  });

  test("04#90 form types", () => {
    const { DEFAULT, FORM_ERROR, RADIO, DROPDOWN, INPUT, TEXTAREA, SLIDER, CHECKBOX, SWITCH, TAGSELECT, MULTISELECT } =
      ParameterFormType;
    const words = [
      "error",
      "radio",
      "dropdown",
      "input",
      "textarea",
      "slider",
      "checkbox",
      "switch",
      "tag-select",
      "multi-select",
      "",
      null,
      undefined,
    ];
    const types = parameters(...words.map((form_type) => ({ form_type }))).map(({ formType }) => formType);
    expect(types).toEqual([
      FORM_ERROR,
      RADIO,
      DROPDOWN,
      INPUT,
      TEXTAREA,
      SLIDER,
      CHECKBOX,
      SWITCH,
      TAGSELECT,
      MULTISELECT,
      DEFAULT,
      DEFAULT,
      DEFAULT,
    ]);
    for (const word of ["Radio", "select", "__proto__", "constructor"]) {
      const error = graphError(() => parameter({ form_type: word }));
      expect(error.message).toBe(
        `convert state for graph: decode form_type for coder_parameter.p0: unsupported form type: ${word}`,
      );
      expect(error.category).toBe("form_type");
    }
  });

  const validated = (...validation: Array<object | null>) => {
    const { validationRegex, validationError, validationMonotonic, validationMin, validationMax } =
      parameter({ validation }) ?? {};
    return {
      regex: validationRegex,
      error: validationError,
      monotonic: validationMonotonic,
      min: validationMin,
      max: validationMax,
    };
  };
  const none = { regex: "", error: "", monotonic: "", min: undefined, max: undefined };

  test("04#91 min alone: max is absent", () => {
    expect(validated({ min: 3, max: 0, min_disabled: false, max_disabled: true })).toEqual({ ...none, min: 3 });
    expect(
      validated({ min: 0, min_disabled: false, max_disabled: true, regex: "r", error: "e", monotonic: "increasing" }),
    ).toEqual({
      regex: "r",
      error: "e",
      monotonic: "increasing",
      min: 0,
      max: undefined,
    });
    expect(validated({ min: 3, min_disabled: true, max_disabled: true })).toEqual(none);
    // The key alone tells a current provider, even as null.
    expect(validated({ min_disabled: null })).toEqual({ ...none, min: 0, max: 0 });
  });

  test("04#92 max 0 is present, and on the wire", () => {
    const found = parameter({ validation: [{ min: null, max: 0, min_disabled: true, max_disabled: false }] });
    expect(found?.validationMax).toBe(0);
    const decoded = fromBinary(
      RichParameterSchema,
      toBinary(RichParameterSchema, found ?? create(RichParameterSchema)),
    );
    expect(Object.hasOwn(decoded, "validationMax")).toBe(true);
    expect(Object.hasOwn(decoded, "validationMin")).toBe(false);
  });

  test("04#93 an old provider: one bound brings the other, none brings none", () => {
    expect(validated({ min: 3 })).toEqual({ ...none, min: 3, max: 0 });
    expect(validated({ max: -1, min: null })).toEqual({ ...none, min: 0, max: -1 });
    expect(validated({ min: 0, max: 0 })).toEqual(none);
    expect(validated({ min: null, max: null })).toEqual(none);
    expect(validated(null)).toEqual(none);
  });

  test("04#94 two validation blocks: nothing; a wrong type in either is still an error", () => {
    const block = { min: 1, max: 2, min_disabled: false, max_disabled: false, regex: "r", error: "e", monotonic: "m" };
    expect(validated(block, block)).toEqual(none);
    expect(validated()).toEqual(none);
    expect(graphError(() => validated(block, { min: "1" })).category).toBe("decode_parameter");
  });

  test("04#95 options in list order, nulls as empty", () => {
    const option = [{ name: "z", description: null, value: "1", icon: "i" }, { name: "a", value: null }, null];
    expect(parameter({ option })?.options).toMatchObject([
      { name: "z", description: "", value: "1", icon: "i" },
      { name: "a", description: "", value: "", icon: "" },
      { name: "", description: "", value: "", icon: "" },
    ]);
  });

  test("every other attribute goes to its field", () => {
    const values = {
      display_name: "D",
      description: "d",
      icon: "i",
      type: "list(string)",
      mutable: true,
      ephemeral: true,
      order: 7,
      value: 1,
      styling: 2,
    };
    expect(parameter(values)).toMatchObject({
      displayName: "D",
      description: "d",
      icon: "i",
      type: "list(string)",
      mutable: true,
      ephemeral: true,
      order: 7,
    });
  });

  test("04#96 equal names: the sentence with one, two and three", () => {
    const sentence = (...names: string[]) => graphError(() => parameters(...names.map((name) => ({ name })))).message;
    const start = "convert state for graph: coder_parameter names must be unique but";
    expect(sentence("x", "x")).toBe(`${start} "x" appears multiple times`);
    // In the order in which the second occurrence is met, each once.
    expect(sentence("x", "y", "y", "x", "y", "z")).toBe(`${start} "y" and "x" appear multiple times`);
    expect(sentence("x", "y", "z", "x", "y", "z")).toBe(`${start} "x", "y" and "z" appear multiple times`);
    expect(graphError(() => parameters({ name: "x" }, { name: "x" })).category).toBe("duplicate_parameter");
    // Two instances of one address count too: this list is not deduplicated.
    const twice = parameterAt("data.coder_parameter.p", { name: "x" });
    expect(graphError(() => state([twice, twice], empty)).category).toBe("duplicate_parameter");
  });

  test("04#97 names that differ in case", () => {
    expect(parameters({ name: "x" }, { name: "X" })).toHaveLength(2);
  });

  test("04#98 a default that is a number", () => {
    const error = graphError(() => parameter({ default: 4 }));
    expect(error.message).toContain("decode map values for coder_parameter.p0");
    expect(error.category).toBe("decode_parameter");
  });
});

describe("presets", () => {
  const preset = (name: string, values: object = {}) =>
    resource(`data.coder_workspace_preset.${name}`, { name, ...values });
  const presets = (...values: object[]) =>
    state(
      values.map((one, i) => preset(`p${i}`, one)),
      empty,
    ).presets;

  test("04#99 without prebuilds: present and empty", () => {
    for (const values of [{}, { prebuilds: null }, { prebuilds: [] }]) {
      const [found] = presets(values);
      expect(found?.prebuild).toMatchObject({ instances: 0 });
      const decoded = fromBinary(PresetSchema, toBinary(PresetSchema, found ?? create(PresetSchema)));
      expect(decoded.prebuild).toBeDefined();
      expect(decoded.prebuild?.expirationPolicy).toBeUndefined();
      expect(decoded.prebuild?.scheduling).toBeUndefined();
    }
  });

  test("04#100 policy and two schedules: all fields, schedules in order", () => {
    const schedule = [
      { cron: "* 8-18 * * 1-5", instances: 3 },
      { cron: "* 8-14 * * 6", instances: 1 },
    ];
    const prebuilds = [
      {
        instances: 4,
        expiration_policy: [{ ttl: 86400 }, { ttl: 1 }],
        scheduling: [{ timezone: "UTC", schedule }, { timezone: "x" }],
      },
      { instances: 9 },
    ];
    const facts = state(
      [preset("p", { description: "d", icon: "i", default: true, parameters: { b: "2", a: "1", c: null }, prebuilds })],
      empty,
    );
    expect(printed(facts)["presets"]).toEqual([
      {
        name: "p",
        description: "d",
        icon: "i",
        default: true,
        parameters: [{ name: "a", value: "1" }, { name: "b", value: "2" }, { name: "c" }],
        prebuild: { instances: 4, expiration_policy: { ttl: 86400 }, scheduling: { timezone: "UTC", schedule } },
      },
    ]);
    const [bare] = presets({ prebuilds: [{ expiration_policy: [], scheduling: [] }] });
    expect(bare?.prebuild?.expirationPolicy).toBeUndefined();
    expect(bare?.prebuild?.scheduling).toBeUndefined();
  });

  test("04#101 two defaults, over all modules; one is fine", () => {
    expect(presets({ default: true }, { default: false }, {})).toHaveLength(3);
    const inModule = {
      resources: [preset("a", { default: true })],
      child_modules: [{ resources: [preset("b", { default: true })] }],
    };
    const error = graphError(() => state(inModule, empty));
    expect(error.message).toContain("a maximum of 1 coder_workspace_preset can be marked as default, but 2 are set");
    expect(error.category).toBe("multiple_default_presets");
  });

  test("04#102 two of one name, and an unknown parameter: fine, with a note", () => {
    const notes: Array<{ level: number; text: string }> = [];
    const facts = state([preset("p"), preset("q", { name: "p", parameters: { ghost: "x" } })], empty, notes);
    expect(facts.presets.map(({ name }) => name)).toEqual(["p", "p"]);
    expect(notes).toEqual([{ level: 3, text: expect.stringContaining("ghost") }]);
  });

  test("04#103 numbers beyond int32 are clamped", () => {
    const big = 2147483648;
    const prebuilds = [
      { instances: big, expiration_policy: [{ ttl: 1e12 }], scheduling: [{ schedule: [{ instances: 1e300 }] }] },
    ];
    const [found] = presets({ prebuilds });
    expect(found?.prebuild).toMatchObject({ instances: 2147483647, expirationPolicy: { ttl: 2147483647 } });
    expect(found?.prebuild?.scheduling?.schedule[0]?.instances).toBe(2147483647);
  });
});

describe("external auth, AI tasks, external agents", () => {
  const auth = (address: string, id: unknown, optional?: unknown) => resource(`data.${address}`, { id, optional });
  const providers = (...resources: ReturnType<typeof resource>[]) => state(resources, empty).externalAuthProviders;

  test("04#104 sorted by id; optional is false when it is no bool", () => {
    const found = providers(
      auth("coder_external_auth.a", "z", null),
      auth("coder_external_auth.b", "a", true),
      auth("coder_external_auth.c", "m", "true"),
    );
    expect(found).toMatchObject([
      { id: "a", optional: true },
      { id: "m", optional: false },
      { id: "z", optional: false },
    ]);
  });

  test("04#105 of equal ids coder_external_auth wins, and the greater address", () => {
    const git = auth("coder_git_auth.z", "github", true);
    expect(providers(auth("coder_external_auth.a", "github", false), git)).toMatchObject([
      { id: "github", optional: false },
    ]);
    expect(
      providers(git, auth("coder_external_auth.a", "github", true), auth("coder_external_auth.b", "github", false)),
    ).toMatchObject([{ optional: false }]);
    expect(providers(git)).toMatchObject([{ id: "github", optional: true }]);
  });

  test("04#106 an id that is missing, null or a number", () => {
    for (const id of [undefined, null, 5]) {
      const error = graphError(() => providers(auth("coder_external_auth.a", id)));
      expect(error.message).toBe("convert state for graph: external auth id is not a string");
      expect(error.category).toBe("external_auth_id");
    }
  });

  const task = (values: object, name = "t") => resource(`coder_ai_task.${name}`, { id: "task", ...values });

  test("04#107 app_id and sidebar_app", () => {
    const ids = (values: object) => {
      const [found] = state([task(values)], empty).aiTasks;
      const decoded = fromBinary(AITaskSchema, toBinary(AITaskSchema, found ?? create(AITaskSchema)));
      return [decoded.id, decoded.appId, decoded.sidebarApp?.id];
    };
    expect(ids({ app_id: "a" })).toEqual(["task", "a", "a"]);
    expect(ids({ sidebar_app: [{ id: "s" }, { id: "t" }] })).toEqual(["task", "s", "s"]);
    expect(ids({ app_id: "a", sidebar_app: [{ id: "s" }] })).toEqual(["task", "a", "a"]);
    expect(ids({ app_id: "", sidebar_app: [] })).toEqual(["task", "", ""]);
  });

  test("04#108 two tasks: both; count 0: none, though the graph has the node", () => {
    const two = state([task({}, "b"), task({ id: "second" }, "a")], empty);
    expect([two.aiTasks.map(({ id }) => id), two.hasAiTasks]).toEqual([["task", "second"], true]);
    const zero = state([], dot([], ["coder_ai_task.t"]));
    expect([zero.aiTasks, zero.hasAiTasks]).toEqual([[], false]);
  });

  test("04#109 a coder_external_agent node in the root or in a module, without any instance", () => {
    const has = (...labels: string[]) => state([], dot([], labels)).hasExternalAgents;
    expect(has("coder_external_agent.x")).toBe(true);
    expect(has("module.m.coder_external_agent.x")).toBe(true);
    expect(has("my_coder_external_agent.x", "module.coder_external_agent", "null_resource.coder_external_agent")).toBe(
      false,
    );
    expect(state([resource("coder_external_agent.x")], empty).hasExternalAgents).toBe(false);
  });
});
