import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { AgentFact } from "../../src/cli/agent/facts.ts";
import { prepareAgent } from "../../src/cli/agent/prepare.ts";
import { resolve } from "../../src/config/resolve.ts";
import { startSettings } from "../../src/config/start-settings.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import { type Plane, startPlane } from "../../src/plane/plane.ts";

const never = new AbortController().signal;
let scratch: string;
let plane: Plane;
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), "outpost-keys-"));
  plane = await startPlane({ rateLimitPerMinute: 0 });
});
afterEach(async () => {
  await plane.close();
  await rm(scratch, { recursive: true, force: true });
});

test("a revoked key: the agent is not ready, and --exit-when-refused ends it with 77", async () => {
  const clock = new FakeClock();
  const facts: AgentFact[] = [];
  const { values, problems } = resolve(
    startSettings,
    {
      url: plane.url,
      key: plane.createKey("k").secret,
      name: "agent",
      isolation: "none",
      "exit-when-refused": "5m",
      "cache-dir": join(scratch, "cache"),
      "state-dir": join(scratch, "state"),
      "work-dir": join(scratch, "work"),
    },
    {},
  );
  expect(problems).toEqual([]);
  const environment = { PATH: process.env["PATH"], SSL_CERT_FILE: "/nonexistent", SSL_CERT_DIR: "/nonexistent" };
  await using agent = await prepareAgent(
    values,
    {
      environment,
      clock,
      random: () => 0.5,
      version: "0.1.0",
      main: "",
      onFact: (fact) => facts.push(fact),
      onDownload: () => undefined,
    },
    never,
  );
  let error: unknown;
  const running = agent.run().catch((thrown: unknown) => {
    error = thrown;
  });
  const turn = async (fact: () => boolean) => {
    for (let step = 0; !fact(); step++) {
      if (step > 10_000) throw new Error("it never came true");
      await clock.advance(100);
      await setImmediate();
    }
  };
  await turn(() => agent.notReady.length === 0 && plane.waitingAcquires === 1);
  plane.deleteKey("k");
  await turn(() => agent.notReady.length > 0);
  expect(agent.notReady.join()).toMatch(/refused the key \(401\)/);
  await turn(() => plane.waitingAcquires === 0);
  const refusedAt = clock.now();
  await turn(() => error !== undefined);
  await running;
  expect(error).toMatchObject({ code: "OUT-KEY-UNKNOWN", exit: 77 });
  expect(clock.now() - refusedAt).toBeGreaterThan(290_000);
});
