import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const binary = `${root}.cache/interop/interop`;

function findGo(): string | undefined {
  for (const candidate of ["go", "/usr/local/go/bin/go"]) {
    try {
      execFileSync(candidate, ["version"], { stdio: "ignore" });
      return candidate;
    } catch {
      // Not there: the next one.
    }
  }
  return undefined;
}

/** The Go compiler, or undefined: such tests skip, visibly. */
export const go: string | undefined = findGo();

/** Builds test/interop into .cache/interop; quick when nothing has changed. */
export function buildInterop(): void {
  execFileSync(go ?? "go", ["build", "-o", binary, "."], {
    cwd: `${root}test/interop`,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (!existsSync(binary)) throw new Error(`build test/interop: "${binary}" is not there`);
}

interface GoServer extends AsyncDisposable {
  /** `ws://HOST:PORT`. */
  url: string;
  /** What its yamux library has logged: a warning there is a finding. */
  log(): Promise<string>;
}

/** The Go side as a server; it ends with its standard input. */
export async function goServer(): Promise<GoServer> {
  const child = spawn(binary, ["serve"], { stdio: ["pipe", "pipe", "inherit"] });
  const address = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).once("line", resolve);
    child.once("close", () => reject(new Error("start the Go server: it has ended")));
  });
  return {
    url: `ws://${address}`,
    log: async () => (await fetch(`http://${address}/log`)).text(),
    [Symbol.asyncDispose]: () => ended(child, () => child.stdin.end()),
  };
}

export interface ScenarioResult {
  name: string;
  /** Empty when it went well. */
  error: string;
}

/** The Go side as a client: plays its scenarios against `url`. */
export async function goClient(url: string): Promise<ScenarioResult[]> {
  const child = spawn(binary, ["dial", url], { stdio: ["ignore", "pipe", "inherit"] });
  const results: ScenarioResult[] = [];
  createInterface(child.stdout).on("line", (line) => results.push(JSON.parse(line) as ScenarioResult));
  await ended(child, () => undefined);
  return results;
}

function ended(child: ChildProcess, end: () => void): Promise<void> {
  return new Promise((resolve) => {
    child.once("close", () => resolve());
    end();
  });
}
