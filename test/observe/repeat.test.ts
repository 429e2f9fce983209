import { expect, test } from "vitest";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import { failedAgain, type Saying, type Trouble } from "../../src/observe/repeat.ts";

/** Fails every `everyMs` for `forMs`, with reasons by turns; what was said, with the minute it was said in. */
async function outage(everyMs: number, forMs: number, reasons: string[]) {
  const clock = new FakeClock();
  const said: Array<{ second: number; saying: Saying }> = [];
  let trouble: Trouble | undefined;
  for (let index = 0; clock.monotonic() <= forMs; index++) {
    let saying: Saying;
    [trouble, saying] = failedAgain(trouble, reasons[index % reasons.length] ?? "", clock.monotonic());
    if (saying.kind !== "nothing") said.push({ second: clock.monotonic() / 1_000, saying });
    await clock.advance(everyMs);
  }
  return said;
}

test("a failure that repeats is told once, then once a minute with count and age", async () => {
  expect(await outage(10_000, 150_000, ["refused"])).toEqual([
    { second: 0, saying: { kind: "full" } },
    { second: 60, saying: { kind: "still", tries: 7, lastsMs: 60_000 } },
    { second: 120, saying: { kind: "still", tries: 13, lastsMs: 120_000 } },
  ]);
});

test("each new reason is told, and one that was told before is not", async () => {
  const said = await outage(10_000, 50_000, ["refused", "timeout"]);
  expect(said.map(({ second }) => second)).toEqual([0, 10]);
});

test("reasons that are new each time don't fill the log", async () => {
  const reasons = Array.from({ length: 400 }, (_, index) => `port ${index}`);
  const said = await outage(1_000, 300_000, reasons);
  expect(said.filter(({ saying }) => saying.kind === "full")).toHaveLength(8);
  expect(said.length).toBeLessThanOrEqual(13);
});
