/**
 * Another process that uses the cache, started by tests with one argument, the JSON of a ChildTask. It ends with 0, or
 * with 1 and what went wrong on standard error.
 */
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "../../../src/kit/clock.ts";
import { openLease } from "../../../src/terraform/provider-cache/lease.ts";
import { promotePackage } from "../../../src/terraform/provider-cache/promote.ts";
import { platform } from "./registry.ts";
import { requiredProviders, runInit } from "./world.ts";

export type ChildTask =
  | { kind: "promote"; from: string; entry: string; temporary: string; hashes: string[] }
  | { kind: "init"; folder: string; cache: string; host: string; parallel: number; rounds: number; wanted: Wanted[] };

/** A provider that each job asks for, and the SHA-256 in hex of the executable that it must get. */
export interface Wanted {
  name: string;
  version: string;
  sha256: string;
}

const never = new AbortController().signal;

async function main(task: ChildTask): Promise<void> {
  if (task.kind === "promote") return promotePackage({ ...task, accepted: undefined }, never);
  const rounds = async () => {
    for (let n = 0; n < task.rounds; n++) await oneJob(task);
  };
  await Promise.all(Array.from({ length: task.parallel }, rounds));
}

async function oneJob({ folder, cache, host, wanted }: ChildTask & { kind: "init" }): Promise<void> {
  await mkdir(folder, { recursive: true });
  const workFolder = await mkdtemp(join(folder, "job-"));
  const providers = Object.fromEntries(wanted.map(({ name, version }) => [name, version]));
  await writeFile(join(workFolder, "main.tf"), requiredProviders(host, providers));
  const fail = (what: string): void => {
    throw new Error(`${workFolder}: ${what}`);
  };
  await using lease = await openLease(
    { folder: cache, platform, operatorBlocks: "", workFolder, say: fail, clock: systemClock },
    never,
  );
  const { failure } = await lease.init((config) => runInit(workFolder, config, join(folder, "..", "ca.pem")), never);
  if (failure !== undefined) fail(failure);
  for (const { name, version, sha256 } of wanted) {
    const file = `terraform-provider-${name.replace(/.*\//, "")}_v${version}`;
    const bytes = await readFile(join(workFolder, ".terraform/providers", host, name, version, platform, file));
    if (createHash("sha256").update(bytes).digest("hex") !== sha256) fail(`${file} is torn`);
  }
  await rm(workFolder, { recursive: true });
}

main(JSON.parse(process.argv[2] ?? "{}") as ChildTask).catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
