import { expect, test } from "vitest";
import { engineTuning, usableMemory } from "../../src/agent/engine-tuning.ts";

const gib = 1024 ** 3;

test("the engine collects less often only where every slot has room", () => {
  expect(engineTuning(24 * gib, 4, {})).toEqual({ GOGC: "400", GOMEMLIMIT: "2GiB" });
  expect(engineTuning(5 * gib, 4, {})).toEqual({});
});

test("what the operator lets jobs see is not overruled", () => {
  expect(engineTuning(24 * gib, 1, { GOGC: "50" })).toEqual({});
});

test("a container's limit counts where there is one; none, and one above the machine's memory, do not", () => {
  expect(usableMemory(0, 8 * gib)).toBe(8 * gib);
  expect(usableMemory(2 * gib, 8 * gib)).toBe(2 * gib);
  expect(usableMemory(2 ** 63, 8 * gib)).toBe(8 * gib);
});
