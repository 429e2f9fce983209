import { describe, expect, test } from "vitest";
import { seeded } from "./random.ts";
import { targets } from "./targets.ts";

describe("a short run of each fuzz target, with a fixed seed", () => {
  test.each(targets)("$name", async ({ run }) => {
    // Files are slow: each target gets what fits into a second or two.
    await run(seeded(20_261_124), 200);
  });

  test("the same seed gives the same numbers", () => {
    const [one, two] = [seeded(7), seeded(7)];
    for (let n = 0; n < 100; n++) {
      const value = one();
      expect(two()).toBe(value);
      expect(value >= 0 && value < 1).toBe(true);
    }
  });
});
