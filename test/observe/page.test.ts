import { request } from "node:http";
import { afterEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/kit/clock.ts";
import { type HealthServer, Pulse, serveHealth } from "../../src/observe/health.ts";
import type { Snapshot } from "../../src/observe/snapshot.ts";
import { StatusPage } from "../../src/observe/status-page.ts";
import { chromium, domAfter } from "../support/chromium.ts";
import { sampleSnapshot } from "../support/snapshots.ts";

let server: HealthServer | undefined;
afterEach(async () => {
  await server?.[Symbol.asyncDispose]();
  server = undefined;
});

async function serve(snapshot: () => Snapshot = sampleSnapshot) {
  const page = new StatusPage(snapshot);
  server = await serveHealth("127.0.0.1:0", new Pulse(systemClock), () => [], {
    page,
    checks: () => [
      { name: "connection", problem: undefined },
      { name: "taking jobs", problem: "paused" },
    ],
  });
  const { address } = server;
  return {
    page,
    url: `http://${address}/`,
    get: (path: string, headers: Record<string, string> = {}) => get(address, path, headers),
  };
}

function get(address: string, path: string, headers: Record<string, string>) {
  const [host, port] = address.split(":");
  return new Promise<{ status: number | undefined; headers: Record<string, unknown>; text: string }>(
    (resolve, reject) => {
      const asking = request({ host, port, path, headers }, async (response) => {
        let text = "";
        for await (const chunk of response) text += String(chunk);
        resolve({ status: response.statusCode, headers: response.headers, text });
      });
      asking.on("error", reject).end();
    },
  );
}

const names = /alice|bob|carol|dave|build-box|k8s-dev|Still creating|Invalid value/;

test("/healthz names every check and fails with one of them", async () => {
  const { get } = await serve();
  expect(await get("/healthz")).toMatchObject({
    status: 503,
    text: "ok   loop\nok   connection\nFAIL taking jobs: paused\n",
  });
});

test("a Host that is not this machine's is refused: DNS rebinding", async () => {
  const { get } = await serve();
  for (const host of [
    "evil.example.com",
    "localhost.evil.com",
    "127.0.0.1.evil.com",
    "10.0.0.1:2113",
    "localhost:2113@evil",
  ])
    for (const path of ["/", "/status"]) {
      const { status, text } = await get(path, { host });
      expect(status).toBe(403);
      expect(text).not.toContain("outpost-0");
    }
  for (const host of ["localhost:9999", "127.0.0.1", "[::1]:2113"])
    expect((await get("/status", { host })).status).toBe(200);
  // Probes come with whatever name.
  expect((await get("/livez", { host: "10.0.0.1:2113" })).status).toBe(200);
});

test("names of owners and workspaces, and words of jobs, come only with the token", async () => {
  const problem = { at: 0, what: "Still creating", cause: "alice", job: "a1b2", forWhom: "bob" };
  const { get, page } = await serve(() => sampleSnapshot({ problems: [problem] }));
  for (const authorization of ["", "Bearer", "Bearer x", `Bearer ${page.token}x`, page.token]) {
    const { text } = await get("/status", { authorization });
    expect(text).not.toMatch(names);
    expect(JSON.parse(text)).toMatchObject({ namesHidden: true, slots: 4 });
  }
  const { text } = await get("/status", { authorization: `Bearer ${page.token}` });
  expect(text).toMatch(names);
  expect((await get(`/status?token=${page.token}`)).text).not.toMatch(names);
});

test("the page runs only its own script and style, in no frame, and is never kept", async () => {
  const { get } = await serve();
  const { headers, text } = await get("/");
  const policy = String(headers["content-security-policy"]);
  expect(policy).toMatch(
    /^default-src 'none'; script-src 'sha256-[\w+/=]+'; style-src 'sha256-[\w+/=]+'; connect-src 'self'/,
  );
  expect(policy).not.toMatch(/unsafe|\*/);
  expect(policy).toContain("frame-ancestors 'none'");
  expect(headers).toMatchObject({ "cache-control": "no-store", "x-content-type-options": "nosniff" });
  expect(text).not.toMatch(/<[^>]+ (style|on\w+)=|https?:/);
  expect(text).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(/);
});

describe.skipIf(!chromium)("in a real browser", () => {
  test("shows the agent with its jobs, stages, lines, boxes and problems; the tab says how it stands", async () => {
    const { page, url } = await serve();
    const dom = await domAfter(`${url}#token=${page.token}`, 3_000);
    expect(dom).toContain("<title>3/4 READY</title>");
    for (const words of [
      "alice/dev",
      "apply 3/5",
      "quiet for 9m10s",
      "1 slot free",
      "outpost recover show 5c1d",
      "Still creating... [20s]",
    ])
      expect(dom).toContain(words);
    expect(dom).toMatch(/<section id="person"[^>]*aria-label="Needs a person">/);
    expect(dom).toMatch(/<details class="card"><summary>/);
    expect(dom).toContain("template: Error: Invalid value");
    expect(dom).toContain("connection lost: read ECONNRESET");
  });

  test("without the token it says what is hidden and how to see it; without a need for a person there is no red box", async () => {
    const { url } = await serve(() => sampleSnapshot({ person: [] }));
    const dom = await domAfter(url, 3_000);
    expect(dom).not.toMatch(names);
    expect(dom).toMatch(/<p id="hidden" class="note">/);
    expect(dom).toMatch(/<section id="person"[^>]*hidden=""/);
  });

  test("what a template wrote stays text", async () => {
    const evil = `</script><img src=x onerror="document.title='owned'"><b>`;
    const sample = sampleSnapshot();
    const { page, url } = await serve(() => ({
      ...sample,
      agent: { ...sample.agent, name: evil, takes: evil },
      running: sample.running.map((job) => ({ ...job, forWhom: evil, template: evil, lines: [evil], kind: evil })),
      ended: sample.ended.map((job) => ({ ...job, forWhom: evil, reason: evil })),
      problems: [{ at: 0, what: evil, cause: evil, cure: evil }],
      person: [{ at: 0, what: evil, cause: evil, cure: evil }],
    }));
    const dom = await domAfter(`${url}#token=${page.token}`, 3_000);
    expect(dom).toContain("&lt;img src=x");
    expect(dom).not.toMatch(/<img|<b>/);
    expect(dom).toContain("<title>3/4 READY</title>");
  });

  test("an agent that does not answer any more greys the page and says so", async () => {
    let asked = 0;
    const { page, url } = await serve(() => {
      if (asked++ > 0) throw new Error("gone");
      return sampleSnapshot();
    });
    const dom = await domAfter(`${url}#token=${page.token}`, 12_000);
    expect(dom).toMatch(/<html[^>]*class="stale"/);
    expect(dom).toMatch(/<p id="lost" class="alert" role="alert">No answer from the agent/);
    expect(dom).toContain("<title>? LOST</title>");
    // What was known stays readable.
    expect(dom).toContain("alice/dev");
  });

  test("it follows the system into the dark", async () => {
    const { url } = await serve();
    expect(await domAfter(url, 1_000, ["--blink-settings=preferredColorScheme=0"])).toMatch(/data-theme="dark"/);
    expect(await domAfter(url, 1_000, ["--blink-settings=preferredColorScheme=1"])).toMatch(/data-theme="light"/);
  });
});
