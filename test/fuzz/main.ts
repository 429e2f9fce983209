/**
 * `npm run fuzz -- [--seed N] [--count N] [NAME …]`: damaged input against everything that reads what others wrote.
 * Prints the seed; the same seed gives the same run. Ends with 1 at the first finding.
 */
import { parseArgs } from "node:util";
import { seeded } from "./random.ts";
import { type FuzzTarget, targets } from "./targets.ts";

/** Inputs are small and nothing of them is kept: a run that grows by more than this leaks. */
const maxGrowthMiB = 512;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: "string" }, count: { type: "string", default: "100000" } },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32));
const count = Number(values.count);
const chosen = targets.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
if (!Number.isSafeInteger(seed) || !Number.isSafeInteger(count) || chosen.length === 0) {
  console.error(
    `error: fuzz: --seed and --count are whole numbers; targets are ${targets.map(({ name }) => name).join(", ")}`,
  );
  process.exit(64);
}
console.log(`fuzz: seed ${seed}, ${count} inputs for each of ${chosen.map(({ name }) => name).join(", ")}`);
process.on("unhandledRejection", (error) => {
  console.error("fuzz: a promise failed with nobody listening:", error);
  process.exit(1);
});
for (const target of chosen) await fuzz(target);

async function fuzz({ name, run }: FuzzTarget): Promise<void> {
  const random = seeded(seed);
  const since = performance.now();
  const before = process.memoryUsage().rss;
  // In portions, so that a finding can be repeated from its own seed without the rest.
  const portion = Math.min(count, 1000);
  for (let done = 0; done < count; done += portion) {
    const portionSeed = Math.floor(random() * 2 ** 32);
    try {
      await run(seeded(portionSeed), Math.min(portion, count - done));
    } catch (error) {
      console.error(`fuzz: ${name}: after ${done} inputs (seed ${seed}):`, error);
      process.exit(1);
    }
  }
  const seconds = ((performance.now() - since) / 1000).toFixed(1);
  const grown = Math.round((process.memoryUsage().rss - before) / 2 ** 20);
  console.log(`  ${name.padEnd(10)} ${count} inputs in ${seconds} s, RSS grew by ${grown} MiB`);
  if (grown > maxGrowthMiB) {
    console.error(`fuzz: ${name}: memory grew by ${grown} MiB: at most ${maxGrowthMiB} is expected`);
    process.exit(1);
  }
}
