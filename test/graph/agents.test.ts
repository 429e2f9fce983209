import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { AgentSchema } from "../../src/gen/provisioner_pb.ts";
import { agentOf, agents, dot, graphError, placed, resource, state } from "../support/graph-documents.ts";

const main = resource("coder_agent.main", {});
const named = (name: string) => resource(`coder_agent.${name}`, {});
const nameError = (name: string, more = [] as ReturnType<typeof resource>[]) =>
  graphError(() =>
    state(
      [resource("coder_agent.main", {}, { name }), ...more],
      dot([], ["coder_agent.main", ...more.map((r) => r.address)]),
    ),
  );

describe("which resource an agent goes to", () => {
  test("04#20 one dependant", () => {
    const facts = state(
      [main, resource("null_resource.a"), resource("null_resource.b")],
      dot(["null_resource.a -> coder_agent.main"], ["null_resource.b"]),
    );
    expect(placed(facts)).toEqual({ "null_resource.a": ["main"], "null_resource.b": [] });
  });

  test("04#21 a chain: the direct dependant", () => {
    const facts = state(
      [main, resource("null_resource.a"), resource("null_resource.b")],
      dot(["null_resource.a -> null_resource.b -> coder_agent.main"]),
    );
    expect(placed(facts)).toEqual({ "null_resource.a": [], "null_resource.b": ["main"] });
  });

  test("04#22 two at one distance: the smaller label, with its type", () => {
    const graph = dot(["docker_container.z -> coder_agent.main", "null_resource.a -> coder_agent.main"]);
    const facts = state([main, resource("docker_container.z"), resource("null_resource.a")], graph);
    expect(placed(facts)).toEqual({ "docker_container.z": ["main"], "null_resource.a": [] });
    const sameType = dot(["null_resource.b -> coder_agent.main", "null_resource.a -> coder_agent.main"]);
    expect(
      placed(state([main, resource("null_resource.a"), resource("null_resource.b")], sameType))["null_resource.a"],
    ).toEqual(["main"]);
  });

  test("04#23 near beats far, whatever the names", () => {
    const graph = dot(["null_resource.aaa -> local.l! -> coder_agent.main", "null_resource.near -> coder_agent.main"]);
    const facts = state([main, resource("null_resource.aaa"), resource("null_resource.near")], graph);
    expect(placed(facts)).toEqual({ "null_resource.aaa": [], "null_resource.near": ["main"] });
  });

  test("04#23 the distance is the shortest way, and the tie is broken at the end of it", () => {
    // z is 1 away by one way and 3 by another; a is 2 away.
    const graph = dot([
      "null_resource.z -> local.a! -> coder_agent.main",
      "null_resource.z -> local.d! -> local.c! -> local.b! -> coder_agent.main",
      "null_resource.a -> local.c!",
    ]);
    expect(
      placed(state([main, resource("null_resource.a"), resource("null_resource.z")], graph))["null_resource.z"],
    ).toEqual(["main"]);
  });

  test("04#24 through a data source, a module input and into a module", () => {
    const graph = dot([
      "module.m.null_resource.example -> module.m.data.null_data_source.script -> module.m.var.script! -> coder_agent.main",
    ]);
    const facts = state(
      {
        resources: [main],
        child_modules: [
          {
            address: "module.m",
            resources: [resource("module.m.data.null_data_source.script"), resource("module.m.null_resource.example")],
          },
        ],
      },
      graph,
    );
    expect(placed(facts)).toEqual({ "module.m.null_resource.example": ["main"] });
  });

  test("04#25 through a coder_app, which is no candidate", () => {
    const app = resource("coder_app.app", { slug: "app" });
    const facts = state(
      [main, app, resource("null_resource.a")],
      dot(["null_resource.a -> coder_app.app -> coder_agent.main"]),
    );
    expect(placed(facts)).toEqual({ "null_resource.a": ["main"] });
  });

  test("04#26 only coder_ dependants: dropped without an error", () => {
    const graph = dot([
      "coder_env.e -> coder_agent.main",
      "coder_app.a -> coder_agent.main",
      "coder_metadata.m -> coder_agent.main",
    ]);
    const facts = state(
      [main, resource("coder_env.e", {}), resource("coder_app.a", { slug: "a" }), resource("coder_metadata.m", {})],
      graph,
    );
    expect(placed(facts)).toEqual({ "coder_env.e": [] });
  });

  test("04#27 a coder_external_agent counts", () => {
    expect(
      placed(state([main, resource("coder_external_agent.x")], dot(["coder_external_agent.x -> coder_agent.main"]))),
    ).toEqual({
      "coder_external_agent.x": ["main"],
    });
  });

  test("04#28 no dependant: no resource, no error; neither with a dependant that has no instance, nor a data source", () => {
    expect(state([main], dot([], ["coder_agent.main"])).resources).toEqual([]);
    expect(state([main], dot(["null_resource.counted_zero -> coder_agent.main"])).resources).toEqual([]);
    const data = state(
      [main, resource("data.null_data_source.d")],
      dot(["data.null_data_source.d -> coder_agent.main"]),
    );
    expect(data.resources).toEqual([]);
  });

  test("04#29 no node: an error with the label", () => {
    const error = graphError(() => state([main], dot([], ["null_resource.a"])));
    expect(error.message).toContain(`couldn't find node on graph: "coder_agent.main"`);
  });

  test("04#30 four agents on one resource, in address order", () => {
    const names = ["d", "b", "c", "a"];
    const facts = state(
      [...names.map(named), resource("null_resource.r")],
      dot(names.map((name) => `null_resource.r -> coder_agent.${name}`)),
    );
    expect(placed(facts)).toEqual({ "null_resource.r": ["a", "b", "c", "d"] });
  });

  test("04#31 each instance of a counted resource lists the same agents", () => {
    const facts = state(
      [main, resource("null_resource.a[0]"), resource("null_resource.a[1]")],
      dot(["null_resource.a -> coder_agent.main"]),
    );
    expect(facts.resources.map((one) => one.agents.map(({ name }) => name))).toEqual([["main"], ["main"]]);
  });
});

describe("names", () => {
  test("04#32 count 2 on an agent; count 1 is fine", () => {
    const graph = dot(["null_resource.a -> coder_agent.main"]);
    const counted = [
      resource("coder_agent.main[0]", {}),
      resource("coder_agent.main[1]", {}),
      resource("null_resource.a"),
    ];
    expect(graphError(() => state(counted, graph)).message).toContain("duplicate agent name: main");
    expect(agents(state([counted[0] as never, counted[2] as never], graph))).toHaveLength(1);
  });

  test("04#33 names that differ in case only, also when the first agent is dropped", () => {
    const graph = dot(["null_resource.a -> coder_agent.Dev"], ["coder_agent.dev"]);
    const error = graphError(() => state([named("dev"), named("Dev"), resource("null_resource.a")], graph));
    expect(error.message).toContain("duplicate agent name");
    expect(error.category).toBe("duplicate_agent_name");
  });

  test("04#34 an underscore", () => {
    const error = nameError("bad_name");
    expect(error.message).toBe(
      'convert state for graph: agent name "bad_name" contains underscores which are no longer supported, ' +
        'please use hyphens instead (regex: "(?i)^[a-z0-9](-?[a-z0-9])*$")',
    );
    expect(error.category).toBe("agent_name_underscore");
  });

  test("04#35 two hyphens, and other names that do not match", () => {
    expect(nameError("bad--name").message).toContain(
      'agent name "bad--name" does not match regex "(?i)^[a-z0-9](-?[a-z0-9])*$"',
    );
    for (const name of ["-", "-abc", "abc-", "ab--cd", "a--bc", "ab--c", " a", "a b", "a ", "a\n", "\na", "ä"]) {
      expect(nameError(name).category, JSON.stringify(name)).toBe("agent_name_regex");
    }
    for (const name of ["_", "ab_cd", "_abc", "abc_"]) expect(nameError(name).category).toBe("agent_name_underscore");
  });

  test("04#36 upper-case letters, and other valid names", () => {
    const valid = [
      "a",
      "1",
      "a1",
      "1a",
      "1a1",
      "1-1",
      "a-a",
      "ab-cd",
      "ab-cd-ef",
      "abc-123",
      "a-123",
      "abc-1",
      "ab-c",
      "a-bc",
      "A",
      "A1",
      "1A",
      "UppercaseValid",
    ];
    for (const name of valid) {
      const agent = resource("coder_agent.main", {}, { name });
      expect(
        agents(state([agent, resource("null_resource.a")], dot(["null_resource.a -> coder_agent.main"])))[0]?.name,
      ).toBe(name);
    }
  });

  test("04#37 an empty name", () => {
    expect(nameError("").message).toContain("agent name cannot be empty");
    expect(nameError("").category).toBe("agent_name_empty");
  });
});

describe("attributes", () => {
  /** Field 9 (token) or 10 (instance_id) as it lies on the wire, empty. */
  const onWire = (agent: ReturnType<typeof agentOf>, field: 9 | 10) => {
    const bare = create(AgentSchema, { auth: agent.auth });
    return Buffer.from(toBinary(AgentSchema, bare)).includes(Buffer.from([(field << 3) | 2, 0]));
  };

  test("04#38 token auth with the token unknown: set, empty, on the wire", () => {
    const agent = agentOf({ auth: "token" });
    expect(agent.auth).toEqual({ case: "token", value: "" });
    expect(onWire(agent, 9)).toBe(true);
    expect(agentOf({ auth: "token", token: "secret" }).auth).toEqual({ case: "token", value: "secret" });
  });

  test("04#39 auth absent or another word: instance_id, on the wire", () => {
    for (const auth of [undefined, null, "", "Token", "aws-instance-identity", "x"]) {
      const agent = agentOf({ auth, token: "ignored" });
      expect(agent.auth).toEqual({ case: "instanceId", value: "" });
      expect(onWire(agent, 10)).toBe(true);
    }
  });

  const defaults = {
    vscode: true,
    vscodeInsiders: false,
    webTerminal: true,
    sshHelper: true,
    portForwardingHelper: true,
  };
  const off = {
    vscode: false,
    vscodeInsiders: false,
    webTerminal: false,
    sshHelper: false,
    portForwardingHelper: false,
  };

  test("04#40 no display_apps: the defaults", () => {
    for (const none of [{}, { display_apps: null }, { display_apps: [] }])
      expect(agentOf(none).displayApps).toMatchObject(defaults);
  });

  test("04#41 display_apps with some attributes: the missing ones are false", () => {
    expect(
      agentOf({ display_apps: [{ vscode_insiders: true, ssh_helper: null, vscode: true }] }).displayApps,
    ).toMatchObject({ ...off, vscode: true, vscodeInsiders: true });
    expect(agentOf({ display_apps: [{ web_terminal: true }, { vscode: true }] }).displayApps).toMatchObject({
      ...off,
      webTerminal: true,
    });
  });

  test("04#42 an empty display_apps block: set, all false", () => {
    expect(agentOf({ display_apps: [{}] }).displayApps).toMatchObject(off);
    expect(agentOf({ display_apps: [null] }).displayApps).toMatchObject(off);
  });

  test("04#43 no monitoring: set and empty", () => {
    for (const none of [undefined, null, [], [{}]]) {
      const { resourcesMonitoring } = agentOf({ resources_monitoring: none });
      expect(resourcesMonitoring).toBeDefined();
      expect(resourcesMonitoring?.memory).toBeUndefined();
      expect(resourcesMonitoring?.volumes).toEqual([]);
    }
  });

  test("04#44 volumes in list order, and the last memory block", () => {
    const { resourcesMonitoring } = agentOf({
      resources_monitoring: [
        {
          memory: [
            { enabled: true, threshold: 10 },
            { enabled: true, threshold: 20 },
          ],
          volume: [{ path: "/b", enabled: true, threshold: 1 }],
        },
        {
          memory: [{ enabled: false, threshold: 30 }],
          volume: [{ path: "/a", enabled: false, threshold: 2 }, { path: "/c" }],
        },
      ],
    });
    expect(resourcesMonitoring?.memory).toMatchObject({ enabled: false, threshold: 30 });
    expect(resourcesMonitoring?.volumes).toMatchObject([
      { path: "/b", enabled: true, threshold: 1 },
      { path: "/a", enabled: false, threshold: 2 },
      { path: "/c", enabled: false, threshold: 0 },
    ]);
  });

  test("04#45 metadata in list order with all six fields", () => {
    const block = (key: string) => ({ key, display_name: `${key}!`, script: "s", interval: 5, timeout: 6, order: 7 });
    expect(agentOf({ metadata: [block("z"), block("a")] }).metadata).toMatchObject([
      { key: "z", displayName: "z!", script: "s", interval: 5n, timeout: 6n, order: 7n },
      { key: "a", displayName: "a!" },
    ]);
  });

  test("every other attribute goes to its field", () => {
    const agent = agentOf({
      id: "the-id",
      os: "linux",
      arch: "amd64",
      dir: "/home",
      troubleshooting_url: "https://x",
      motd_file: "/etc/motd",
      order: 9,
      api_key_scope: "no_user_data",
      init_script: 7,
    });
    expect(agent).toMatchObject({
      id: "the-id",
      operatingSystem: "linux",
      architecture: "amd64",
      directory: "/home",
      troubleshootingUrl: "https://x",
      motdFile: "/etc/motd",
      order: 9n,
      apiKeyScope: "no_user_data",
    });
  });

  const startup = {
    displayName: "Startup Script",
    icon: "/emojis/25b6-fe0f.png",
    logPath: "coder-startup-script.log",
    runOnStart: true,
    runOnStop: false,
    cron: "",
    timeoutSeconds: 0,
  };

  test("04#46 startup_script alone", () => {
    const { scripts } = agentOf({ startup_script: "echo", startup_script_timeout: 300, shutdown_script: "" });
    expect(scripts).toHaveLength(1);
    expect(scripts[0]).toMatchObject({ ...startup, script: "echo", startBlocksLogin: false });
  });

  const blocks = (values: object) => agentOf({ startup_script: "echo", ...values }).scripts[0]?.startBlocksLogin;

  test("04#47 behaviour blocking", () => {
    expect(blocks({ startup_script_behavior: "blocking" })).toBe(true);
    expect(blocks({ startup_script_behavior: "non-blocking" })).toBe(false);
  });

  test("04#48 behaviour absent: login_before_ready decides", () => {
    expect(blocks({ login_before_ready: false })).toBe(true);
    expect(blocks({ login_before_ready: null })).toBe(true);
    expect(blocks({ login_before_ready: null, startup_script_behavior: "" })).toBe(true);
    expect(blocks({ login_before_ready: true })).toBe(false);
    expect(blocks({})).toBe(false);
  });

  test("04#49 behaviour given: login_before_ready does not count", () => {
    expect(blocks({ startup_script_behavior: "non-blocking", login_before_ready: false })).toBe(false);
    expect(blocks({ startup_script_behavior: "blocking", login_before_ready: true })).toBe(true);
  });

  test("04#50 shutdown_script, after the startup script", () => {
    const { scripts } = agentOf({ startup_script: "up", shutdown_script: "down" });
    expect(scripts).toHaveLength(2);
    expect(scripts[1]).toMatchObject({
      displayName: "Shutdown Script",
      icon: "/emojis/25c0.png",
      logPath: "coder-shutdown-script.log",
      script: "down",
      runOnStart: false,
      runOnStop: true,
      startBlocksLogin: false,
    });
    expect(agentOf({ shutdown_script: "down" }).scripts).toHaveLength(1);
  });

  test("04#51 env: null is empty, a number an error", () => {
    expect(agentOf({ env: { A: "1", B: null, __proto__x: "" } }).env).toEqual({ A: "1", B: "", __proto__x: "" });
    expect(agentOf({ env: null }).env).toEqual({});
    const error = graphError(() => agentOf({ env: { A: 1 } }));
    expect(error.message).toContain("decode agent attributes: ");
    expect(error.category).toBe("decode_agent");
    expect(graphError(() => agentOf({ env: [] })).category).toBe("decode_agent");
  });

  test("04#52 connection_timeout: a string is an error, a fraction is cut, null is 0", () => {
    const timeout = (value: unknown) => agentOf({ connection_timeout: value }).connectionTimeoutSeconds;
    expect(graphError(() => timeout("120")).message).toContain("decode agent attributes");
    expect(timeout(12.9)).toBe(12);
    expect(timeout(-12.9)).toBe(-12);
    expect(timeout(null)).toBe(0);
    expect(timeout(undefined)).toBe(0);
    expect(Object.is(timeout(-0.5), 0)).toBe(true);
    expect(timeout(1e300)).toBe(2147483647);
  });

  test("04#53 unknown attributes are ignored", () => {
    expect(agentOf({ new_thing: [{ a: 1 }], Os: "x" }).operatingSystem).toBe("");
  });
});
