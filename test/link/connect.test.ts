import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { OperatorError } from "../../src/kit/errors.ts";
import { Secret } from "../../src/kit/secret.ts";
import { type HttpReply, startFakeCoderd } from "../support/fake-coderd.ts";
import { never, startLink, testKey } from "./harness.ts";

const versionRefusal = (detail: string): HttpReply => ({
  status: 400,
  body: { message: "Incompatible or unparsable version", validations: [{ field: "version", detail }] },
});

describe("the handshake on the wire", () => {
  test("01#1 01#2 01#3 01#6 01#7 01#8 with a key", async () => {
    await using coderd = await startFakeCoderd({ version: "v2.29.1+2f1c9ab" });
    await using agent = await startLink({ url: `${coderd.url}/some/path?x=y` });
    await agent.event("connected");
    const [handshake] = coderd.handshakes;
    expect(handshake?.path).toBe("/api/v2/organizations/default/provisionerdaemons/serve");
    expect(handshake?.url).not.toContain("some");
    expect(handshake?.query.get("name")).toBe("build-01");
    expect(handshake?.query.getAll("provisioner")).toEqual(["terraform"]);
    expect(handshake?.query.getAll("version")).toEqual(["1.18"]);
    expect(handshake?.query.has("tag")).toBe(false);
    expect(handshake?.headers).toMatchObject({
      "coder-provisioner-daemon-key": testKey,
      "x-coder-build-version": "v2.29.1+outpost.0.1.0",
      "user-agent": "outpost/0.1.0 (linux/amd64)",
    });
    for (const name of [
      "coder-provisioner-daemon-psk",
      "coder-session-token",
      "cookie",
      "authorization",
      "origin",
      "sec-websocket-protocol",
      "sec-websocket-extensions",
      "coder-cli-telemetry",
    ]) {
      expect(handshake?.headers, name).not.toHaveProperty(name);
    }
    expect(agent.events).toContainEqual(
      expect.objectContaining({ kind: "warning", message: expect.stringContaining("/some/path") }),
    );
  });

  test("01#1 01#5 01#6 with a PSK", async () => {
    await using coderd = await startFakeCoderd();
    const identity = { key: undefined, psk: new Secret("shared"), tags: ["env=prod", "a=b=c"] };
    await using agent = await startLink({ url: coderd.url, identity });
    await agent.event("connected");
    const [handshake] = coderd.handshakes;
    expect(handshake?.path).toContain("/organizations/default/");
    expect(handshake?.url).toContain("tag=env%3Dprod&tag=a%3Db%3Dc&tag=scope%3Dorganization");
    expect(handshake?.headers).toHaveProperty("coder-provisioner-daemon-psk", "shared");
    expect(handshake?.headers).not.toHaveProperty("coder-provisioner-daemon-key");
    expect(coderd.requests.some(({ path }) => path.includes("provisionerkeys"))).toBe(false);
  });

  test("a user token without an organization looks its only one up", async () => {
    await using coderd = await startFakeCoderd({
      rest: ({ path }) =>
        path === "/api/v2/users/me/organizations" ? { status: 200, body: [{ name: "raptix" }] } : undefined,
    });
    const identity = { key: undefined, token: new Secret("t-t") };
    await using agent = await startLink({ url: coderd.url, identity });
    await agent.event("connected");
    expect(coderd.handshakes[0]?.path).toContain("/organizations/raptix/");
    expect(coderd.handshakes[0]?.headers).toHaveProperty("coder-session-token", "t-t");
  });

  test("02#83 a user token with several organizations is told their names", async () => {
    await using coderd = await startFakeCoderd({
      rest: ({ path }) =>
        path === "/api/v2/users/me/organizations" ? { status: 200, body: [{ name: "a1" }, { name: "b2" }] } : undefined,
    });
    await using agent = await startLink({ url: coderd.url, identity: { key: undefined, token: new Secret("t-t") } });
    const error = await agent.ended;
    expect(error).toMatchObject({ code: "OUT-ORGANIZATION", exit: 1, cure: expect.stringContaining("a1, b2") });
  });

  test("01#11 the key is never in a URL, and details of the key are learnt", async () => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    const { details } = await agent.event("key");
    expect(details).toMatchObject({
      name: "build-key",
      tags: { env: "prod" },
      createdAt: Date.parse("2026-01-02T03:04:05.678901Z"),
    });
    expect(coderd.requests.map(({ path }) => path)).toContain("/api/v2/provisionerkeys/self");
    for (const { url } of coderd.requests) expect(url).not.toContain("kkk");
    expect(agent.link.state.keyDetails?.name).toBe("build-key");
  });

  test("01#11 a server without key details is no error", async () => {
    await using coderd = await startFakeCoderd({
      rest: ({ path }) => (path.includes("provisionerkeys") ? { status: 404, body: "<html>" } : undefined),
    });
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    await coderd.until(() => coderd.requests.some(({ path }) => path.includes("provisionerkeys")));
    expect(agent.link.state.kind).toBe("connected");
  });

  test("02#83 key details that fail are asked for again, and end nothing", async () => {
    let asked = 0;
    await using coderd = await startFakeCoderd({
      rest: ({ path }) => (path.includes("provisionerkeys") && asked++ < 2 ? { status: 500 } : undefined),
    });
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    for (let ask = 1; ask < 3; ask++) {
      await coderd.until(() => coderd.requests.filter(({ path }) => path.includes("provisionerkeys")).length === ask);
      while (agent.events.every(({ kind }) => kind !== "key") && asked === ask) await agent.clock.advance(200);
    }
    expect((await agent.event("key")).details.name).toBe("build-key");
  });

  test("the buildinfo and init-script calls carry no credential", async () => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    await agent.link.initScripts(never);
    const plain = coderd.requests.filter(({ path }) => /buildinfo|init-script/.test(path));
    expect(plain.length).toBe(8);
    for (const { headers } of plain) expect(headers).not.toHaveProperty("coder-provisioner-daemon-key");
  });
});

describe("versions", () => {
  test.each([
    ["01#105", "1.9", "1.9"],
    ["01#116", "1.25", "1.18"],
    ["a major of its own says nothing", "2.3", "1.18"],
    ["nonsense says nothing", "1.x", "1.18"],
  ])("%s buildinfo %s: version=%s", async (_number, told, sent) => {
    await using coderd = await startFakeCoderd({ apiVersion: told });
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    expect(coderd.handshakes.map(({ query }) => query.get("version"))).toEqual([sent]);
  });

  test("01#106 01#19 without buildinfo 1.18 is tried, and once more what the refusal names", async () => {
    await using coderd = await startFakeCoderd({
      apiVersion: "",
      handshake: ({ query }) =>
        query.get("version") === "1.4"
          ? undefined
          : versionRefusal("server is at version 1.4, behind requested minor version 1.18"),
    });
    await using agent = await startLink({ url: coderd.url });
    const { apiVersion } = await agent.event("connected");
    expect(coderd.handshakes.map(({ query }) => query.get("version"))).toEqual(["1.18", "1.4"]);
    expect(apiVersion).toEqual({ major: 1, minor: 4 });
    expect(agent.link.calls.features).toMatchObject({ uploadFile: false, downloadFile: false });
  });

  test("01#19 a second refusal of the version ends the agent after exactly two handshakes", async () => {
    await using coderd = await startFakeCoderd({
      handshake: () => versionRefusal("server is at version 1.4, behind requested minor version 1.18"),
    });
    await using agent = await startLink({ url: coderd.url });
    expect(await agent.ended).toMatchObject({ code: "OUT-VERSION" });
    expect(coderd.handshakes).toHaveLength(2);
  });

  test("01#107 a refusal that names major 2 ends the agent at once", async () => {
    await using coderd = await startFakeCoderd({
      handshake: () => versionRefusal("server is at version 2.0, behind requested major version 1.18"),
    });
    await using agent = await startLink({ url: coderd.url });
    expect(await agent.ended).toMatchObject({ code: "OUT-VERSION" });
    expect(coderd.handshakes).toHaveLength(1);
  });

  test("an upgraded server is asked anew at the reconnect", async () => {
    const answers = ["1.9", "1.18"];
    await using coderd = await startFakeCoderd({
      rest: ({ path }) =>
        path.endsWith("buildinfo")
          ? { status: 200, body: { version: "v2.35.0", provisioner_api_version: answers.shift() } }
          : undefined,
    });
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    await agent.clock.advance(10_000);
    coderd.cut();
    await agent.event("connected", 2);
    expect(coderd.handshakes.map(({ query }) => query.get("version"))).toEqual(["1.9", "1.18"]);
  });

  test("a lost buildinfo call doesn't forget the version", async () => {
    let asked = 0;
    await using coderd = await startFakeCoderd({
      apiVersion: "1.9",
      rest: ({ path }) => (path.endsWith("buildinfo") && asked++ > 0 ? "reset" : undefined),
    });
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    await agent.clock.advance(10_000);
    coderd.cut();
    await agent.event("connected", 2);
    expect(coderd.handshakes.map(({ query }) => query.get("version"))).toEqual(["1.9", "1.9"]);
  });
});

describe("refusals", () => {
  test("01#17 403 ends the agent with exit code 77", async () => {
    await using coderd = await startFakeCoderd({
      handshake: () => ({ status: 403, body: { message: "External provisioners are not licensed" } }),
    });
    await using agent = await startLink({ url: coderd.url });
    const error = await agent.ended;
    expect(error).toBeInstanceOf(OperatorError);
    expect(error).toMatchObject({ code: "OUT-LICENCE", exit: 77, message: expect.stringContaining("not licensed") });
    expect(coderd.handshakes).toHaveLength(1);
    expect(agent.link.state.kind).toBe("ended");
  });

  test.each([
    ["refused", 401, "ends"],
    ["too short for it", 400, "ends"],
    ["fine", 200, "dials"],
    ["unknown: database down", 500, "dials"],
    ["unknown: old server", 404, "dials"],
  ])("02#3 01#17 401, and the key's details say %s (%d): %s", async (_what, status, what) => {
    await using coderd = await startFakeCoderd({
      handshake: () => ({ status: 401, body: { message: "none provided" } }),
      rest: ({ path }) => (path.includes("provisionerkeys") ? { status, body: {} } : undefined),
    });
    await using agent = await startLink({ url: coderd.url });
    if (what === "ends") {
      expect(await agent.ended).toMatchObject({
        code: "OUT-KEY-UNKNOWN",
        exit: 77,
        reason: expect.stringContaining("sha256:"),
      });
    } else {
      const { delayMs } = await agent.event("dial-failed");
      expect(delayMs).toBeLessThan(1000);
      await agent.clock.advance(delayMs);
      await coderd.until(() => coderd.handshakes.length === 2);
    }
  });

  test.each([
    [401, "refused"],
    [403, "refused"],
    [404, "connecting"],
    [307, "connecting"],
  ])("01#18 02#3 %d after a success: %s, said once, dialled slowly", async (status, kind) => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    coderd.handshake = () => ({ status, body: { message: "no" } });
    await agent.clock.advance(10_000);
    coderd.cut();
    const first = await agent.event("refused");
    expect(first).toMatchObject({ again: false });
    expect(first.delayMs).toBeCloseTo(60_000);
    expect(agent.link.state).toMatchObject({ kind, lastError: expect.stringContaining(String(status)) });
    await agent.clock.advance(59_999);
    expect(coderd.handshakes).toHaveLength(2);
    await agent.clock.advance(1);
    expect(await agent.event("refused", 2)).toMatchObject({ again: true });
    coderd.handshake = undefined;
    await agent.clock.advance(60_000);
    await agent.event("connected", 2);
    expect(agent.link.state.kind).toBe("connected");
  });

  test("02#3 exitWhenRefused ends the agent after that time, not before", async () => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url, exitWhenRefusedMs: 90_000 });
    await agent.event("connected");
    coderd.handshake = () => ({ status: 403 });
    await agent.clock.advance(10_000);
    coderd.cut();
    await agent.event("refused");
    await agent.clock.advance(60_000);
    expect(await agent.event("refused", 2)).toMatchObject({ delayMs: expect.closeTo(30_000) });
    await agent.clock.advance(30_000);
    expect(await agent.ended).toMatchObject({ code: "OUT-LICENCE", exit: 77 });
  });

  test("01#15 a 307 is followed by nobody, and the key doesn't travel", async () => {
    await using target = await startFakeCoderd();
    const redirect = { status: 307, headers: { Location: target.url } };
    await using coderd = await startFakeCoderd({ handshake: () => redirect, rest: () => redirect });
    await using agent = await startLink({ url: coderd.url });
    expect(await agent.ended).toMatchObject({ code: "OUT-REDIRECT", message: expect.stringContaining(target.url) });
    expect(target.requests).toEqual([]);
  });

  test("01#20 429 with Retry-After: 7 delays the next dial by at least 7 s", async () => {
    await using coderd = await startFakeCoderd({
      handshake: (_request, index) => (index === 0 ? { status: 429, headers: { "Retry-After": "7" } } : undefined),
    });
    await using agent = await startLink({ url: coderd.url });
    await agent.event("dial-failed");
    await agent.clock.advance(6_999);
    expect(coderd.handshakes).toHaveLength(1);
    await agent.clock.advance(1);
    await agent.event("connected");
  });

  test.each([
    ["HTML", "<html><h1>502 Bad Gateway</h1></html>"],
    ["nothing", ""],
    ["cut JSON", '{"message": "ha'],
    ["text before JSON", 'failed\n{"message":"no"}'],
    ["a megabyte", "x".repeat(1_000_000)],
  ])("01#21 an error body of %s crashes nothing", async (_what, body) => {
    await using coderd = await startFakeCoderd({
      handshake: (_request, index) => (index === 0 ? { status: 502, body } : undefined),
      rest: () => ({ status: 502, body }),
    });
    await using agent = await startLink({ url: coderd.url });
    const { why, delayMs } = await agent.event("dial-failed");
    expect(why).toContain("502");
    expect(why.length).toBeLessThan(400);
    await agent.clock.advance(delayMs);
    await agent.event("connected");
  });

  test("a handshake that is never answered is given up after 30 s", async () => {
    await using coderd = await startFakeCoderd({ handshake: (_request, index) => (index === 0 ? "hang" : undefined) });
    await using agent = await startLink({ url: coderd.url });
    await coderd.until(() => coderd.handshakes.length === 1);
    await agent.clock.advance(30_000);
    const { why, delayMs } = await agent.event("dial-failed");
    expect(why).toContain("30 s");
    await agent.clock.advance(delayMs);
    await agent.event("connected");
  });

  test("stopping while a handshake hangs stops at once", async () => {
    await using coderd = await startFakeCoderd({ handshake: () => "hang" });
    const agent = await startLink({ url: coderd.url });
    await coderd.until(() => coderd.handshakes.length === 1);
    await agent.stop();
    expect(await agent.ended).toBeUndefined();
    expect(agent.clock.pending).toBe(0);
  });
});

describe("extra headers", () => {
  const headersOf = (coderd: { requests: { rawHeaders: string[] }[] }, name: string) =>
    coderd.requests.map(({ rawHeaders }) =>
      rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1] === name),
    );

  test("01#12 are on every request, REST and handshake, added to what is there", async () => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({
      url: coderd.url,
      headers: [
        ["X-One", "a=b"],
        ["X-One", "2"],
      ],
      headerCommand: 'echo "X-Two=$CODER_URL"; echo hidden >&2',
    });
    await agent.event("key");
    await agent.link.initScripts(never);
    expect(coderd.requests.length).toBeGreaterThanOrEqual(10);
    for (const values of headersOf(coderd, "X-One")) expect(values).toEqual(["a=b", "2"]);
    for (const values of headersOf(coderd, "X-Two")) expect(values).toEqual([`${coderd.url}/`]);
  });

  test.each([
    ["fails", "echo A=b; exit 3", "exit code 3"],
    ["prints a line without =", "echo A=b; echo oops", 'without "="'],
    ["prints a bad name", "echo 'a b=c'", "not a token"],
    ["prints a credential", "echo coder-session-token=x", "set by the agent"],
  ])("01#13 a header command that %s ends the start", async (_what, headerCommand, words) => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url, headerCommand });
    expect(await agent.ended).toMatchObject({ code: "OUT-HEADER", message: expect.stringContaining(words) });
    expect(coderd.requests).toEqual([]);
  });

  test("the command runs again before each reconnect, and a failure then is only a failed dial", async () => {
    await using coderd = await startFakeCoderd();
    const folder = await mkdtemp(join(tmpdir(), "outpost-test-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const flag = join(folder, "runs");
    const headerCommand = `n=$(cat ${flag} 2>/dev/null || echo 0); echo $((n+1)) > ${flag}; [ $n = 1 ] && exit 1; echo X-Run=$n`;
    await using agent = await startLink({ url: coderd.url, headerCommand });
    await agent.event("connected");
    await agent.clock.advance(10_000);
    coderd.cut();
    const { why, delayMs } = await agent.event("dial-failed");
    expect(why).toContain("header command");
    await agent.clock.advance(delayMs);
    await agent.event("connected", 2);
    expect(coderd.handshakes.map(({ headers }) => headers["x-run"])).toEqual(["0", "2"]);
  });
});
