import { readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { headers, nilUuid } from "../../src/contract/identity.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import { type Plane, startPlane } from "../../src/plane/plane.ts";
import { type Dial, daemonQuery, dial, type Refused, ScriptedAgent } from "../support/plane-agent.ts";
import { sharedFolder } from "../support/shared.ts";

let plane: Plane;
let key: string;

beforeAll(async () => {
  plane = await startPlane({ psk: "the-psk", rateLimitPerMinute: 0 });
  plane.createOrganization("second");
  key = plane.createKey("k", { region: "eu" }).secret;
});
afterAll(() => plane.close());

const pskHeader = { [headers.psk]: "the-psk" };
const keyHeader = () => ({ [headers.key]: key });

async function knock(how: Partial<Dial>, at: Plane = plane): Promise<Refused> {
  const result = await dial({ url: at.url, headers: keyHeader(), ...how });
  if (!("socket" in result)) return result;
  result.socket.terminate();
  return { status: 101, body: {} };
}

describe("versions in the query", () => {
  test("01#23 two version parameters, one, and none are accepted; none or empty counts as 1.0", async () => {
    const base: [string, string][] = [
      ["name", "v"],
      ["provisioner", "terraform"],
    ];
    const row = () => plane.daemons().find(({ daemon }) => daemon.name === "v")?.daemon.apiVersion;
    expect(await knock({ query: [...base, ["version", "1.18"], ["version", "1.18"]] })).toMatchObject({ status: 101 });
    expect(row()).toBe("1.18");
    expect(await knock({ query: [...base, ["version", "1.9"]] })).toMatchObject({ status: 101 });
    expect(row()).toBe("1.9");
    expect(await knock({ query: base })).toMatchObject({ status: 101 });
    expect(row()).toBe("1.0");
    expect(await knock({ query: [...base, ["version", ""]] })).toMatchObject({ status: 101 });
    expect(row()).toBe("1.0");
    // The first occurrence counts.
    expect(await knock({ query: [...base, ["version", "1.18"], ["version", "9.9"]] })).toMatchObject({ status: 101 });
  });

  test.each([
    ["1.19", /server is at version 1\.18, behind requested minor version 1\.19/],
    ["2.0", /server is at version 1\.18, behind requested major version 2\.0/],
    ["0.9", /version 0\.9 is no longer supported/],
    ["1", /^invalid.*: 1$/],
    ["1.2.3", /^invalid.*: 1\.2\.3$/],
    ["a.b", /^invalid.*: a\.b$/],
  ])("01#108 version %s is refused with 400, field version and the pattern", async (version, detail) => {
    const { status, body } = await knock({ query: daemonQuery("v", version) });
    expect(status).toBe(400);
    expect(body.validations).toHaveLength(1);
    expect(body.validations?.[0]?.field).toBe("version");
    expect(body.validations?.[0]?.detail).toMatch(detail);
  });
});

describe("01#24 the order of the checks", () => {
  const nul: [string, string] = ["tag", "a=\0"];
  const noType = daemonQuery("o").filter(([name]) => name !== "provisioner");
  const badType: [string, string][] = [...noType, ["provisioner", "pulumi"]];
  const badVersion = daemonQuery("o", "1.99");

  test("01#24 licence before credential", async () => {
    await using unlicensed = await startPlane({ entitled: false });
    expect(await knock({ headers: {} }, unlicensed)).toMatchObject({ status: 403 });
  });

  test("01#24 credential before organization, organization before query", async () => {
    expect(await knock({ headers: {}, organization: "nowhere" })).toMatchObject({ status: 401 });
    expect(await knock({ organization: "nowhere", query: badType })).toMatchObject({ status: 404 });
  });

  test("01#24 two good credentials are 400, before the organization is looked at", async () => {
    const both = { ...keyHeader(), [headers.sessionToken]: plane.adminToken };
    expect(await knock({ headers: both, organization: "nowhere" })).toMatchObject({ status: 400 });
  });

  test("01#24 an unknown provisioner with a bad version gives the provisioner error", async () => {
    const { status, body } = await knock({ query: [...badType, ["version", "1.99"]] });
    expect(status).toBe(400);
    expect(body.message).toContain("pulumi");
    expect(body.validations).toBeUndefined();
  });

  test("01#24 no provisioner is 400, before key with tags is 403", async () => {
    expect(await knock({ query: [...noType, ["tag", "a=1"]] })).toMatchObject({ status: 400 });
  });

  test("01#24 key with tags is 403, before a NUL in a tag and the version are 400", async () => {
    expect(await knock({ query: [...badVersion, nul] })).toMatchObject({ status: 403 });
  });

  test("01#24 a NUL in a tag is 400 with field tags, before the version", async () => {
    const { status, body } = await knock({ headers: pskHeader, query: [...badVersion, nul] });
    expect(status).toBe(400);
    expect(body.validations?.[0]?.field).toBe("tags");
  });

  test("01#24 a bad version is 400, before a name that is too long is 500", async () => {
    const long = "n".repeat(65);
    expect(await knock({ query: daemonQuery(long, "1.99") })).toMatchObject({ status: 400 });
    expect(await knock({ query: daemonQuery(long) })).toMatchObject({ status: 500 });
  });

  test("01#24 the row is written before the upgrade is looked at", async () => {
    const url = `${plane.url}/api/v2/organizations/default/provisionerdaemons/serve?name=early&provisioner=terraform`;
    expect((await fetch(url, { headers: keyHeader() })).status).toBe(426);
    expect(plane.daemons().some(({ daemon }) => daemon.name === "early")).toBe(true);
  });

  test("01#24 too many calls are 429 with Retry-After, before everything else", async () => {
    const clock = new FakeClock();
    await using limited = await startPlane({ rateLimitPerMinute: 2, clock });
    const url = `${limited.url}/api/v2/organizations/default/provisionerdaemons/serve`;
    for (const status of [401, 401, 429]) expect((await fetch(url)).status).toBe(status);
    const refused = await fetch(url);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect((await fetch(`${limited.url}/api/v2/buildinfo`)).status).toBe(200);
    await clock.advance(60_000);
    expect((await fetch(url)).status).toBe(401);
  });
});

describe("credentials", () => {
  const details = (sent: Record<string, string>) =>
    fetch(`${plane.url}/api/v2/provisionerkeys/self`, { headers: sent });

  test("01#25 a key of 42 characters gives 401 on serve and 400 on key details", async () => {
    const short = { [headers.key]: key.slice(1) };
    expect(await knock({ headers: short })).toMatchObject({ status: 401 });
    expect((await details(short)).status).toBe(400);
  });

  test("01#26 key plus PSK gives 401 on serve and 400 on key details", async () => {
    const both = { ...keyHeader(), ...pskHeader };
    expect(await knock({ headers: both })).toMatchObject({ status: 401 });
    expect((await details(both)).status).toBe(400);
  });

  test("an unknown key and a missing one give 401 on key details; a good one gives its facts and no secret", async () => {
    expect((await details({})).status).toBe(401);
    expect((await details({ [headers.key]: "x".repeat(43) })).status).toBe(401);
    const good = await details(keyHeader());
    const text = await good.text();
    expect(JSON.parse(text)).toMatchObject({ name: "k", tags: { region: "eu" }, organization: plane.organization.id });
    expect(text).not.toContain(key);
  });

  test("01#27 a key plus tags gives 403", async () => {
    expect(await knock({ query: [...daemonQuery("t"), ["tag", "a=1"]] })).toMatchObject({ status: 403 });
  });

  test("01#28 PSK for a non-default organization gives 403", async () => {
    expect(await knock({ headers: pskHeader })).toMatchObject({ status: 101 });
    expect(await knock({ headers: pskHeader, organization: "second" })).toMatchObject({ status: 403 });
  });

  test("a wrong PSK, and any PSK where none is configured, give 401", async () => {
    expect(await knock({ headers: { [headers.psk]: "wrong" } })).toMatchObject({ status: 401 });
    await using none = await startPlane();
    expect(await knock({ headers: { [headers.psk]: "the-psk" } }, none)).toMatchObject({ status: 401 });
  });

  test("a user may always serve with scope=user; only an admin for the organization", async () => {
    const { token } = plane.createUser({ name: "ana" });
    const sent = { [headers.sessionToken]: token };
    expect(await knock({ headers: sent })).toMatchObject({ status: 403 });
    expect(await knock({ headers: sent, query: [...daemonQuery("u"), ["tag", "scope=user"]] })).toMatchObject({
      status: 101,
    });
    const admin = { [headers.sessionToken]: plane.adminToken };
    expect(await knock({ headers: admin, organization: "second" })).toMatchObject({ status: 101 });
  });

  test("a deleted key is refused at the next dial, and its daemons get a new id under another key", async () => {
    const first = plane.createKey("rotated");
    expect(await knock({ headers: { [headers.key]: first.secret }, query: daemonQuery("rot") })).toMatchObject({
      status: 101,
    });
    const id = plane.daemons().find(({ daemon }) => daemon.name === "rot")?.daemon.id;
    plane.deleteKey("rotated");
    expect(await knock({ headers: { [headers.key]: first.secret } })).toMatchObject({ status: 401 });
    expect(await knock({ query: daemonQuery("rot") })).toMatchObject({ status: 101 });
    const again = plane.daemons().find(({ daemon }) => daemon.name === "rot")?.daemon.id;
    expect(again).toBeDefined();
    expect(again).not.toBe(id);
  });
});

test("01#29 `default` and the nil UUID resolve to the default organization; an unknown one gives 404", async () => {
  for (const organization of ["default", nilUuid, plane.organization.id, plane.organization.name]) {
    expect(await knock({ headers: pskHeader, organization })).toMatchObject({ status: 101 });
  }
  for (const organization of ["unknown", "11111111-1111-4111-8111-111111111111"]) {
    expect(await knock({ headers: pskHeader, organization })).toMatchObject({ status: 404 });
  }
});

test("01#30 a tag without = gives 400; a=b=c is key a, value b=c; a tag with an empty value is dropped", async () => {
  expect(await knock({ headers: pskHeader, query: [...daemonQuery("t"), ["tag", "a"]] })).toMatchObject({
    status: 400,
  });
  const query: [string, string][] = [...daemonQuery("tagged"), ["tag", "a=b=c"], ["tag", "empty="]];
  expect(await knock({ headers: pskHeader, query })).toMatchObject({ status: 101 });
  const row = plane.daemons().find(({ daemon }) => daemon.name === "tagged");
  expect(row?.daemon.tags).toEqual({ a: "b=c", scope: "organization", owner: "" });
});

test("01#32 reconnecting with the same organization, name and owner keeps the id and updates tags, version and key id", async () => {
  const find = () => plane.daemons().filter(({ daemon }) => daemon.name === "again");
  const query: [string, string][] = [...daemonQuery("again", "1.4"), ["tag", "a=1"]];
  expect(await knock({ headers: { ...pskHeader, [headers.buildVersion]: "v1" }, query })).toMatchObject({
    status: 101,
  });
  const before = find()[0]?.daemon;
  expect(before).toMatchObject({ tags: { a: "1" }, version: "v1", apiVersion: "1.4", keyId: undefined });
  expect(
    await knock({ headers: { ...keyHeader(), [headers.buildVersion]: "v2" }, query: daemonQuery("again") }),
  ).toMatchObject({ status: 101 });
  expect(find()).toHaveLength(1);
  expect(find()[0]?.daemon).toMatchObject({
    id: before?.id,
    createdAt: before?.createdAt,
    tags: { region: "eu" },
    version: "v2",
    apiVersion: "1.18",
    keyId: plane.keys().find(({ name }) => name === "k")?.id,
  });
});

test("01#33 a name of 65 characters is refused and one of 64 is accepted", async () => {
  expect(await knock({ query: daemonQuery("n".repeat(65)) })).toMatchObject({ status: 500 });
  expect(await knock({ query: daemonQuery("n".repeat(64)) })).toMatchObject({ status: 101 });
});

test("01#34 the 101 response has neither a subprotocol nor an extension header, even where the client offers both", async () => {
  const head = await rawUpgrade({ "Sec-WebSocket-Protocol": "x", "Sec-WebSocket-Extensions": "permessage-deflate" });
  expect(head.status).toBe(101);
  expect(head.headers).not.toHaveProperty("sec-websocket-protocol");
  expect(head.headers).not.toHaveProperty("sec-websocket-extensions");
  expect(head.headers["x-coder-build-version"]).toMatch(/^v\d/);
});

test("01#35 a plain GET without upgrade headers gives 426", async () => {
  const url = `${plane.url}/api/v2/organizations/default/provisionerdaemons/serve?${new URLSearchParams(daemonQuery("g"))}`;
  expect((await fetch(url, { headers: keyHeader() })).status).toBe(426);
});

test("the step of the upgrade: a foreign Origin is 403, a bad key or version 400", async () => {
  expect((await rawUpgrade({ Origin: "http://evil.example" })).status).toBe(403);
  expect((await rawUpgrade({ Origin: plane.url })).status).toBe(101);
  expect((await rawUpgrade({ "Sec-WebSocket-Key": "short" })).status).toBe(400);
  expect((await rawUpgrade({ "Sec-WebSocket-Version": "8" })).status).toBe(400);
});

test("a plane that poses as 1.4 refuses 1.18 naming 1.4, and tells 1.4 in buildinfo", async () => {
  await using old = await startPlane({ apiVersion: { major: 1, minor: 4 } });
  const { secret } = old.createKey("k");
  const { status, body } = await knock({ headers: { [headers.key]: secret } }, old);
  expect([status, body.validations?.[0]?.detail]).toEqual([
    400,
    "server is at version 1.4, behind requested minor version 1.18",
  ]);
  const info = (await (await fetch(`${old.url}/api/v2/buildinfo`)).json()) as Record<string, unknown>;
  expect(info["provisioner_api_version"]).toBe("1.4");
});

test("a plane that poses as 1.0 reads no version, answers 403 to a bad credential, and has no key details", async () => {
  await using oldest = await startPlane({ apiVersion: { major: 1, minor: 0 }, psk: "p" });
  expect(await knock({ headers: {} }, oldest)).toMatchObject({ status: 403 });
  expect(await knock({ headers: { [headers.psk]: "p" }, organization: "ignored" }, oldest)).toMatchObject({
    status: 101,
  });
  expect((await fetch(`${oldest.url}/api/v2/provisionerkeys/self`)).status).toBe(404);
  expect(await (await fetch(`${oldest.url}/api/v2/buildinfo`)).json()).not.toHaveProperty("provisioner_api_version");
});

test("02#63 same organization, name and owner: the same id; another name case, owner or organization: another", async () => {
  const id = (organization = plane.organization.id) =>
    plane.daemons(organization).map(({ daemon }) => ({ id: daemon.id, name: daemon.name, owner: daemon.owner }));
  await using one = await ScriptedAgent.connect(plane.url, key, "twin");
  await using two = await ScriptedAgent.connect(plane.url, key, "twin");
  expect(id().filter(({ name }) => name === "twin")).toHaveLength(1);
  expect([one, two]).toHaveLength(2);
  await knock({ query: daemonQuery("TWIN") });
  const { token, user } = plane.createUser({ name: "owner-of-twin" });
  await knock({ headers: { [headers.sessionToken]: token }, query: [...daemonQuery("twin"), ["tag", "scope=user"]] });
  await knock({
    headers: { [headers.sessionToken]: plane.adminToken },
    organization: "second",
    query: daemonQuery("twin"),
  });
  const second = plane.organizations().find(({ name }) => name === "second")?.id ?? "";
  const rows = [...id(), ...id(second)].filter(({ name }) => name.toLowerCase() === "twin");
  expect(rows.map(({ name, owner }) => `${name}/${owner}`).sort()).toEqual([
    "TWIN/",
    "twin/",
    "twin/",
    `twin/${user.id}`,
  ]);
  expect(new Set(rows.map((row) => row.id)).size).toBe(4);
});

test.skipIf(!sharedFolder)(
  "01#24 01#25 recorded handshakes of a live server: the same statuses and bodies",
  async () => {
    const { cases } = JSON.parse(readFileSync(`${sharedFolder}/cases/wire/handshake.json`, "utf8")) as {
      cases: { key: string; version: string; status: number; body?: Refused["body"] }[];
    };
    const keys: Record<string, string> = {
      valid: key,
      "last character changed": key.slice(0, -1) + (key.endsWith("A") ? "B" : "A"),
      short: "short",
    };
    expect(cases.length).toBeGreaterThan(5);
    for (const recorded of cases) {
      const sent = keys[recorded.key];
      expect(sent, `a key for "${recorded.key}"`).toBeDefined();
      const { status, body } = await knock({
        headers: { [headers.key]: sent ?? "" },
        query: daemonQuery("rec", recorded.version),
      });
      expect(status).toBe(recorded.status);
      if (recorded.body) expect(body).toEqual(recorded.body);
    }
  },
);

/** An upgrade with exactly these headers besides the usual ones. */
function rawUpgrade(more: Record<string, string>): Promise<{ status: number; headers: Record<string, unknown> }> {
  const usual = {
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
  };
  const path = `/api/v2/organizations/default/provisionerdaemons/serve?${new URLSearchParams(daemonQuery("raw"))}`;
  return new Promise((resolve, reject) => {
    const request = httpRequest(plane.url + path, { headers: { ...usual, ...keyHeader(), ...more } });
    request.on("upgrade", (response, socket) => {
      socket.destroy();
      resolve({ status: response.statusCode ?? 0, headers: response.headers });
    });
    request.on("response", (response) => {
      response.resume();
      resolve({ status: response.statusCode ?? 0, headers: response.headers });
    });
    request.on("error", reject);
    request.end();
  });
}
