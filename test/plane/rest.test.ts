import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { headers } from "../../src/contract/identity.ts";
import { LogLevel } from "../../src/gen/provisioner_pb.ts";
import { startPlane } from "../../src/plane/plane.ts";
import { ScriptedAgent } from "../support/plane-agent.ts";
import { bytes, type Scene, scene } from "../support/plane-life.ts";

let s: Scene;
beforeAll(async () => {
  s = await scene();
});
afterAll(() => s[Symbol.asyncDispose]());

interface Json {
  id?: string;
  [name: string]: Json | string | undefined;
}
const idOf = (json: Json, name: string) => (json[name] as Json | undefined)?.id ?? "";

async function call(method: string, path: string, body?: object | Uint8Array, token = s.plane.adminToken) {
  const response = await fetch(`${s.plane.url}${path}`, {
    method,
    headers: { Authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body: body instanceof Uint8Array ? Buffer.from(body) : JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    text,
    json: (text.startsWith("{") || text.startsWith("[") ? JSON.parse(text) : {}) as Json,
  };
}
const api = "/api/plane/v1";

describe("the plane's own API", () => {
  test("a template's whole life by HTTP alone", async () => {
    const uploaded = await call("POST", `${api}/organizations/default/templates/demo/versions?var=a=b=c`, bytes("tar"));
    expect(uploaded.status).toBe(201);
    const lines = followed(idOf(uploaded.json, "job"));
    const imported = await s.agent.acquire();
    expect(imported.type.value).toMatchObject({ userVariableValues: [{ name: "a", value: "b=c" }] });
    const log = { level: LogLevel.WARN, createdAt: 1_764_000_000_000n, stage: "Setting up", output: "hello" };
    await s.agent.update({ jobId: imported.jobId, logs: [log] });
    await s.agent.complete({
      jobId: imported.jobId,
      type: { case: "templateImport", value: { richParameters: [{ name: "cpu", defaultValue: "2", mutable: true }] } },
    });
    expect(await lines).toEqual(
      expect.arrayContaining([
        {
          kind: "log",
          created_at: "2025-11-24T16:00:00.000Z",
          level: "warn",
          source: "provisioner_daemon",
          stage: "Setting up",
          output: "hello",
        },
        { kind: "status", status: "succeeded" },
      ]),
    );

    const versionId = idOf(uploaded.json, "version");
    const dry = await call("POST", `${api}/versions/${versionId}/dry-runs`, { parameters: { cpu: "8" } });
    const tried = await s.agent.acquire();
    expect(tried.type.value).toMatchObject({ richParameterValues: [{ name: "cpu", value: "8" }] });
    await s.agent.complete({
      jobId: tried.jobId,
      type: { case: "templateDryRun", value: { resources: [{ name: "r", type: "t" }] } },
    });
    expect((await call("GET", `${api}/jobs/${idOf(dry.json, "job")}`)).json).toMatchObject({
      status: "succeeded",
      dryRun: { resources: [{ name: "r", type: "t" }] },
    });

    const made = await call("POST", `${api}/workspaces`, { template_id: idOf(uploaded.json, "template"), name: "dev" });
    const started = await s.agent.acquire();
    expect(started.type.value).toMatchObject({ richParameterValues: [{ name: "cpu", value: "2" }] });
    const value = {
      state: bytes("the state"),
      resources: [{ name: "vm", type: "vm", agents: [{ name: "main", order: 3n }] }],
    };
    await s.agent.complete({ jobId: started.jobId, type: { case: "workspaceBuild", value } });
    const buildId = idOf(made.json, "build");
    expect((await call("GET", `${api}/builds/${buildId}/state`)).text).toBe("the state");
    expect((await call("GET", `${api}/builds/${buildId}`)).json).toMatchObject({
      number: 1,
      stateBytes: 9,
      resources: [{ name: "vm", agents: [{ name: "main", order: 3 }] }],
    });
    expect((await call("PUT", `${api}/builds/${buildId}/state`, bytes("rescued"))).status).toBe(204);

    const workspace = idOf(made.json, "workspace");
    const next = await call("POST", `${api}/workspaces/${workspace}/builds`, {
      transition: "delete",
      log_level: "debug",
    });
    const running = await s.agent.acquire();
    expect(running.type.value).toMatchObject({ state: bytes("rescued"), logLevel: "debug" });
    expect((await call("POST", `${api}/workspaces/${workspace}/builds`, { transition: "start" })).status).toBe(409);
    expect((await call("POST", `${api}/jobs/${idOf(next.json, "job")}/cancel`)).json).toMatchObject({
      status: "canceling",
    });
    expect((await s.agent.update({ jobId: running.jobId })).canceled).toBe(true);
    await s.agent.fail({ jobId: running.jobId, error: "interrupted" });
    expect((await call("GET", `${api}/workspaces/${workspace}`)).json["builds"]).toHaveLength(2);
  });

  test("organizations, keys and daemons", async () => {
    expect((await call("POST", `${api}/organizations`, { name: "second" })).status).toBe(201);
    expect((await call("POST", `${api}/organizations`, { name: "second" })).status).toBe(409);
    const key = await call("POST", `${api}/organizations/second/keys`, { name: "eu", tags: { region: "eu" } });
    await using agent = await ScriptedAgent.connect(s.plane.url, String(key.json["key"]), "by-rest");
    const daemons = (await call("GET", `${api}/organizations/second/daemons`)).json;
    expect(daemons).toMatchObject([{ status: "idle", daemon: { name: "by-rest", tags: { region: "eu" } } }]);
    expect(agent.signal.aborted).toBe(false);
    expect((await call("DELETE", `${api}/organizations/second/keys/eu`)).status).toBe(204);
    expect((await call("GET", `${api}/organizations/second/keys`)).json).toEqual([]);
  });

  test("no token, a stranger's and a body that is no object are refused; what is not there is 404", async () => {
    const { token } = s.plane.createUser({ name: "stranger" });
    expect((await fetch(`${s.plane.url}${api}/jobs`)).status).toBe(401);
    expect((await call("GET", `${api}/jobs`, undefined, token)).status).toBe(403);
    expect((await call("POST", `${api}/organizations`, bytes("[1]"))).status).toBe(400);
    expect((await call("GET", `${api}/jobs/nothing`)).status).toBe(404);
    expect((await call("GET", "/api/v2/nothing")).status).toBe(404);
    expect((await call("PUT", `${api}/jobs`)).status).toBe(405);
    expect(
      (await call("POST", `${api}/organizations/default/templates/big/versions`, new Uint8Array(4_194_305))).status,
    ).toBe(413);
  });
});

describe("key administration as the real server has it (spec/01 §1.7)", () => {
  const path = "/api/v2/organizations/default/provisionerkeys";

  test("create, list, use, delete", async () => {
    const made = await call("POST", path, { name: "admin-made", tags: { env: "prod" } });
    expect(made.status).toBe(201);
    const secret = String(made.json["key"]);
    expect(secret).toMatch(/^[0-9A-Za-z]{43}$/);
    const listed = (await call("GET", path)).json as unknown as Record<string, unknown>[];
    expect(listed.at(-1)).toMatchObject({
      name: "admin-made",
      tags: { env: "prod" },
      organization: s.plane.organization.id,
    });
    expect(JSON.stringify(s.plane.keys())).not.toContain(secret);
    expect(
      (await fetch(`${s.plane.url}/api/v2/provisionerkeys/x`, { headers: { [headers.key]: secret } })).status,
    ).toBe(200);
    expect((await call("DELETE", `${path}/admin-made`)).status).toBe(204);
    expect((await call("DELETE", `${path}/admin-made`)).status).toBe(404);
  });

  test.each([
    ["", 400],
    ["n".repeat(65), 400],
    ["Built-In", 400],
    ["user-auth", 400],
    ["psk", 400],
    ["k", 409],
  ])("the name %j gives %i", async (name, status) => {
    expect((await call("POST", path, { name })).status).toBe(status);
  });

  test("a reserved key can't be deleted; without licence everything is 403; without a user 401", async () => {
    expect((await call("DELETE", `${path}/PSK`)).status).toBe(400);
    s.plane.entitled = false;
    expect((await call("GET", path)).status).toBe(403);
    s.plane.entitled = true;
    expect((await call("GET", path, undefined, "none")).status).toBe(401);
  });
});

test("buildinfo needs no credential; organizations of me need one; the init script names URL and token, or is not there", async () => {
  const info = (await (await fetch(`${s.plane.url}/api/v2/buildinfo`)).json()) as Record<string, unknown>;
  expect(Object.keys(info).sort()).toEqual(
    [
      "agent_api_version",
      "dashboard_url",
      "deployment_id",
      "external_url",
      "provisioner_api_version",
      "telemetry",
      "upgrade_message",
      "version",
      "workspace_proxy",
    ].sort(),
  );
  expect(info["provisioner_api_version"]).toBe("1.18");
  const mine = (await call("GET", "/api/v2/users/me/organizations")).json as unknown as Record<string, unknown>[];
  expect(mine[0]).toMatchObject({ id: s.plane.organization.id, name: "default", is_default: true });
  const script = await (await fetch(`${s.plane.url}/api/v2/init-script/linux/amd64`)).text();
  // With a slash at its end, as the provider fills it in (spec/03 §4.6).
  expect(script).toContain(`"${s.plane.url}/"`);
  expect(script).toContain("token");
  await using old = await startPlane({ initScript: false });
  expect((await fetch(`${old.url}/api/v2/init-script/linux/amd64`)).status).toBe(404);
});

test("a plane goes offline and comes back at the same address, knowing all that it knew", async () => {
  await using scene2 = await scene();
  const { plane, key } = scene2;
  const { job } = plane.importTemplate({ template: "t", archive: bytes("tar") });
  await scene2.agent.acquire();
  const { url } = plane;
  await plane.goOffline();
  expect(plane.connections).toBe(0);
  await expect(fetch(`${url}/api/v2/buildinfo`)).rejects.toThrow();
  await plane.goOnline();
  expect(plane.url).toBe(url);
  await using agent = await ScriptedAgent.connect(url, key, "d1");
  await agent.complete({ jobId: job.id, type: { case: "templateImport", value: {} } });
});

async function followed(jobId: string): Promise<unknown[]> {
  const response = await fetch(`${s.plane.url}${api}/jobs/${jobId}/follow`, {
    headers: { Authorization: `Bearer ${s.plane.adminToken}` },
  });
  return (await response.text())
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown);
}
