import { afterEach, expect, test } from "vitest";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import { type HealthServer, Pulse, serveHealth } from "../../src/observe/health.ts";

let server: HealthServer | undefined;
afterEach(async () => {
  await server?.[Symbol.asyncDispose]();
  server = undefined;
});

async function start(reasons: string[] = []) {
  const clock = new FakeClock();
  const pulse = new Pulse(clock);
  server = await serveHealth("127.0.0.1:0", pulse, () => reasons);
  const get = async (path: string, method = "GET") => {
    const response = await fetch(`http://${server?.address}${path}`, { method });
    return { status: response.status, text: (await response.text()).trim() };
  };
  return { clock, get, reasons };
}

test("/readyz is 503 with every reason, and 200 without one", async () => {
  const { get, reasons } = await start(["not connected: refused", "draining"]);
  expect(await get("/readyz")).toEqual({ status: 503, text: "not connected: refused\ndraining" });
  reasons.length = 0;
  expect(await get("/readyz")).toEqual({ status: 200, text: "ok" });
});

test("/livez stays 200 for ten minutes in which the control plane is away and the loop turns", async () => {
  const { clock, get } = await start(["not connected"]);
  await clock.advance(600_000);
  expect((await get("/livez")).status).toBe(200);
  expect((await get("/readyz")).status).toBe(503);
});

test("other paths and methods are refused in words", async () => {
  const { get } = await start();
  expect((await get("/")).status).toBe(404);
  expect((await get("/livez", "POST")).status).toBe(405);
});

test("a port that is taken is an error that names the address and the cure", async () => {
  await start();
  const clock = new FakeClock();
  await expect(serveHealth(server?.address ?? "", new Pulse(clock), () => [])).rejects.toMatchObject({
    code: "OUT-HEALTH-ADDRESS",
    cure: expect.stringContaining("--health-address"),
  });
});
