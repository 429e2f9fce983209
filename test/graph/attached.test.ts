import { describe, expect, test } from "vitest";
import { AppOpenIn, AppSharingLevel } from "../../src/gen/provisioner_pb.ts";
import { agentOf, agents, dot, graphError, plan, resource, state } from "../support/graph-documents.ts";

type Resource = ReturnType<typeof resource>;
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const main = resource("coder_agent.main", {});
const onA = "null_resource.a -> coder_agent.main";
const a = resource("null_resource.a");

describe("instance ids and types", () => {
  const machines = [
    ["google_compute_instance", "instance_id", "machine_type"],
    ["aws_instance", "id", "instance_type"],
    ["aws_spot_instance_request", "spot_instance_id", "instance_type"],
    ["azurerm_linux_virtual_machine", "virtual_machine_id", "size"],
    ["azurerm_windows_virtual_machine", "virtual_machine_id", "size"],
  ] as const;
  const on = (type: string, values: object, agent: object = {}) =>
    state([resource("coder_agent.main", agent), resource(`${type}.m`, values)], dot([`${type}.m -> coder_agent.main`]));
  const auth = (facts: ReturnType<typeof state>) => agents(facts)[0]?.auth;

  for (const [type, id, size] of machines) {
    test(`04#54 ${type}: the instance id comes from ${id}`, () => {
      expect(auth(on(type, { [id]: "i-42" }))).toEqual({ case: "instanceId", value: "i-42" });
      // A token that is known stays; one that is not known yet gives way (spec/04 §3.4).
      expect(auth(on(type, { [id]: "i-42" }, { auth: "token", token: "t" }))).toEqual({ case: "token", value: "t" });
      expect(auth(on(type, { [id]: "i-42" }, { auth: "token" }))).toEqual({ case: "instanceId", value: "i-42" });
      expect(auth(on(type, { [id]: 42 }))).toEqual({ case: "instanceId", value: "" });
      expect(auth(on(type, { [id]: null }, { auth: "token" }))).toEqual({ case: "token", value: "" });
    });

    test(`04#55 ${type}: the instance type comes from ${size}, and must be a string`, () => {
      const typeOf = (values: object) =>
        state([resource(`${type}.m`, values)], "digraph {}").resources[0]?.instanceType;
      expect(typeOf({ [size]: "shape-12" })).toBe("shape-12");
      expect(typeOf({ [size]: 12 })).toBe("");
      expect(typeOf({})).toBe("");
    });
  }

  test("with several instances the first in address order wins, an empty id is passed over", () => {
    const instances = [
      resource("aws_instance.m[2]", { id: "two" }),
      resource("aws_instance.m[10]", { id: "" }),
      resource("aws_instance.m[1]", { id: "one" }),
    ];
    const facts = state([main, ...instances], dot(["aws_instance.m -> coder_agent.main"]));
    expect(facts.resources.map((one) => one.agents[0]?.auth.value)).toEqual(["one", "one", "one"]);
  });

  const given = (name: string, agentId: unknown, instanceId: unknown) =>
    resource(`coder_agent_instance.${name}`, { agent_id: agentId, instance_id: instanceId });

  test("04#56 coder_agent_instance: the later address wins; what is no string is skipped", () => {
    const more = [
      given("b", "agent-1", "later"),
      given("a", "agent-1", "earlier"),
      given("c", "other", "x"),
      given("d", "agent-1", 5),
      given("e", null, "y"),
      resource("coder_agent_instance.f"),
    ];
    expect(agentOf({}, more).auth).toEqual({ case: "instanceId", value: "later" });
  });

  test("04#57 coder_agent_instance for a token agent: the token stays", () => {
    expect(agentOf({ auth: "token", token: "t" }, [given("a", "agent-1", "x")]).auth).toEqual({
      case: "token",
      value: "t",
    });
  });

  test("04#58 by hand and by type: the one by hand stays", () => {
    const facts = state(
      [
        resource("coder_agent.main", { id: "agent-1" }),
        given("a", "agent-1", "by-hand"),
        resource("aws_instance.m", { id: "by-type" }),
      ],
      dot(["aws_instance.m -> coder_agent.main"]),
    );
    expect(auth(facts)).toEqual({ case: "instanceId", value: "by-hand" });
  });
});

describe("what belongs to an agent, at plan", () => {
  const planned = (resources: Resource[], edges: string[]) => agents(plan(resources, dot([onA, ...edges])))[0];
  const app = resource("coder_app.app", { slug: "app" });

  test("04#59 an app with a direct edge", () => {
    expect(planned([main, a, app], ["coder_app.app -> coder_agent.main"])?.apps.map(({ slug }) => slug)).toEqual([
      "app",
    ]);
  });

  test("04#60 an app whose only way goes through another node", () => {
    expect(planned([main, a, app], ["coder_app.app -> null_resource.a"])?.apps).toEqual([]);
  });

  test("04#61 an app in a module, and an agent in a module", () => {
    const graph = dot([onA, "module.m.coder_app.app -> coder_agent.main"]);
    const facts = plan(
      { resources: [main, a], child_modules: [{ resources: [resource("module.m.coder_app.app", { slug: "app" })] }] },
      graph,
    );
    expect(agents(facts)[0]?.apps).toEqual([]);
    const inner = dot([
      "module.m.null_resource.a -> module.m.coder_agent.main",
      "coder_app.app -> module.m.coder_agent.main",
    ]);
    const module = { resources: [resource("module.m.coder_agent.main", {}), resource("module.m.null_resource.a")] };
    const other = plan({ resources: [app], child_modules: [module] }, inner);
    expect(agents(other)).toHaveLength(1);
    expect(agents(other)[0]?.apps).toEqual([]);
  });

  test("04#62 one id known, the other not", () => {
    const edge = ["coder_app.app -> coder_agent.main"];
    expect(planned([resource("coder_agent.main", { id: "agent-1" }), a, app], edge)?.apps).toEqual([]);
    expect(planned([main, a, resource("coder_app.app", { slug: "app", agent_id: "agent-1" })], edge)?.apps).toEqual([]);
  });

  test("04#77 a devcontainer with edges to two agents is under both; an app goes to the first alone", () => {
    const edges = ["null_resource.a -> coder_agent.one", "null_resource.b -> coder_agent.two"];
    const both = (x: string) => [`${x} -> coder_agent.two`, `${x} -> coder_agent.one`];
    const resources = [
      resource("coder_agent.one", {}),
      resource("coder_agent.two", {}),
      a,
      resource("null_resource.b"),
      resource("coder_devcontainer.d", { workspace_folder: "/w" }),
      app,
    ];
    const facts = plan(resources, dot([...edges, ...both("coder_devcontainer.d"), ...both("coder_app.app")]));
    expect(agents(facts).map((agent) => agent.devcontainers.map(({ name }) => name))).toEqual([["d"], ["d"]]);
    expect(agents(facts).map((agent) => agent.apps.length)).toEqual([1, 0]);
  });

  test("an app with edges to a devcontainer and to the second agent goes to the first agent's devcontainer", () => {
    const edges = [
      "null_resource.a -> coder_agent.one",
      "null_resource.b -> coder_agent.two",
      "coder_devcontainer.d -> coder_agent.one",
    ];
    const resources = [
      resource("coder_agent.one", {}),
      resource("coder_agent.two", {}),
      a,
      resource("null_resource.b"),
      resource("coder_devcontainer.d", {}),
      app,
    ];
    const facts = plan(
      resources,
      dot([...edges, "coder_app.app -> coder_agent.two", "coder_app.app -> coder_devcontainer.d"]),
    );
    expect(agents(facts)[0]?.devcontainers[0]?.apps).toHaveLength(1);
    expect(agents(facts)[1]?.apps).toEqual([]);
  });
});

describe("what belongs to an agent, at state", () => {
  test("04#63 an app in a module, plain or counted, with the agent's id", () => {
    const agent = agentOf({}, [
      resource("module.m.coder_app.a", { slug: "plain", agent_id: "agent-1" }),
      resource('module.n["k"].coder_app.a', { slug: "counted", agent_id: "agent-1" }, { type: "coder_app", name: "a" }),
    ]);
    expect(agent.apps.map(({ slug }) => slug)).toEqual(["plain", "counted"]);
  });

  test("04#64 an app with an unknown agent id is dropped, even with an edge", () => {
    const app = resource("coder_app.app", { slug: "app", agent_id: "other" });
    expect(agentOf({}, [app], ["coder_app.app -> coder_agent.main"]).apps).toEqual([]);
  });

  const apps = (...values: Array<Record<string, unknown>>) =>
    agentOf(
      {},
      values.map((one, index) => resource(`coder_app.app-${index}`, { agent_id: "agent-1", ...one })),
    ).apps;

  test("04#65 no slug: the resource's name, and it is checked", () => {
    expect(apps({})[0]?.slug).toBe("app-0");
    const error = graphError(() => agentOf({}, [resource("coder_app.my_app", {})]));
    expect(error.message).toContain('app slug "my_app" does not match regex "^[a-z0-9](-?[a-z0-9])*$"');
  });

  test("04#66 slugs that are refused, and those that are not", () => {
    for (const slug of ["A", "A1", "my_app", "a--b", "a b", " a", "a ", "-a", "a-", "a\n", "$$$ invalid slug $$$"]) {
      const error = graphError(() => apps({ slug }));
      expect(error.message).toContain("does not match regex");
      expect(error.category).toBe("app_slug_regex");
    }
    for (const slug of ["a", "1", "1-1", "a-bc", "abc-123"]) expect(apps({ slug })[0]?.slug).toBe(slug);
  });

  test("04#67 equal slugs, attached or not", () => {
    const twice = (first: string, second: string) =>
      graphError(() =>
        agentOf({}, [
          resource("coder_app.a", { slug: "dev", agent_id: first }),
          resource("coder_app.b", { slug: "dev", agent_id: second }),
        ]),
      );
    for (const error of [twice("agent-1", "agent-1"), twice("agent-1", "none"), twice("none", "nobody")]) {
      expect(error.message).toContain('duplicate app slug, they must be unique per template: "dev"');
      expect(error.category).toBe("duplicate_app_slug");
    }
  });

  test("04#68 display_name, then name, then the slug", () => {
    const names = apps(
      { slug: "x", display_name: "D", name: "N" },
      { slug: "y", name: "N", display_name: "" },
      { slug: "z", name: null },
    );
    expect(names.map(({ displayName }) => displayName)).toEqual(["D", "N", "z"]);
    expect(graphError(() => apps({ display_name: "D", name: 1 })).category).toBe("decode_app");
  });

  test("04#69 share and open_in in any case; unknown words", () => {
    const levels = apps(...["Owner", "AUTHENTICATED", "pubLic", "everyone", ""].map((share) => ({ share }))).map(
      (one) => one.sharingLevel,
    );
    const { OWNER, AUTHENTICATED, PUBLIC } = AppSharingLevel;
    expect(levels).toEqual([OWNER, AUTHENTICATED, PUBLIC, OWNER, OWNER]);
    const open = apps(...["SLIM-window", "Tab", "window", "", null].map((open_in) => ({ open_in }))).map(
      (one) => one.openIn,
    );
    const { SLIM_WINDOW, TAB } = AppOpenIn;
    expect(open).toEqual([SLIM_WINDOW, TAB, SLIM_WINDOW, SLIM_WINDOW, SLIM_WINDOW]);
  });

  test("04#70 two healthchecks: the first; none: not set", () => {
    const [two, none, empty] = apps(
      { healthcheck: [{ url: "u", interval: 5, threshold: 6 }, { url: "v" }] },
      { healthcheck: [] },
      { healthcheck: [null] },
    );
    expect(two?.healthcheck).toMatchObject({ url: "u", interval: 5, threshold: 6 });
    expect(none?.healthcheck).toBeUndefined();
    expect(empty?.healthcheck).toMatchObject({ url: "", interval: 0, threshold: 0 });
  });

  test("04#71 an app without id gets some UUID of its own, one with an id keeps it", () => {
    const [first, second, third] = apps({ id: null }, {}, { id: "given" });
    expect(first?.id).toMatch(uuid);
    expect(second?.id).toMatch(uuid);
    expect(second?.id).not.toBe(first?.id);
    expect(third?.id).toBe("given");
  });

  test("every other attribute of an app goes to its field", () => {
    const values = {
      command: "c",
      url: "u",
      external: true,
      icon: "i",
      subdomain: true,
      order: 3,
      group: "g",
      hidden: true,
      tooltip: "t",
    };
    expect(apps(values)[0]).toMatchObject({ ...values, order: 3n });
  });

  test("04#72 two envs with one name: both, in address order, with their strategies", () => {
    const env = (name: string, value: string, merge_strategy?: string) =>
      resource(`coder_env.${name}`, { name: "PATH", value, merge_strategy, agent_id: "agent-1" });
    expect(agentOf({}, [env("z", "1", "append"), env("a", "2")]).extraEnvs).toMatchObject([
      { name: "PATH", value: "2", mergeStrategy: "" },
      { name: "PATH", value: "1", mergeStrategy: "append" },
    ]);
  });

  test("04#73 scripts after legacy scripts, in address order", () => {
    const script = (name: string, values: object = {}) =>
      resource(`coder_script.${name}`, { display_name: name, agent_id: "agent-1", ...values });
    const all = {
      icon: "i",
      script: "s",
      cron: "c",
      log_path: "l",
      start_blocks_login: true,
      run_on_start: true,
      run_on_stop: true,
      timeout: 60,
    };
    const { scripts } = agentOf({ startup_script: "up", shutdown_script: "down" }, [script("z"), script("a", all)]);
    expect(scripts.map(({ displayName }) => displayName)).toEqual(["Startup Script", "Shutdown Script", "a", "z"]);
    expect(scripts[2]).toMatchObject({
      icon: "i",
      script: "s",
      cron: "c",
      logPath: "l",
      startBlocksLogin: true,
      runOnStart: true,
      runOnStop: true,
      timeoutSeconds: 60,
    });
  });

  const devcontainer = (name: string, agentId = "agent-1") =>
    resource(`coder_devcontainer.${name}`, {
      id: `id-${name}`,
      subagent_id: `sub-${name}`,
      workspace_folder: "/w",
      config_path: "/c",
      agent_id: agentId,
    });

  test("04#74 a devcontainer's fields", () => {
    expect(agentOf({}, [devcontainer("d")]).devcontainers).toMatchObject([
      { id: "id-d", subagentId: "sub-d", workspaceFolder: "/w", configPath: "/c", name: "d" },
    ]);
  });

  test("04#75 what refers to the subagent is under the devcontainer, not the agent", () => {
    const to = { agent_id: "sub-d" };
    const agent = agentOf({}, [
      devcontainer("d"),
      resource("coder_app.x", to),
      resource("coder_env.x", { name: "E", ...to }),
      resource("coder_script.x", { display_name: "S", ...to }),
    ]);
    expect([agent.apps, agent.extraEnvs, agent.scripts]).toEqual([[], [], []]);
    const [inner] = agent.devcontainers;
    expect(inner?.apps.map(({ slug }) => slug)).toEqual(["x"]);
    expect(inner?.envs.map(({ name }) => name)).toEqual(["E"]);
    expect(inner?.scripts.map(({ displayName }) => displayName)).toEqual(["S"]);
  });

  test("04#76 a devcontainer of the first of two agents is only there", () => {
    const second = [resource("coder_agent.second", { id: "agent-2" }), devcontainer("d")];
    const facts = state(
      [resource("coder_agent.main", { id: "agent-1" }), a, ...second],
      dot([onA, "null_resource.a -> coder_agent.second"]),
    );
    expect(agents(facts).map((agent) => [agent.name, agent.devcontainers.length])).toEqual([
      ["main", 1],
      ["second", 0],
    ]);
  });

  test("an agent that was dropped takes its parts with it", () => {
    const facts = state(
      [
        resource("coder_agent.main", { id: "agent-1" }),
        devcontainer("d"),
        resource("coder_app.x", { agent_id: "sub-d" }),
      ],
      dot([], ["coder_agent.main"]),
    );
    expect(agents(facts)).toEqual([]);
  });
});

test("every kind refuses a wrong type under its own prefix", () => {
  for (const [type, attribute, prefix, category] of [
    ["coder_agent", "os", "decode agent attributes", "decode_agent"],
    ["coder_app", "agent_id", "decode app attributes", "decode_app"],
    ["coder_script", "agent_id", "decode script attributes", "decode_script"],
    ["coder_env", "agent_id", "decode env attributes", "decode_env"],
    ["coder_devcontainer", "agent_id", "decode devcontainer attributes", "decode_devcontainer"],
    ["coder_metadata", "resource_id", "decode metadata attributes", "decode_metadata"],
    ["coder_parameter", "name", "decode map values for coder_parameter.x", "decode_parameter"],
    ["coder_workspace_preset", "name", "decode preset attributes", "decode_preset"],
    ["coder_ai_task", "id", "decode coder_ai_task attributes", "decode_ai_task"],
  ]) {
    const error = graphError(() =>
      state([resource(`${type}.x`, { [attribute as string]: ["secret"] })], dot([], [`${type}.x`])),
    );
    expect(error.category).toBe(category);
    expect(error.message).toBe(
      `convert state for graph: ${prefix}: attribute "${attribute}": a list: expected a string`,
    );
  }
});
