import { setImmediate } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { KeySource } from "../../src/agent/key-source.ts";
import { Rotation } from "../../src/agent/rotation.ts";
import { keyedLink } from "../../src/cli/agent/key-watch.ts";
import { Secret } from "../../src/kit/secret.ts";
import { checkIdentity } from "../../src/link/identity.ts";
import { type Plane, startPlane } from "../../src/plane/plane.ts";
import { startLink, type TestLink } from "../link/harness.ts";

const never = new AbortController().signal;
let plane: Plane;
beforeEach(async () => {
  plane = await startPlane({ rateLimitPerMinute: 0 });
});
afterEach(() => plane.close());

/** A real link to the plane, with a rotation on the link's clock and a source that the test writes. */
async function agentWith(
  first: string,
): Promise<
  { agent: TestLink; write: (key: string) => void; turn: (fact: () => boolean) => Promise<void> } & AsyncDisposable
> {
  const agent = await startLink({ url: plane.url, identity: { key: new Secret(first) } });
  await agent.event("connected");
  await agent.event("key");
  let key = first;
  let hint: () => void = () => undefined;
  const source: KeySource = {
    read: async () => new Secret(key),
    watch: async (onHint) => {
      hint = onHint;
    },
  };
  const identityOf = (secret: Secret) => checkIdentity({ key: secret, name: "build-01", hostName: "host" });
  const rotation = new Rotation({
    key: new Secret(first),
    source,
    links: [keyedLink(agent.link, identityOf)],
    clock: agent.clock,
    random: () => 0.5,
    exitWhenRefusedMs: undefined,
    onWarning: (message) => agent.events.push({ kind: "warning", message }),
  });
  const stop = new AbortController();
  const running = rotation.run(stop.signal);
  return {
    agent,
    write: (next) => {
      key = next;
      hint();
    },
    // Small steps: what goes over the network takes real time.
    turn: async (fact) => {
      for (let step = 0; !fact(); step++) {
        if (step > 2_000) throw new Error("it never came true");
        await agent.clock.advance(100);
        await setImmediate();
      }
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
      await agent.stop();
    },
  };
}

const archive = new Uint8Array(1_024);
const warnings = ({ events }: TestLink) => events.flatMap((event) => (event.kind === "warning" ? [event.message] : []));

test("02#11 the open acquire moves to the connection of the new key, under the same name, and the old one closes", async () => {
  const [first, second] = [plane.createKey("first"), plane.createKey("second")];
  await using it = await agentWith(first.secret);
  const { link } = it.agent;
  const waiting = link.acquire(never);
  await it.turn(() => plane.waitingAcquires === 1);
  const [before] = plane.daemons();
  it.write(second.secret);
  await it.agent.event("connected", 2);
  await it.turn(() => plane.connections === 1 && plane.waitingAcquires === 1);
  plane.deleteKey("first");
  const { job } = plane.importTemplate({ template: "t", archive });
  expect((await waiting)?.jobId).toBe(job.id);
  const [after, ...others] = plane.daemons();
  expect(others).toEqual([]);
  expect(after?.daemon).toMatchObject({ id: before?.daemon.id, name: "build-01", keyId: second.id });
  expect(plane.job(job.id).workerId).toBe(before?.daemon.id);
  expect(warnings(it.agent)).toEqual([]);
});

test("jobs that come while keys are changed again and again are all handed to the agent, each once", async () => {
  const keys = [plane.createKey("first"), plane.createKey("second")] as const;
  await using it = await agentWith(keys[0].secret);
  const stop = new AbortController();
  const got: string[] = [];
  const slots = [1, 2].map(async () => {
    for (;;) {
      const job = await it.agent.link.acquire(stop.signal);
      if (!job) return;
      got.push(job.jobId);
    }
  });
  const jobs: string[] = [];
  for (let round = 1; round <= 10; round++) {
    it.write(keys[round % 2 === 0 ? 0 : 1].secret);
    jobs.push(plane.importTemplate({ template: `t${round}`, archive }).job.id);
    // Some come before the new connection, some after it.
    if (round % 3 === 0) await it.turn(() => plane.connections === 2);
    jobs.push(plane.importTemplate({ template: `u${round}`, archive }).job.id);
    await it.agent.event("connected", round + 1);
  }
  await it.turn(() => got.length === jobs.length);
  stop.abort();
  let over = false;
  void Promise.all(slots).then(() => {
    over = true;
  });
  await it.turn(() => over);
  expect(got.sort()).toEqual(jobs.sort());
});

test("a key with other tags is refused in words, and the old one goes on", async () => {
  const [first, second] = [plane.createKey("first", { region: "eu" }), plane.createKey("second", { region: "us" })];
  await using it = await agentWith(first.secret);
  it.write(second.secret);
  await it.turn(() => warnings(it.agent).length === 1);
  expect(warnings(it.agent)[0]).toMatch(
    /"second" has the tags region=us, the one in use has the tags region=eu: refused/,
  );
  expect(it.agent.events.filter(({ kind }) => kind === "connected")).toHaveLength(1);
});

test("a revoked key: no job is taken and it is said once, until there is another key", async () => {
  const [first, second] = [plane.createKey("first"), plane.createKey("second")];
  await using it = await agentWith(first.secret);
  const { link, events } = it.agent;
  const waiting = link.acquire(never);
  await it.turn(() => plane.waitingAcquires === 1);
  plane.deleteKey("first");
  const startMs = it.agent.clock.now();
  await it.turn(() => link.state.kind === "refused" && plane.waitingAcquires === 0);
  expect(it.agent.clock.now() - startMs).toBeLessThanOrEqual(60_000);
  const { job } = plane.importTemplate({ template: "t", archive });
  await it.agent.clock.advance(300_000);
  expect(plane.job(job.id).workerId).toBeUndefined();
  expect(events.filter((event) => event.kind === "refused" && !event.again)).toHaveLength(1);
  expect(plane.connections).toBe(1);
  it.write(second.secret);
  await it.turn(() => link.state.kind === "connected");
  expect((await waiting)?.jobId).toBe(job.id);
});
