import { mkdir, readdir, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { lockStateFolder } from "../../src/agent/state-lock.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import { type Plane, startPlane } from "../../src/plane/plane.ts";
import { makeCa } from "../support/certs.ts";
import { DoctorsOffice } from "../support/doctor.ts";
import { startFakeCoderd } from "../support/fake-coderd.ts";
import { startProxy } from "../support/proxy.ts";

let office: DoctorsOffice;
beforeEach(() => {
  office = new DoctorsOffice();
});
afterEach(() => office[Symbol.asyncDispose]());

async function withPlane(options: Parameters<typeof startPlane>[0], run: (plane: Plane) => Promise<void>) {
  await using plane = await startPlane(options);
  await run(plane);
}

/** A plain HTTP server that answers everything alike. */
async function withServer(
  answer: { status: number; headers?: Record<string, string>; body?: string },
  run: (url: string) => Promise<void>,
) {
  const server: Server = createServer((_request, response) => {
    response.writeHead(answer.status, answer.headers).end(answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await run(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

describe("the control plane", () => {
  test("a healthy one: everything is told, and no row is left there", () =>
    withPlane({ buildVersion: "v2.34.0" }, async (plane) => {
      const key = plane.createKey("eu-prod", { region: "eu" }).secret;
      const diagnosis = await office.visit({ flags: { url: plane.url, key } });
      for (const name of ["url", "resolves", "TLS", "is Coder", "clock", "protocol", "licence", "key"])
        expect([name, diagnosis.status(name)]).toEqual([name, "ok"]);
      expect(diagnosis.named("is Coder").text).toMatch(/v2\.34\.0, \d+ ms/);
      expect(diagnosis.named("protocol").text).toBe("1.18, ours 1.18: 1.18 is spoken");
      expect(diagnosis.named("key").text).toBe(`"eu-prod" of organization ${plane.organization.id}, 0 days old`);
      expect(diagnosis.named("tags").text).toContain("jobs whose tags are all in {region=eu}; no untagged jobs");
      expect(diagnosis.named("tags")).toMatchObject({ status: "warn", code: "OUT-TAGS" });
      expect(diagnosis.named("upgrade")).toMatchObject({ status: "skip", text: "only --connect can prove it" });
      expect(plane.daemons()).toEqual([]);
    }));

  test("--connect makes a real connection as this agent, and closes it", () =>
    withPlane({}, async (plane) => {
      const key = plane.createKey("k").secret;
      const diagnosis = await office.visit({ flags: { url: plane.url, key, name: "me" }, connect: true });
      expect(diagnosis.named("upgrade").text).toContain("connected as me with protocol 1.18");
      expect(plane.daemons().map(({ daemon }) => daemon.name)).toEqual(["me"]);
    }));

  test("--connect keeps away while an agent of this name runs here", () =>
    withPlane({}, async (plane) => {
      const key = plane.createKey("k").secret;
      const state = join(office.folder, "state");
      await mkdir(state);
      await using _agent = await lockStateFolder(state);
      const diagnosis = await office.visit({ flags: { url: plane.url, key }, connect: true });
      expect(diagnosis.named("upgrade")).toMatchObject({ status: "skip" });
      expect(diagnosis.named("upgrade").text).toContain(`process ${process.pid} on `);
      expect(diagnosis.named("folders").text).toContain("an agent runs here");
      expect(plane.daemons()).toEqual([]);
    }));

  test("no licence: said, and the key is judged all the same", () =>
    withPlane({ entitled: false }, async (plane) => {
      const key = plane.createKey("k").secret;
      const diagnosis = await office.visit({ flags: { url: plane.url, key } });
      expect(diagnosis.named("licence")).toMatchObject({ status: "fail", code: "OUT-LICENCE" });
      expect(diagnosis.status("key")).toBe("ok");
    }));

  test("--pre: no key, and yet the licence shows", async () => {
    for (const entitled of [true, false])
      await withPlane({ entitled }, async (plane) => {
        const diagnosis = await office.visit({ flags: { url: plane.url }, pre: true });
        expect(diagnosis.status("licence")).toBe(entitled ? "ok" : "fail");
        expect(diagnosis.named("key")).toMatchObject({ status: "skip", text: "--pre: no key is needed yet" });
        expect(plane.daemons()).toEqual([]);
      });
  });

  test("an unknown key: named by its fingerprint; what depends on it is skipped", () =>
    withPlane({}, async (plane) => {
      const diagnosis = await office.visit({ flags: { url: plane.url, key: "A".repeat(43) } });
      expect(diagnosis.status("licence")).toBe("ok");
      expect(diagnosis.named("key")).toMatchObject({ status: "fail", code: "OUT-KEY-UNKNOWN" });
      expect(diagnosis.named("key")).toMatchObject({ reason: expect.stringContaining("sha256:0f007385") });
      expect(diagnosis.status("tags")).toBe("skip");
      expect(JSON.stringify(diagnosis.checks)).not.toContain("AAAA");
    }));

  test("a key with a line end is cut; one with a line end inside is none", () =>
    withPlane({}, async (plane) => {
      const key = plane.createKey("k").secret;
      const cut = await office.visit({ flags: { url: plane.url, key: `${key}\n` } });
      expect(cut.named("key")).toMatchObject({ status: "warn", code: "OUT-KEY-LENGTH" });
      const broken = await office.visit({ flags: { url: plane.url, key: `${key.slice(0, 20)}\n${key.slice(20)}` } });
      expect(broken.named("key")).toMatchObject({ status: "fail", code: "OUT-KEY-LENGTH" });
      expect(broken.status("licence")).toBe("ok");
    }));

  test("a pre-shared key and a user token show in the handshake, which leaves no row", () =>
    withPlane({ psk: "right" }, async (plane) => {
      const status = async (flags: Record<string, string>) =>
        (await office.visit({ flags: { url: plane.url, ...flags } })).status("psk" in flags ? "psk" : "token");
      expect(await status({ psk: "right" })).toBe("ok");
      expect(await status({ psk: "wrong" })).toBe("fail");
      expect(await status({ token: plane.adminToken, org: "default" })).toBe("ok");
      expect(await status({ token: plane.adminToken })).toBe("ok");
      expect(plane.daemons()).toEqual([]);
    }));

  test("an older server: what will be spoken; one that checks no versions is not asked", async () => {
    await withPlane({ apiVersion: { major: 1, minor: 4 } }, async (plane) => {
      const key = plane.createKey("k").secret;
      const diagnosis = await office.visit({ flags: { url: plane.url, key } });
      expect(diagnosis.named("protocol").text).toBe("1.4, ours 1.18: 1.4 is spoken");
      expect(diagnosis.status("licence")).toBe("ok");
    });
    await withPlane({ apiVersion: { major: 1, minor: 0 }, buildVersion: "v2.8.5" }, async (plane) => {
      const key = plane.createKey("k").secret;
      const diagnosis = await office.visit({ flags: { url: plane.url, key } });
      expect(diagnosis.status("licence")).toBe("skip");
      expect(plane.daemons()).toEqual([]);
      const connected = await office.visit({ flags: { url: plane.url, token: plane.adminToken }, connect: true });
      expect(connected.named("token")).toMatchObject({
        status: "skip",
        text: "user token: only --connect can ask for it",
      });
      expect(connected.named("upgrade").text).toContain("with protocol 1.18");
    });
  });

  test("a server before 2.18 tells no details: the handshake answers for the key", async () => {
    const rest = ({ path }: { path: string }) => (path.includes("provisionerkeys") ? { status: 404 } : undefined);
    const refused = (detail: string) => ({
      status: 400,
      body: { message: "Incompatible", validations: [{ field: "version", detail }] },
    });
    const behind = "server is at version 1.1, behind requested minor version 1.999";
    for (const [reply, status] of [
      [refused(behind), "ok"],
      [{ status: 401 }, "fail"],
    ] as const) {
      await using coderd = await startFakeCoderd({
        version: "v2.17.0",
        apiVersion: "1.1",
        rest,
        handshake: () => reply,
      });
      const diagnosis = await office.visit({ flags: { url: coderd.url, key: "A".repeat(43) } });
      expect(diagnosis.status("key")).toBe(status);
      expect(coderd.handshakes[0]?.query.get("version")).toBe("1.999");
    }
  });

  test("a server from before the versions is too old", async () => {
    await using coderd = await startFakeCoderd({ version: "v2.6.1", apiVersion: "" });
    const diagnosis = await office.visit({ flags: { url: coderd.url, key: "A".repeat(43) } });
    expect(diagnosis.named("protocol")).toMatchObject({ status: "fail", code: "OUT-VERSION" });
    expect(diagnosis.status("key")).toBe("skip");
    expect(coderd.handshakes).toEqual([]);
  });

  test("a web page, a page below a path, a redirect, a login and an outage are told apart", async () => {
    const html = { "content-type": "text/html" };
    const page = "<!doctype html><title>Welcome</title>";
    const see = async (answer: Parameters<typeof withServer>[0], path = "") => {
      let check: unknown;
      await withServer(answer, async (url) => {
        check = (await office.visit({ flags: { url: `${url}${path}`, key: "A".repeat(43) } })).named("is Coder");
      });
      return check;
    };
    expect(await see({ status: 200, headers: html, body: page })).toMatchObject({
      code: "OUT-NOT-CODER",
      text: expect.stringContaining("web page"),
    });
    expect(await see({ status: 200, headers: html, body: page }, "/coder")).toMatchObject({
      reason: expect.stringContaining('the path "/coder"'),
    });
    expect(await see({ status: 307, headers: { location: "https://coder.example.com" } })).toMatchObject({
      code: "OUT-REDIRECT",
      cure: "--url https://coder.example.com",
    });
    expect(await see({ status: 403 })).toMatchObject({ code: "OUT-NOT-CODER", text: expect.stringContaining("login") });
    expect(await see({ status: 503 })).toMatchObject({ code: "OUT-UNREACHABLE" });
    expect(await see({ status: 200, body: "{}" })).toMatchObject({ code: "OUT-NOT-CODER" });
  });

  test("clocks that are apart are a warning", async () => {
    const date = new Date(Date.now() - 3_600_000).toUTCString();
    await withServer({ status: 200, headers: { date }, body: '{"version":"v2.6.0"}' }, async (url) => {
      const diagnosis = await office.visit({ flags: { url, key: "A".repeat(43) } });
      expect(diagnosis.named("clock")).toMatchObject({ status: "warn", code: "OUT-CLOCK" });
      expect(diagnosis.named("clock").text).toMatch(/^3(59|60)\d\.\d s apart$/);
    });
  });

  test("a check that gets no answer ends after 10 s", async () => {
    const clock = new FakeClock();
    await using coderd = await startFakeCoderd({ rest: () => "hang" });
    const visit = office.visit({ flags: { url: coderd.url, key: "A".repeat(43) }, clock });
    await coderd.until(() => coderd.requests.length === 1);
    await clock.advance(10_000);
    expect((await visit).named("is Coder")).toMatchObject({ status: "fail", code: "OUT-TIMEOUT" });
  });
});

describe("the way there", () => {
  const ca = makeCa("Corp Root CA");
  const tls = ca.issue(["127.0.0.1", "coder.test"], { days: 61 });

  test("TLS: days, issuer, and the file by which it is trusted", () =>
    withPlane({ tls }, async (plane) => {
      const file = join(office.folder, "corp.crt");
      await writeFile(file, ca.cert);
      const key = plane.createKey("k").secret;
      const good = await office.visit({ flags: { url: plane.url, key, "extra-ca-file": file } });
      expect(good.named("TLS")).toEqual(expect.objectContaining({ text: `60 days left, Corp Root CA (${file})` }));
      expect(good.status("key")).toBe("ok");
      const strange = await office.visit({ flags: { url: plane.url, key } });
      expect(strange.named("TLS")).toMatchObject({ status: "fail", code: "OUT-TLS" });
      expect(strange.status("is Coder")).toBe("skip");
    }));

  test("a certificate that ends soon is a warning, one that has ended a failure", async () => {
    const file = join(office.folder, "corp.crt");
    await writeFile(file, ca.cert);
    const see = async (days: number) => {
      await using plane = await startPlane({ tls: ca.issue(["127.0.0.1"], { days }) });
      const visit = await office.visit({ flags: { url: plane.url, "extra-ca-file": file }, pre: true });
      return visit.named("TLS");
    };
    expect(await see(5)).toMatchObject({ status: "warn", code: "OUT-TLS-EXPIRES" });
    expect(await see(-1)).toMatchObject({
      status: "fail",
      code: "OUT-TLS",
      reason: expect.stringContaining("expired"),
    });
  });

  test("through a proxy that alone knows the name, and past one that says no", () =>
    withPlane({ tls }, async (plane) => {
      const file = join(office.folder, "corp.crt");
      await writeFile(file, ca.cert);
      const port = Number(new URL(plane.url).port);
      const flags = { url: `https://coder.test:${port}`, key: plane.createKey("k").secret, "extra-ca-file": file };
      await using proxy = await startProxy({ hosts: { "coder.test": port } });
      const good = await office.visit({ flags, environment: { HTTPS_PROXY: proxy.url } });
      expect(good.named("resolves").text).toContain("through proxy 127.0.0.1:");
      expect(["proxy", "TLS", "is Coder", "licence", "key"].map((name) => good.status(name))).toEqual(
        Array(5).fill("ok"),
      );
      await using strict = await startProxy({ user: "me", password: "s3cret" });
      const environment = { HTTPS_PROXY: strict.url.replace("s3cret", "wrong") };
      const bad = await office.visit({ flags, environment });
      expect(bad.named("proxy")).toMatchObject({ status: "fail", code: "OUT-PROXY" });
      expect(bad.status("TLS")).toBe("skip");
      expect(JSON.stringify(bad.checks)).not.toContain("wrong");
      const gone = await office.visit({ flags, environment: { HTTPS_PROXY: "http://127.0.0.1:1" } });
      expect(gone.named("proxy")).toMatchObject({ status: "fail", code: "OUT-PROXY" });
    }));
});

describe("this machine", () => {
  test("nothing is made: folders, names and locks stay as they are", () =>
    withPlane({}, async (plane) => {
      await office.visit({ flags: { url: plane.url, key: plane.createKey("k").secret }, connect: true });
      expect(await readdir(office.folder)).toEqual([]);
    }));

  test("the operator's configuration decides where providers come from", async () => {
    const ca = makeCa("Mirror CA");
    const file = join(office.folder, "ca.crt");
    await writeFile(file, ca.cert);
    const config = join(office.folder, "terraform.rc");
    await using mirror = await startFakeCoderd({ tls: ca.issue(["127.0.0.1"]), rest: () => ({ status: 404 }) });
    const see = async (text: string) => {
      await writeFile(config, text);
      const environment = { TF_CLI_CONFIG_FILE: config };
      return (await office.visit({ flags: { "extra-ca-file": file }, environment, pre: true })).named("registry");
    };
    const network = (url: string) => `provider_installation {\n  network_mirror {\n    url = "${url}/"\n  }\n}\n`;
    expect(await see(network(mirror.url))).toMatchObject({ status: "ok", text: `mirror ${mirror.url}/` });
    expect(await see(network("https://127.0.0.1:1"))).toMatchObject({ status: "fail", code: "OUT-REGISTRY" });
    const folder = `provider_installation {\n  filesystem_mirror {\n    path = "${office.folder}/none"\n  }\n}\n`;
    expect(await see(folder)).toMatchObject({ status: "fail", text: expect.stringContaining("ENOENT") });
  });

  test("without one the registry is asked by service discovery, through the proxy", async () => {
    const ca = makeCa("Registry CA");
    const file = join(office.folder, "ca.crt");
    await writeFile(file, ca.cert);
    const discovery = { status: 200, body: { "providers.v1": "/v1/providers/" } };
    const tls = ca.issue(["registry.terraform.io"]);
    await using registry = await startFakeCoderd({ tls, rest: () => discovery });
    await using proxy = await startProxy({ hosts: { "registry.terraform.io": registry.port } });
    await using closed = await startProxy({ refuseWith: 403 });
    const see = async (url: string) =>
      (await office.visit({ flags: { "extra-ca-file": file }, environment: { HTTPS_PROXY: url }, pre: true })).named(
        "registry",
      );
    expect((await see(proxy.url)).text).toContain("registry.terraform.io, through proxy");
    expect(registry.requests.map(({ path }) => path)).toEqual(["/.well-known/terraform.json"]);
    expect(await see(closed.url)).toMatchObject({ code: "OUT-REGISTRY", text: expect.stringContaining("403") });
  });

  test("names of what jobs may see, and never the key", async () => {
    const environment = { AWS_REGION: "eu-1", CODER_PROVISIONER_DAEMON_KEY: "A".repeat(43) };
    const flags = { "job-env": ["AWS_*"], "job-file": ["KUBECONFIG=/etc/kube"] };
    const { text } = (await office.visit({ flags, environment, pre: true })).named("jobs may see");
    expect(text).toBe("explicit: AWS_REGION, KUBECONFIG; never: the key");
  });

  test("more slots than memory is a warning", async () => {
    const check = (await office.visit({ flags: { slots: "64" }, pre: true })).named("memory");
    expect(check).toMatchObject({ status: "warn", code: "OUT-MEMORY" });
  });
});
