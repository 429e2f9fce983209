import { execFile, execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/kit/clock.ts";
import { type InitRun, type Lease, openLease } from "../../../src/terraform/provider-cache/lease.ts";
import { type Offer, platform, type Registry, startRegistry } from "./registry.ts";

/** What `init` of a job came to. */
export interface Run extends InitRun {
  /** What Terraform says, by line. */
  lines: string[];
}

/** A cache, a registry and jobs that use them; all in one folder that goes with it. */
export interface World extends AsyncDisposable {
  folder: string;
  cache: string;
  registry: Registry;
  /** A job's folder with these providers, `{ name: version constraint or "" }`, and a lock file if given. */
  job(providers: Record<string, string>, lockFile?: string): Promise<string>;
  open(workFolder: string, options?: { operatorBlocks?: string; say?: (line: string) => void }): Promise<Lease>;
  /** Runs the real `init`: Terraform's with JSON, unless told otherwise. */
  terraform(workFolder: string, args?: string[], engine?: string): (cliConfig: string) => Promise<Run>;
}

export const never = new AbortController().signal;

export const terraformIsHere = (() => {
  try {
    execFileSync("terraform", ["version"], { stdio: "ignore", env: { ...process.env, CHECKPOINT_DISABLE: "1" } });
    return true;
  } catch {
    return false;
  }
})();

export async function makeWorld(offers: Offer[]): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), "outpost-providers-"));
  const registry = await startRegistry(offers);
  // Nothing may depend on a plain name: it stands in the CLI configuration.
  const cache = join(folder, 'the cäche\'s "dir"');
  await writeFile(join(folder, "ca.pem"), registry.ca);
  let jobs = 0;
  const world: World = {
    folder,
    cache,
    registry,
    job: async (providers, lockFile) => {
      const work = join(folder, `job${jobs++}`);
      await mkdir(work);
      await writeFile(join(work, "main.tf"), requiredProviders(registry.host, providers));
      if (lockFile !== undefined) await writeFile(join(work, ".terraform.lock.hcl"), lockFile);
      return work;
    },
    open: (workFolder, { operatorBlocks = "", say = () => undefined } = {}) =>
      openLease({ folder: cache, platform, operatorBlocks, workFolder, say, clock: systemClock }, never),
    terraform: (workFolder, args, engine) => (cliConfig) =>
      runInit(workFolder, cliConfig, join(folder, "ca.pem"), args, engine),
    [Symbol.asyncDispose]: async () => {
      await registry[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return world;
}

/** A name without a host is one of this registry's; with `HOST/` before it, it stays. */
export function requiredProviders(host: string, providers: Record<string, string>): string {
  const entries = Object.entries(providers).map(([name, version], n) => {
    const source = name.split("/").length === 3 ? name : `${host}/${name}`;
    return `    p${n} = {\n      source = "${source}"\n${version ? `      version = "${version}"\n` : ""}    }\n`;
  });
  return `terraform {\n  required_providers {\n${entries.join("")}  }\n}\n`;
}

/** One `init` with an environment of its own. */
export async function runInit(
  workFolder: string,
  cliConfig: string,
  ca: string,
  args = ["-json"],
  engine = "terraform",
): Promise<Run> {
  const config = join(workFolder, ".terraformrc");
  await writeFile(config, cliConfig);
  const env = {
    PATH: process.env["PATH"] ?? "",
    HOME: workFolder,
    TF_CLI_CONFIG_FILE: config,
    SSL_CERT_FILE: ca,
    TF_REGISTRY_DISCOVERY_RETRY: "0",
  };
  const command = ["init", "-no-color", "-input=false", ...args];
  return await new Promise((resolve) => {
    execFile(engine, command, { cwd: workFolder, env, maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) => {
      const records = stdout
        .split("\n")
        .filter((line) => line.startsWith("{"))
        .map((line) => JSON.parse(line) as { "@message": string; diagnostic?: Diagnostic });
      const found = records.flatMap(({ diagnostic }) => (diagnostic?.severity === "error" ? [diagnostic] : []));
      const text = `${found.map(({ summary, detail }) => `${summary}\n${detail}`).join("\n")}\n${stderr}`;
      resolve({ failure: error ? text : undefined, lines: records.map((record) => record["@message"]) });
    });
  });
}

interface Diagnostic {
  severity: string;
  summary: string;
  detail: string;
}
