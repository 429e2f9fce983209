import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { packTemplate } from "../../src/archive/pack.ts";
import { measure } from "../../src/cli/agent/measure.ts";
import { narrator } from "../../src/cli/agent/narrate.ts";
import { prepareAgent } from "../../src/cli/agent/prepare.ts";
import { tracer } from "../../src/cli/agent/trace.ts";
import { resolve } from "../../src/config/resolve.ts";
import { startSettings } from "../../src/config/start-settings.ts";
import { systemClock } from "../../src/kit/clock.ts";
import { openLog } from "../../src/observe/log-open.ts";
import { Registry } from "../../src/observe/metrics.ts";
import { TraceExporter } from "../../src/observe/trace.ts";
import { traceSettings } from "../../src/observe/trace-settings.ts";
import { startPlane } from "../../src/plane/plane.ts";

/** Prints its whole environment and a sensitive variable: the worst that a template can do to a log. */
const leaky = `
variable "token" {
  type      = string
  sensitive = true
  default   = "sensitive-variable-value"
}
resource "terraform_data" "leak" {
  provisioner "local-exec" {
    command = "env; echo leaked \${nonsensitive(var.token)}"
  }
}
`;
const sshPrivateKey = "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0LXNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----\n";
const secrets = ["sensitive-variable-value", "c2VjcmV0LXNzaC1rZXk", "oidc-access-token-of-bob"];

/** A collector that keeps the bodies it gets. */
async function collector() {
  const bodies: string[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      bodies.push(body);
      response.end("{}");
    });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  return { bodies, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() };
}

test("02#86 a real agent, a real engine and a template that prints its secrets: every sink has the job, none a secret", async () => {
  const folder = await mkdtemp(join(tmpdir(), "outpost-observe-"));
  const plane = await startPlane({ rateLimitPerMinute: 0 });
  const traces = await collector();
  const never = new AbortController().signal;
  try {
    const key = plane.createKey("k").secret;
    const { values } = resolve(
      startSettings,
      {
        url: plane.url,
        key,
        name: "watched",
        isolation: "none",
        "state-dir": folder,
        "work-dir": join(folder, "work"),
      },
      { CODER_CACHE_DIRECTORY: join(folder, "cache") },
    );
    const paths = { coder: "human.log", outpost: "ours.log", json: "agent.json", stackdriver: "cloud.json" } as const;
    const file = (name: string) => join(folder, name);
    const { log, close } = openLog({
      sinks: Object.entries(paths).map(([form, name]) => ({ form: form as keyof typeof paths, path: file(name) })),
      verbose: true,
      filters: [],
      now: Date.now,
      streams: { stdout: process.stdout, stderr: process.stderr },
      environment: {},
    });
    const registry = new Registry();
    const settings = traceSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: traces.url });
    if (!settings) throw new Error("no trace settings");
    const exporter = new TraceExporter(settings, systemClock, (text) => log.write("warn", "trace", text));
    let count = 0;
    const randomHex = (bytes: number) => (++count).toString(16).padStart(bytes * 2, "0");
    const listeners = [
      narrator(log, "coder", { jobLogs: "all" }),
      measure(registry, { clock: systemClock, slots: 1, personalLabels: true, logLinesDropped: () => 0 }),
      tracer({ add: (span) => exporter.add(span), clock: systemClock, randomHex }),
    ];
    const agent = await prepareAgent(
      values,
      {
        environment: process.env,
        clock: systemClock,
        random: Math.random,
        version: "0.0.0",
        main: "",
        onFact: (fact) => {
          for (const listen of listeners) listen(fact);
        },
        onDownload: () => undefined,
      },
      never,
    );
    const running = agent.run();
    await writeFile(join(folder, "main.tf"), leaky);
    const { archive } = await packTemplate(folder);
    const { template, job } = plane.importTemplate({ template: "leaky", archive });
    expect((await plane.ended(job.id, never)).error).toBeUndefined();
    const { user } = plane.createUser({ name: "bob", sshPrivateKey, oidcAccessToken: "oidc-access-token-of-bob" });
    const build = plane.createWorkspace({ templateId: template.id, name: "dev", ownerId: user.id });
    expect((await plane.ended(build.job.id, never)).error).toBeUndefined();
    agent.lane.descend("draining");
    await running;
    await agent[Symbol.asyncDispose]();
    await exporter.close();
    await close();

    const logs = await Promise.all(Object.values(paths).map((name) => readFile(file(name), "utf8")));
    for (const text of logs) {
      expect(text).toContain("successfully connected to coderd");
      // The template did print them: what stands there is the mask.
      expect(text).toContain("leaked [secret]");
      expect(text).toContain("CODER_WORKSPACE_OWNER_SSH_PRIVATE_KEY=");
    }
    const metrics = registry.text();
    expect(metrics).toMatch(
      /coderd_workspace_builds_total\{workspace_owner="bob",workspace_name="dev".*status="success"\} 1/,
    );
    expect(traces.bodies.join()).toContain('"name":"apply"');
    for (const sink of [...logs, metrics, ...traces.bodies])
      for (const secret of [...secrets, key]) expect(sink).not.toContain(secret);
  } finally {
    traces.close();
    await plane.close();
    await rm(folder, { recursive: true, force: true });
  }
});
