import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import type { ChildTask, Wanted } from "./child.ts";
import type { Offer } from "./registry.ts";

const program = fileURLToPath(new URL("./child.ts", import.meta.url));

/** Starts another process that uses the cache. `ended` resolves with "" when all was well, "killed" or what it said. */
export function startChild(task: ChildTask): { process: ChildProcess; ended: Promise<string> } {
  const child = spawn(process.execPath, ["--import", "tsx", program, JSON.stringify(task)], {
    stdio: ["ignore", "ignore", "pipe"],
    // A group of its own, so that its Terraforms can be killed with it.
    detached: true,
  });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said = `${said}${chunk}`.slice(-10_000);
  });
  const ended = new Promise<string>((resolve) =>
    child.once("close", (code, signal) => resolve(signal ? "killed" : code === 0 ? "" : said || `exit code ${code}`)),
  );
  return { process: child, ended };
}

/** What jobs must get of these packages. */
export function wantedOf(offers: readonly Offer[]): Wanted[] {
  return offers.map(({ name, version, content }) => ({
    name,
    version,
    sha256: createHash("sha256").update(content).digest("hex"),
  }));
}
