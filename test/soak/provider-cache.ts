import { mkdtemp, readdir } from "node:fs/promises";
import { join } from "node:path";
import { packageHash } from "../../src/terraform/provider-cache/package-hash.ts";
import { listPackages, packageFiles, packagePath } from "../../src/terraform/provider-cache/package-tree.ts";
import { readRecord } from "../../src/terraform/provider-cache/record.ts";
import { trimStore } from "../../src/terraform/provider-cache/trim.ts";
import { bigOffers } from "../terraform/provider-cache/registry.ts";
import { startChild, wantedOf } from "../terraform/provider-cache/start-child.ts";
import { makeWorld } from "../terraform/provider-cache/world.ts";

export const name = "provider-cache";

/** How long it runs, at most, in milliseconds; what is under way then still ends. */
const lengthMs = 60_000;
const never = new AbortController().signal;

/**
 * Processes that init without end on one cache, while two trimmers evict whatever they may and every third process is
 * killed at some moment. No init may fail or get a torn provider; at the end the store is sound and nothing is left
 * beside it.
 */
export async function run(): Promise<void> {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  console.log(`      provider-cache: SEED=${seed}`);
  const random = mulberry32(seed);
  const offers = bigOffers(4, 3 * 1024 * 1024);
  await using world = await makeWorld(offers);
  const { host } = world.registry;
  const until = performance.now() + lengthMs;
  const running = () => performance.now() < until;
  const count = { jobs: 0, killed: 0, evicted: 0 };

  const processes = async (killing: boolean): Promise<void> => {
    while (running()) {
      const folder = await mkdtemp(join(world.folder, "jobs-"));
      const wanted = wantedOf(offers.filter(() => random() < 0.6));
      const task = { kind: "init", folder, cache: world.cache, host, parallel: 2, rounds: 2, wanted } as const;
      const child = startChild(task);
      const timer = setTimeout(
        () => killing && process.kill(-(child.process.pid as number), "SIGKILL"),
        random() * 4_000,
      );
      const ended = await child.ended;
      clearTimeout(timer);
      if (ended !== "" && ended !== "killed") throw new Error(ended);
      if (ended === "killed") count.killed++;
      else count.jobs += task.parallel * task.rounds;
    }
  };
  const trimming = async (): Promise<void> => {
    while (running()) {
      await new Promise((resolve) => setTimeout(resolve, random() * 500));
      const trimmed = await trimStore(world.cache, { maxBytes: 6e6, maxAgeMs: 1e12, minFreeBytes: 0 }, Date.now());
      if (trimmed && trimmed.problems.length > 0) throw new Error(trimmed.problems.join("\n"));
      count.evicted += trimmed?.removed.length ?? 0;
    }
  };
  const tasks = [processes(false), processes(false), processes(true), trimming(), trimming()];
  for (const task of await Promise.allSettled(tasks)) if (task.status === "rejected") throw task.reason;

  await trimStore(world.cache, { maxBytes: 1e12, maxAgeMs: 1e12, minFreeBytes: 0 }, Date.now());
  const left = [...(await readdir(join(world.cache, "leases"))), ...(await readdir(join(world.cache, "trash")))];
  if (left.length > 0) throw new Error(`left behind: ${left.join(", ")}`);
  const store = join(world.cache, "packages", "direct");
  const packages = await listPackages(store);
  for (const id of packages) {
    const entry = join(store, packagePath(id));
    const content = join(entry, "package");
    const paths = (await packageFiles(content)).map(({ path }) => path);
    const hash = await packageHash(content, paths, never);
    if ((await readRecord(entry))?.h1 !== hash) throw new Error(`${packagePath(id)} is damaged`);
  }
  const kept = `${packages.length} packages kept`;
  console.log(`      provider-cache: ${count.jobs} jobs, ${count.killed} killed, ${count.evicted} evicted, ${kept}`);
  if (count.jobs === 0 || count.killed === 0 || count.evicted === 0) throw new Error("it did not do what it is for");
}

/** Chance that can be repeated. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
