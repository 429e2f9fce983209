import { describe, expect, test } from "vitest";
import { Secret } from "../../src/kit/secret.ts";
import { buildVersion } from "../../src/link/build-version.ts";
import { parseDeployment } from "../../src/link/deployment.ts";
import { handshakeHeaders, serveUrl, userAgent } from "../../src/link/handshake.ts";
import { mergeHeaders } from "../../src/link/http.ts";

const semver = /^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$/;

describe("01#8 build version", () => {
  test.each([
    ["v2.29.1", "0.1.0", "v2.29.1+outpost.0.1.0"],
    ["2.29.1", "0.1.0", "v2.29.1+outpost.0.1.0"],
    ["v2.29.1+2f1c9ab", "0.1.0", "v2.29.1+outpost.0.1.0"],
    ["v2.30.0-devel+2f1c9ab", "0.1.0", "v2.30.0-devel+outpost.0.1.0"],
    ["v0.0.0-devel", "0.1.0", "v0.0.0-devel+outpost.0.1.0"],
    ["v2.29.1", "0.1.0-rc.1+abc", "v2.29.1+outpost.0.1.0-rc.1-abc"],
    ["v2.29.1", "", "v2.29.1+outpost"],
    [undefined, "0.1.0", "v0.0.0+outpost.0.1.0"],
    ["next", "0.1.0", "v0.0.0+outpost.0.1.0"],
    ["v2.29", "0.1.0", "v0.0.0+outpost.0.1.0"],
  ])("server %j, ours %j: %s", (server, own, expected) => {
    expect(buildVersion(server, own)).toBe(expected);
    expect(expected).toMatch(semver);
  });
});

describe("request of the handshake", () => {
  const deployment = parseDeployment("https://coder.example.com/sub/path");
  const facts = { organization: "default", name: "build-01", tags: [], version: { major: 1, minor: 18 } };

  test("01#1 01#3 path and query", () => {
    const url = serveUrl(deployment, facts);
    expect(url.protocol).toBe("wss:");
    expect(url.pathname).toBe("/api/v2/organizations/default/provisionerdaemons/serve");
    expect(url.search).toBe("?name=build-01&provisioner=terraform&version=1.18");
  });

  test("01#5 tags are form-encoded, one parameter each", () => {
    const url = serveUrl(deployment, { ...facts, tags: ["env=prod", "a=b=c", "who=a&b c"] });
    expect(url.search).toContain("tag=env%3Dprod&tag=a%3Db%3Dc&tag=who%3Da%26b+c");
  });

  test("an organization's name can't leave its segment", () => {
    expect(serveUrl(deployment, { ...facts, organization: "a/../b?c" }).pathname).toContain("/a%2F..%2Fb%3Fc/");
  });

  test.each([
    ["key", "Coder-Provisioner-Daemon-Key"],
    ["psk", "Coder-Provisioner-Daemon-PSK"],
    ["token", "Coder-Session-Token"],
  ] as const)("01#6 %s: exactly one credential header", (kind, name) => {
    const versions = { own: "0.1.0", server: "v2.29.1" };
    const agent = userAgent("0.1.0", "linux/amd64");
    const headers = handshakeHeaders({ kind, secret: new Secret("s3cret") }, agent, versions);
    expect(headers[name]).toBe("s3cret");
    expect(Object.values(headers).filter((value) => value === "s3cret")).toHaveLength(1);
    expect(headers["User-Agent"]).toBe("outpost/0.1.0 (linux/amd64)");
  });

  test("extra headers are added and replace nothing", () => {
    const merged = mergeHeaders({ "User-Agent": "outpost" }, [
      ["user-agent", "mine"],
      ["X-A", "1"],
      ["x-a", "2"],
    ]);
    expect(merged).toEqual({ "User-Agent": ["outpost", "mine"], "X-A": ["1", "2"] });
  });
});
