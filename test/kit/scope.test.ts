import { expect, test } from "vitest";
import { Scope } from "../../src/kit/scope.ts";
import { aborted, anySignal, raceSignal } from "../../src/kit/signals.ts";

test("a scope ends only when everything it started has settled", async () => {
  const scope = new Scope();
  const seen: string[] = [];
  scope.start(async (signal) => {
    await aborted(signal);
    await new Promise((resolve) => setImmediate(resolve));
    seen.push("ended");
  });
  await scope.close();
  expect(seen).toEqual(["ended"]);
});

test("the first failure aborts the others and is what settled tells", async () => {
  const scope = new Scope();
  let others: unknown;
  scope.start(async (signal) => {
    await aborted(signal);
    others = signal.reason;
    throw new Error("second");
  });
  scope.start(async () => {
    throw new Error("first");
  });
  await expect(scope.settled()).rejects.toThrow("first");
  expect(others).toMatchObject({ message: "first" });
});

test("a parent's abort reaches the scope, and a closed scope no longer listens to it", async () => {
  const parent = new AbortController();
  const scope = new Scope(parent.signal);
  parent.abort(new Error("parent"));
  expect(scope.signal.reason).toMatchObject({ message: "parent" });
  await scope.close();
});

test("raceSignal rejects with the reason while the promise goes on; anySignal forgets its sources", async () => {
  const controller = new AbortController();
  const raced = raceSignal(new Promise(() => undefined), controller.signal);
  controller.abort(new Error("late"));
  await expect(raced).rejects.toThrow("late");
  const source = new AbortController();
  const any = anySignal(source.signal);
  any[Symbol.dispose]();
  source.abort();
  expect(any.signal.aborted).toBe(false);
});
