import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import type { Clock } from "../kit/clock.ts";
import { type EngineVersion, parseVersionOutput } from "./version.ts";

/** `version -json` takes 60 ms; a cold binary on a slow network volume some seconds. */
const timeoutMs = 30_000;
/** The answer has some hundred bytes; with many providers in the folder some thousand. */
const maxOutputBytes = 65_536;

/**
 * Asks engines for their version: one process for each binary (path, inode, size, time), in a clean environment, in an
 * empty folder, within 30 s (spec/03 §2.4). Keep one for the life of the agent.
 */
export class EngineProbe {
  readonly #known = new Map<string, Promise<EngineVersion>>();

  constructor(
    private readonly clock: Clock,
    /** PATH for an engine that is a script. Nothing else of our environment is passed on. */
    private readonly pathVariable: string,
  ) {}

  /** The version, or an Error whose message says why there is none. An answer that failed is not kept. */
  async version(path: string, signal: AbortSignal): Promise<EngineVersion> {
    const { ino, size, mtimeMs } = await stat(path);
    const key = JSON.stringify([path, ino, size, mtimeMs]);
    const known = this.#known.get(key);
    if (known) return known;
    const asked = this.#ask(path, signal);
    this.#known.set(key, asked);
    asked.catch(() => this.#known.delete(key));
    return asked;
  }

  async #ask(path: string, signal: AbortSignal): Promise<EngineVersion> {
    const folder = await mkdtemp(join(tmpdir(), "outpost-engine-"));
    try {
      for (let tries = 1; ; tries++) {
        const result = await this.#run(path, folder, signal);
        // A file written by this process counts as open for writing while a child of another spawn starts.
        if (result.code === "ETXTBSY" && tries < 5) {
          await this.clock.sleep(50, signal);
          continue;
        }
        signal.throwIfAborted();
        if (result.late) throw new Error(`"version -json" took more than ${timeoutMs / 1000} s`);
        if (result.failed) throw new Error(`"version -json" failed: ${result.why}`);
        const version = parseVersionOutput(result.stdout);
        if (!version) throw new Error('"version -json" names no version');
        return version;
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  async #run(path: string, folder: string, signal: AbortSignal) {
    signal.throwIfAborted();
    const child = execa(path, ["version", "-json"], {
      cwd: folder,
      env: { PATH: this.pathVariable, HOME: folder, CHECKPOINT_DISABLE: "1", TF_CLI_CONFIG_FILE: "/dev/null" },
      extendEnv: false,
      stdin: "ignore",
      stderr: "ignore",
      maxBuffer: maxOutputBytes,
      reject: false,
      // A group of its own: an engine may be a script whose child would hold the pipe open for ever.
      detached: true,
    });
    let late = false;
    const kill = () => killGroup(child.pid);
    const onTimeout = () => {
      late = true;
      kill();
    };
    signal.addEventListener("abort", kill, { once: true });
    using _timer = this.clock.after(timeoutMs, onTimeout);
    try {
      const { failed, stdout, code, originalMessage, shortMessage } = await child;
      return { failed, stdout, code, late, why: originalMessage || shortMessage };
    } finally {
      signal.removeEventListener("abort", kill);
    }
  }
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
