import { setMaxListeners } from "node:events";
import { describe, expect, test } from "vitest";
import { ourVersion } from "../../src/contract/versions.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import { acquireJobWithCancel } from "../../src/plane/acquire.ts";
import { Chance, secureRandom } from "../../src/plane/chance.ts";
import { createOrganization } from "../../src/plane/organizations.ts";
import { Pulse } from "../../src/plane/pulse.ts";
import { Queue, type Waiter } from "../../src/plane/queue.ts";
import type { Job } from "../../src/plane/rows.ts";
import { memoryStore } from "../../src/plane/store.ts";
import { completeTags } from "../../src/plane/tags.ts";
import { importVersion } from "../../src/plane/templates.ts";
import { createUser } from "../../src/plane/users.ts";
import type { World } from "../../src/plane/world.ts";

function makeWorld(exact: boolean) {
  const clock = new FakeClock();
  const store = memoryStore();
  const world: World = {
    store,
    clock,
    chance: new Chance(secureRandom),
    queue: new Queue(store, clock, exact),
    jobChanged: new Pulse(),
    apiVersion: ourVersion,
    exact,
    anyExternalAuth: false,
    externalAuthProviders: new Set(),
    url: "http://plane",
  };
  const organization = createOrganization(world, "acme");
  const initiator = createUser(world, { name: "ana" });
  const post = (): Job =>
    importVersion(world, { organizationId: organization.id, template: "t", archive: new Uint8Array(), initiator }).job;
  const waiter = (workerId: string, tags = {}): Waiter => ({
    workerId,
    organizationId: organization.id,
    provisioners: ["terraform"],
    tags: completeTags(tags),
  });
  return { world, clock, post, waiter };
}

const never = new AbortController().signal;

describe("who is woken by a new job", () => {
  test("by default every group: the one that may have the job gets it at once", async () => {
    const { world, clock, post, waiter } = makeWorld(false);
    const stop = new AbortController();
    const tagged = world.queue.acquire(waiter("tagged", { a: "1" }), stop.signal);
    const plain = world.queue.acquire(waiter("plain"), never);
    const job = post();
    expect((await plain)?.id).toBe(job.id);
    stop.abort();
    expect(await tagged).toBeUndefined();
    expect([world.queue.waiting, clock.pending]).toEqual([0, 0]);
  });

  test("the exact server wakes a group that can't have it; the right one looks again after 30 s", async () => {
    const { world, clock, post, waiter } = makeWorld(true);
    const stop = new AbortController();
    const tagged = world.queue.acquire(waiter("tagged", { a: "1" }), stop.signal);
    const plain = world.queue.acquire(waiter("plain"), never);
    const job = post();
    await clock.advance(29_999);
    expect(world.store.jobs.get(job.id)?.workerId).toBeUndefined();
    await clock.advance(1);
    expect((await plain)?.id).toBe(job.id);
    stop.abort();
    expect(await tagged).toBeUndefined();
    expect(clock.pending).toBe(0);
  });

  test("in the exact server a waiter that got a job wakes the next of its group", async () => {
    const { world, post, waiter } = makeWorld(true);
    const both = [world.queue.acquire(waiter("a"), never), world.queue.acquire(waiter("b"), never)];
    const jobs = [post(), post()];
    expect((await Promise.all(both)).map((job) => job?.id).sort()).toEqual(jobs.map(({ id }) => id).sort());
  });

  test("a job is given to one of many waiters, once", async () => {
    const { world, post, waiter } = makeWorld(false);
    const stop = new AbortController();
    setMaxListeners(0, stop.signal);
    const all = Array.from({ length: 20 }, (_, index) => world.queue.acquire(waiter(`w${index}`), stop.signal));
    const { id } = post();
    await Promise.race(all);
    stop.abort();
    expect((await Promise.all(all)).filter((job) => job !== undefined).map((job) => job.id)).toEqual([id]);
  });
});

describe("a job whose AcquiredJob could not be written", () => {
  /** A call whose client has left in a way that nobody noticed before the answer was written. */
  const brokenCall = () => ({
    method: "AcquireJobWithCancel",
    requests: { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => undefined) }) },
    signal: never,
    send: () => Promise.reject(new Error("stream reset")),
  });

  test("is handed out again; the exact server fails it", async () => {
    for (const exact of [false, true]) {
      const { world, post, waiter } = makeWorld(exact);
      const job = post();
      await acquireJobWithCancel(world, waiter("lost"), brokenCall());
      if (exact) {
        expect(world.store.jobs.get(job.id)?.error).toBe("connection to provisioner daemon broken");
      } else {
        expect(world.store.jobs.get(job.id)).toMatchObject({ startedAt: undefined, workerId: undefined });
        expect((await world.queue.acquire(waiter("next"), never))?.workerId).toBe("next");
      }
    }
  });
});
