import { spawn } from "node:child_process";
import { once, setMaxListeners } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Plane, startPlane } from "../src/plane/plane.ts";
import { mirrorConfig, providerMirror } from "../test/support/providers.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Nothing is ever given up: a bench that hangs is a finding. */
export const never = new AbortController().signal;
// Each job that is waited for listens once.
setMaxListeners(0, never);

/** An agent as people run it: the built command, connected to a plane in this process. */
export class BenchAgent implements AsyncDisposable {
  private constructor(
    readonly plane: Plane,
    readonly pid: number,
    private readonly folder: string,
    private readonly end: () => Promise<void>,
  ) {}

  static async open(slots: number, more: readonly string[] = []): Promise<BenchAgent> {
    const plane = await startPlane({ rateLimitPerMinute: 0 });
    const folder = await mkdtemp(join(tmpdir(), "outpost-bench-"));
    const { PATH = "", HOME = "" } = process.env;
    const child = spawn(
      process.execPath,
      [
        `${root}/dist/main.js`,
        "start",
        "--name",
        "bench",
        "--slots",
        String(slots),
        "--health-address",
        "off",
        "--log-format",
        "json",
        ...more,
      ],
      {
        env: {
          PATH,
          HOME,
          CODER_URL: plane.url,
          CODER_PROVISIONER_DAEMON_KEY: plane.createKey("bench").secret,
          OUTPOST_STATE_DIRECTORY: join(folder, "state"),
          OUTPOST_WORK_DIRECTORY: join(folder, "work"),
          CODER_CACHE_DIRECTORY: join(folder, "cache"),
          ...(providerMirror ? { TF_CLI_CONFIG_FILE: await mirrorFile(folder, providerMirror) } : {}),
        },
        stdio: ["ignore", "ignore", "ignore"],
      },
    );
    const ended = once(child, "exit");
    while (plane.waitingAcquires < slots) await new Promise((resolve) => setImmediate(resolve));
    return new BenchAgent(plane, child.pid as number, folder, async () => {
      child.kill("SIGTERM");
      await ended;
    });
  }

  /** Runs one job to its end; milliseconds from its creation to its start and to its end. */
  async timed(start: () => { job: { id: string } }): Promise<{ pickUp: number; wall: number }> {
    const since = performance.now();
    const { job } = start();
    await this.plane.started(job.id, never);
    const pickUp = performance.now() - since;
    const { error } = await this.plane.ended(job.id, never);
    if (error) throw new Error(`bench job failed: ${error}`);
    return { pickUp, wall: performance.now() - since };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    await this.plane.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}

export async function mirrorFile(folder: string, mirror: string): Promise<string> {
  const file = join(folder, "mirror.tfrc");
  await writeFile(file, mirrorConfig(mirror));
  return file;
}

/** Resident memory of a process in MB, and of it with all its children. */
export async function residentMb(pid: number): Promise<{ own: number; tree: number }> {
  const one = async (id: string) =>
    Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${id}/status`, "utf8").catch(() => ""))?.[1] ?? 0) / 1000;
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).split(" ").filter(Boolean);
  const own = await one(String(pid));
  let tree = own;
  for (const child of children) tree += await one(child);
  return { own, tree };
}
