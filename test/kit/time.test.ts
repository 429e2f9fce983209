import { expect, test } from "vitest";
import { Backoff, curves } from "../../src/kit/backoff.ts";
import { systemClock } from "../../src/kit/clock.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";

const delays = (curve: (typeof curves)[keyof typeof curves], count: number) => {
  const backoff = new Backoff(curve, () => 0.5);
  return Array.from({ length: count }, () => Math.round(backoff.next()));
};

test("02#1 the dial curve is the golden one with a cap of 10 s, and a reset starts it again", () => {
  expect(delays(curves.dial, 14)).toEqual([
    0, 81, 131, 212, 343, 554, 897, 1452, 2349, 3800, 6148, 9948, 10_000, 10_000,
  ]);
  const backoff = new Backoff(curves.dial, () => 0.5);
  backoff.next();
  backoff.next();
  backoff.reset();
  expect(backoff.next()).toBe(0);
});

test("jitter spreads a delay by a fifth both ways", () => {
  const least = new Backoff(curves.slow, () => 0);
  const most = new Backoff(curves.slow, () => 1);
  least.next();
  most.next();
  expect([least.next(), most.next()]).toEqual([48_000, 72_000]);
});

test("a fake clock fires timers in order and lets their consequences settle", async () => {
  const clock = new FakeClock();
  const seen: string[] = [];
  clock.after(20, () => seen.push("b"));
  clock.after(10, () => {
    seen.push("a");
    clock.after(5, () => seen.push("a+5"));
  });
  const slept = clock.sleep(30, new AbortController().signal).then(() => seen.push("slept"));
  await clock.advance(20);
  expect(seen).toEqual(["a", "a+5", "b"]);
  await clock.advance(10);
  await slept;
  expect([seen.at(-1), clock.pending, clock.monotonic()]).toEqual(["slept", 0, 30]);
});

test.each([
  ["system", systemClock],
  ["fake", new FakeClock()],
])("an aborted sleep of the %s clock rejects with the reason and leaves no timer", async (_name, clock) => {
  const controller = new AbortController();
  const slept = clock.sleep(60_000, controller.signal);
  controller.abort(new Error("enough"));
  await expect(slept).rejects.toThrow("enough");
  await expect(clock.sleep(1, controller.signal)).rejects.toThrow("enough");
  if (clock instanceof FakeClock) expect(clock.pending).toBe(0);
});
