import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { convertPlan, convertState, type GraphFacts } from "../../src/graph/convert.ts";
import { planFacts } from "../../src/graph/plan-facts.ts";
import { bytes, graphError, printed } from "../support/graph-documents.ts";
import { sharedFolder } from "../support/shared.ts";

type Step = "plan" | "state";
type Expectation = Record<string, unknown> & { error?: { category: string; message_contains: string } | null };
interface ExactIds {
  agent: string;
  resource: string;
  id?: string;
  token?: string;
  instance_id?: string;
  apps?: Array<{ slug: string; id: string }>;
  devcontainers?: Array<{ name: string; id: string; subagent_id: string; apps?: Array<{ slug: string; id: string }> }>;
}
interface Case {
  id: string;
  kind: "fixture_mutation" | "inline";
  folder: string;
  step: Step;
  mutations: Mutation[];
  json: unknown;
  dot: string;
  expect: Expectation;
  exact_ids?: ExactIds[];
}
interface Mutation {
  section: "planned_values" | "prior_state" | "values";
  type: string;
  name?: string;
  which: "first" | "all";
  set: Record<string, unknown>;
}

const read = (path: string) => readFileSync(`${sharedFolder}/cases/${path}`, "utf8");
// biome-ignore lint/suspicious/noExplicitAny: recorded documents have no type
const json = (path: string): any => JSON.parse(read(path));
const none = () => undefined;

function convert(step: Step, document: unknown, dot: string): GraphFacts {
  return (step === "plan" ? convertPlan : convertState)(bytes(document), dot, none);
}

function check(expected: Expectation, run: () => GraphFacts): void {
  if (expected.error) {
    const error = graphError(run);
    expect(error.category).toBe(expected.error.category);
    expect(error.message).toContain(expected.error.message_contains);
    return;
  }
  const facts = printed(run());
  const { error: _, ...wanted } = expected;
  for (const [key, value] of Object.entries(wanted)) expect(facts[key], key).toEqual(value);
}

/** What a state fixes beyond the printed form: agents and their parts with their ids, in order of the resources. */
function exactIds(facts: GraphFacts): ExactIds[] {
  const apps = (list: Array<{ slug: string; id: string }>) =>
    list.length > 0 ? { apps: list.map(({ slug, id }) => ({ slug, id })) } : {};
  return facts.resources.flatMap((resource) =>
    resource.agents.map((agent) => ({
      agent: agent.name,
      resource: `${resource.type}.${resource.name}`,
      ...(agent.id && { id: agent.id }),
      ...(agent.auth.case === "token" && agent.auth.value && { token: agent.auth.value }),
      ...(agent.auth.case === "instanceId" && agent.auth.value && { instance_id: agent.auth.value }),
      ...apps(agent.apps),
      ...(agent.devcontainers.length > 0 && {
        devcontainers: agent.devcontainers.map((one) => {
          return { name: one.name, id: one.id, subagent_id: one.subagentId, ...apps(one.apps) };
        }),
      }),
    })),
  );
}

const folders = sharedFolder
  ? readdirSync(`${sharedFolder}/cases/graph`).filter((f) => f.endsWith(".expected.json"))
  : [];

describe.skipIf(!sharedFolder)("recorded templates", () => {
  test("are all there", () => expect(folders.length).toBeGreaterThanOrEqual(32));

  for (const file of folders) {
    const folder = file.replace(".expected.json", "");
    for (const step of ["plan", "state"] as const) {
      test(`${folder}: ${step}`, () => {
        const expected = json(`graph/${file}`);
        const path = `templates/${folder}/${folder}.tf${step}`;
        const run = () => convert(step, read(`${path}.json`), read(`${path}.dot`));
        check(expected[step], run);
        const ids = expected.exact_ids?.[step];
        if (ids) expect(exactIds(run())).toEqual(ids);
      });
    }
  }
});

for (const file of ["errors.json", "accepted.json"]) {
  describe.skipIf(!sharedFolder)(`recorded ${file}`, () => {
    const cases: Case[] = sharedFolder ? json(`graph/${file}`).cases : [];
    for (const one of cases) {
      test(one.id, () => {
        const run = () => convert(one.step, one.kind === "inline" ? one.json : mutated(one), dotOf(one));
        check(one.expect, run);
        if (one.exact_ids) expect(exactIds(run())).toEqual(one.exact_ids);
      });
    }
  });
}

function dotOf(one: Case): string {
  return one.kind === "inline" ? one.dot : read(`templates/${one.folder}/${one.folder}.tf${one.step}.dot`);
}

function mutated(one: Case): unknown {
  const document = json(`templates/${one.folder}/${one.folder}.tf${one.step}.json`);
  for (const { section, type, name, which, set } of one.mutations) {
    const values = section === "prior_state" ? document.prior_state.values : document[section];
    const all = values.root_module.resources.filter(
      (resource: { type: string; name: string }) => resource.type === type && (!name || resource.name === name),
    );
    expect(all).not.toEqual([]);
    for (const [index, resource] of (which === "first" ? all.slice(0, 1) : all).entries()) {
      for (const [path, value] of Object.entries(set)) {
        const keys = path.split(".");
        const last = keys.pop() as string;
        const cycle = (value as { cycle?: unknown[] }).cycle;
        keys.reduce((target, key) => target[key], resource)[last] = cycle ? cycle[index % cycle.length] : value;
      }
    }
  }
  return document;
}

describe.skipIf(!sharedFolder)("recorded plan_facts.json", () => {
  const groups = sharedFolder ? json("graph/plan_facts.json") : {};
  const facts = (changes: unknown) => planFacts(bytes({ format_version: "1.2", resource_changes: changes }));

  for (const one of groups.with_paths ?? []) {
    test(`03#84 04#112 with_paths: ${one.name}`, () => {
      const found = facts(one.resource_changes).resourceReplacements;
      expect(Object.fromEntries(found.map(({ resource, paths }) => [resource, paths]))).toEqual(one.expect);
    });
  }
  for (const one of groups.all ?? []) {
    test(`all: ${one.name}`, () => {
      const lines = facts(one.resource_changes).replacementLog.map(({ output }) => output);
      const headings = lines.filter((line) => line.startsWith("  -/+ "));
      expect(headings).toEqual(one.expect.map(({ resource }: { resource: string }) => `  -/+ ${resource} (replace)`));
      for (const { paths } of one.expect) {
        for (const path of paths) expect(lines.some((line) => line.startsWith(`      ~ ${path}`))).toBe(true);
        if (paths.length === 0) expect(lines).toContain("      ~ replacement reason unavailable");
      }
    });
  }
  for (const one of groups.has_replacement ?? []) {
    test(`has_replacement: ${one.name}`, () => expect(facts(one.resource_changes).replaces).toBe(one.expect));
  }
  for (const one of groups.log ?? []) {
    test(`03#85 04#113 log: ${one.name}`, () => {
      expect(facts(one.resource_changes).replacementLog.map(({ output }) => output)).toEqual(one.expect_warn_lines);
    });
  }
  test("no group is left out", () => {
    const known = ["about", "source", "with_paths", "all", "has_replacement", "log"];
    expect(Object.keys(groups).filter((key) => !known.includes(key))).toEqual([]);
  });
});
