import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readTrust, writeBundle } from "../../src/link/trust.ts";
import { makeCa, type TestCa, type TestCertificate } from "../support/certs.ts";
import { startFakeCoderd } from "../support/fake-coderd.ts";
import { startProxy } from "../support/proxy.ts";
import { startLink } from "./harness.ts";

let folder: string;
let ca: TestCa;
let otherCa: TestCa;
let server: TestCertificate;
let client: TestCertificate;
/** What stands between the lines of each certificate. */
const blocksOf = (pem: string) =>
  [...pem.matchAll(/CERTIFICATE-----([^-]+)-----END/g)].map((match) => match[1]?.replaceAll(/\s/g, ""));
const path = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "outpost-tls-"));
  ca = makeCa("Corp Root CA");
  otherCa = makeCa("Other CA");
  server = ca.issue(["127.0.0.1", "coder.internal"]);
  client = ca.issue(["agent"], { client: true });
  await writeFile(path("ca.pem"), `some words\n${ca.cert}`);
  await writeFile(path("other.pem"), otherCa.cert);
  await writeFile(path("client.pem"), client.cert);
  await writeFile(path("client.key"), client.key);
  await writeFile(path("words.txt"), "no certificate");
});
afterAll(() => rm(folder, { recursive: true }));

describe("whom we trust", () => {
  test("an unknown authority ends the start, and says which certificate and what to do", async () => {
    await using coderd = await startFakeCoderd({ tls: server });
    await using agent = await startLink({ url: coderd.url });
    expect(await agent.ended).toMatchObject({ code: "OUT-TLS", cure: expect.stringContaining("--extra-ca-file") });
    expect(coderd.requests).toEqual([]);
  });

  test("the extra CA file adds one", async () => {
    await using coderd = await startFakeCoderd({ tls: server });
    await using agent = await startLink({ url: coderd.url, trust: { extraCaFile: path("ca.pem") } });
    await agent.event("connected");
  });

  test("SSL_CERT_FILE and SSL_CERT_DIR count, with files of any name", async () => {
    await using coderd = await startFakeCoderd({ tls: server });
    for (const env of [{ SSL_CERT_FILE: path("ca.pem") }, { SSL_CERT_DIR: `/nonexistent:${folder}` }]) {
      await using agent = await startLink({ url: coderd.url, env });
      await agent.event("connected");
    }
  });

  test("01#14 a CA file replaces everything else", async () => {
    await using coderd = await startFakeCoderd({ tls: server });
    const env = { SSL_CERT_FILE: path("ca.pem") };
    await using agent = await startLink({ url: coderd.url, env, trust: { caFile: path("other.pem") } });
    expect(await agent.ended).toMatchObject({ code: "OUT-TLS" });
    const trust = await readTrust({ caFile: path("ca.pem") }, {});
    expect(blocksOf(trust.bundle)).toEqual(blocksOf(ca.cert));
  });

  test("an expired certificate is told as such", async () => {
    await using coderd = await startFakeCoderd({ tls: ca.issue(["127.0.0.1"], { days: -1 }) });
    await using agent = await startLink({ url: coderd.url, trust: { caFile: path("ca.pem") } });
    expect(await agent.ended).toMatchObject({ code: "OUT-TLS", reason: expect.stringContaining("expired") });
  });

  test("a certificate for another host is refused", async () => {
    await using coderd = await startFakeCoderd({ tls: ca.issue(["elsewhere.example.com"]) });
    await using agent = await startLink({ url: coderd.url, trust: { caFile: path("ca.pem") } });
    expect(await agent.ended).toMatchObject({ code: "OUT-TLS", reason: expect.stringContaining("another host") });
  });

  test("a client certificate is shown on REST calls and the handshake", async () => {
    await using coderd = await startFakeCoderd({ tls: { ...server, ca: ca.cert, requestCert: true } });
    const files = { caFile: path("ca.pem"), certFile: path("client.pem"), keyFile: path("client.key") };
    await using agent = await startLink({ url: coderd.url, trust: files });
    await agent.event("key");
    await using without = await startLink({ url: coderd.url, trust: { caFile: path("ca.pem") } });
    await without.event("dial-failed");
  });

  test.each([
    ["a certificate without a key", { certFile: "client.pem" }, "without a client key"],
    ["a key without a certificate", { keyFile: "client.key" }, "without a client certificate"],
    ["a key of another certificate", { certFile: "other.pem", keyFile: "client.key" }, "don't work together"],
    ["a CA file that isn't there", { caFile: "absent.pem" }, "can't be read"],
    ["a CA file without a certificate", { caFile: "words.txt" }, "holds no PEM certificate"],
    ["an extra CA file that is a folder", { extraCaFile: "." }, "can't be read"],
  ])("%s is an error of the start", async (_what, files, words) => {
    const settings = Object.fromEntries(Object.entries(files).map(([name, file]) => [name, path(file)]));
    await expect(readTrust(settings, {})).rejects.toMatchObject({
      code: "OUT-TLS-FILES",
      message: expect.stringContaining(words),
    });
  });

  test("the bundle holds every root once, and can be written for other programs", async () => {
    const env = { SSL_CERT_FILE: path("ca.pem"), SSL_CERT_DIR: folder };
    const trust = await readTrust({ extraCaFile: path("ca.pem") }, env);
    const all = blocksOf(trust.bundle);
    expect(all.filter((each) => each === blocksOf(ca.cert)[0])).toHaveLength(1);
    expect(new Set(all).size).toBe(all.length);
    expect(all.length).toBeGreaterThanOrEqual(new Set(rootCertificates).size);
    await writeBundle(trust, path("bundle.out"));
    expect(await readFile(path("bundle.out"), "utf8")).toBe(trust.bundle);
    await rm(path("bundle.out"));
  });
});

describe("01#16 proxies", () => {
  const host = "coder.internal";

  test("HTTPS_PROXY is used by CONNECT for REST and handshake; the proxy alone knows the host", async () => {
    await using coderd = await startFakeCoderd({ tls: server });
    await using proxy = await startProxy({ hosts: { [host]: coderd.port }, user: "u s", password: "p:w" });
    await using agent = await startLink({
      url: `https://${host}:4443`,
      trust: { caFile: path("ca.pem") },
      env: { https_proxy: proxy.url },
    });
    await agent.event("key");
    expect(proxy.connects.length).toBeGreaterThanOrEqual(3);
    expect(new Set(proxy.connects)).toEqual(new Set([`${host}:4443`]));
    expect(coderd.handshakes[0]?.headers["host"]).toBe(`${host}:4443`);
    for (const { headers } of coderd.requests) expect(headers).not.toHaveProperty("proxy-authorization");
  });

  test("HTTP_PROXY is used for a plain deployment", async () => {
    await using coderd = await startFakeCoderd();
    await using proxy = await startProxy({ hosts: { [host]: coderd.port } });
    await using agent = await startLink({ url: `http://${host}`, env: { HTTP_PROXY: proxy.url } });
    await agent.event("connected");
    expect(proxy.connects[0]).toBe(`${host}:80`);
  });

  test("NO_PROXY goes around it", async () => {
    await using proxy = await startProxy();
    const env = { HTTPS_PROXY: proxy.url, NO_PROXY: "localhost, .invalid" };
    await using agent = await startLink({ url: "https://coder.invalid", env });
    expect((await agent.event("dial-failed")).why).toContain("coder.invalid");
    expect(proxy.connects).toEqual([]);
  });

  test("a proxy that wants other credentials ends the start with its variable, and isn't taken for the control plane", async () => {
    await using proxy = await startProxy({ user: "user", password: "right" });
    const url = proxy.url.replace("right", "wrong");
    await using agent = await startLink({ url: `https://${host}`, env: { HTTPS_PROXY: url } });
    const error = await agent.ended;
    expect(error).toMatchObject({ code: "OUT-PROXY", message: expect.stringContaining("HTTPS_PROXY") });
    expect(String(error)).not.toContain("wrong");
  });

  test.each([
    [403, "ends"],
    [503, "dials"],
  ])("a proxy that answers CONNECT with %d: %s", async (refuseWith, what) => {
    await using proxy = await startProxy({ refuseWith });
    await using agent = await startLink({ url: `https://${host}`, env: { HTTPS_PROXY: proxy.url } });
    if (what === "ends") expect(await agent.ended).toMatchObject({ code: "OUT-PROXY" });
    else expect((await agent.event("dial-failed")).why).toContain("503");
  });

  test("a proxy that never answers is given up after 30 s, its socket too", async () => {
    await using proxy = await startProxy({ hang: true });
    await using agent = await startLink({ url: `https://${host}`, env: { HTTPS_PROXY: proxy.url } });
    await proxy.until(() => proxy.connects.length === 1);
    await agent.clock.advance(30_000);
    await proxy.until(() => proxy.connects.length === 2);
    await agent.clock.advance(30_000);
    await agent.event("dial-failed");
    await proxy.until(() => proxy.open === 0);
  });
});
