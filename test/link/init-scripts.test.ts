import { describe, expect, test } from "vitest";
import { restorePlaceholders } from "../../src/link/init-scripts.ts";
import { type HttpReply, startFakeCoderd } from "../support/fake-coderd.ts";
import { never, startLink } from "./harness.ts";

const script = (url: string, os = "linux", arch = "amd64") =>
  [
    "#!/usr/bin/env sh",
    `BINARY_URL="${url}bin/coder-${os}-${arch}"`,
    'echo "a token of ${HOME} for ${BINARY_URL}"',
    'export CODER_AGENT_AUTH="token"',
    `export CODER_AGENT_URL="${url}"`,
    'exec "$BINARY" agent',
    "",
  ].join("\n");

describe("placeholders are put back", () => {
  test("the URL becomes ${ACCESS_URL}, the word in the line of CODER_AGENT_AUTH ${AUTH_TYPE}, all else stays", () => {
    const text = restorePlaceholders(script("https://coder.example.com/"), undefined);
    expect(text).toBe(script("${ACCESS_URL}").replace('AUTH="token"', 'AUTH="${AUTH_TYPE}"'));
    expect(text).toContain("a token of ${HOME}");
  });

  test("PowerShell's spelling, with a second slash", () => {
    const url = "https://coder.example.com/";
    const text = `Invoke-WebRequest -Uri "${url}/bin/coder-windows-amd64.exe"\n$env:CODER_AGENT_AUTH = "token"\n$env:CODER_AGENT_URL = "${url}"\n`;
    const back = restorePlaceholders(text, undefined);
    expect(back).toContain('-Uri "${ACCESS_URL}/bin/');
    expect(back).toContain('$env:CODER_AGENT_AUTH = "${AUTH_TYPE}"');
    expect(back).toContain('$env:CODER_AGENT_URL = "${ACCESS_URL}"');
  });

  test("the URL of buildinfo helps where the text doesn't name it", () => {
    const text = 'curl https://c.example.com/bin/x\nCODER_AGENT_AUTH="token"\n';
    expect(restorePlaceholders(text, "https://c.example.com")).toContain("curl ${ACCESS_URL}bin/x");
  });

  test.each(["", "echo hello", script("https://a/").replace("token", "t").replace('AUTH="token"', "")])(
    "a text that isn't such a script is not used: %j",
    (text) => {
      expect(restorePlaceholders(text, "https://b.example.com/")).toBeUndefined();
    },
  );
});

function scripts(reply: (os: string, arch: string, url: string) => HttpReply | undefined) {
  return ({ path, headers }: { path: string; headers: { host?: string | undefined } }) => {
    const [, os, arch] = /^\/api\/v2\/init-script\/(\w+)\/(\w+)$/.exec(path) ?? [];
    return os && arch ? reply(os, arch, `http://${headers.host}/`) : undefined;
  };
}

describe("the server's scripts", () => {
  const platforms = [
    "darwin_amd64",
    "darwin_arm64",
    "linux_amd64",
    "linux_arm64",
    "linux_armv7",
    "windows_amd64",
    "windows_arm64",
  ];

  test("seven texts, fetched once for each version of the server", async () => {
    await using coderd = await startFakeCoderd({
      rest: scripts((os, arch, url) => ({
        status: 200,
        headers: { "Content-Type": "text/plain" },
        body: script(url, os, arch),
      })),
    });
    await using agent = await startLink({ url: coderd.url });
    const found = await agent.link.initScripts(never);
    expect(Object.keys(found ?? {}).sort()).toEqual(platforms);
    expect(found?.["linux_armv7"]).toContain("${ACCESS_URL}bin/coder-linux-armv7");
    await agent.clock.advance(10_000);
    coderd.cut();
    await agent.event("connected", 2);
    expect(await agent.link.initScripts(never)).toBe(found);
    expect(coderd.requests.filter(({ path }) => path.includes("init-script"))).toHaveLength(7);
  });

  test("a server without the call gives none", async () => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    expect(await agent.link.initScripts(never)).toBeUndefined();
  });

  test("a dashboard that answers 200 to everything gives none", async () => {
    await using coderd = await startFakeCoderd({
      rest: scripts(() => ({ status: 200, headers: { "Content-Type": "text/html" }, body: "<!doctype html>" })),
    });
    await using agent = await startLink({ url: coderd.url });
    expect(await agent.link.initScripts(never)).toBeUndefined();
  });

  test("an outage is waited out: another text would replace people's machines", async () => {
    let failures = 3;
    await using coderd = await startFakeCoderd({
      rest: scripts((os, arch, url) =>
        failures-- > 0 ? { status: 503 } : { status: 200, body: script(url, os, arch) },
      ),
    });
    await using agent = await startLink({ url: coderd.url });
    let settled = false;
    const found = agent.link.initScripts(never).finally(() => {
      settled = true;
    });
    await agent.event("connected");
    while (!settled) await agent.clock.advance(50);
    expect(Object.keys((await found) ?? {})).toHaveLength(7);
  });
});
