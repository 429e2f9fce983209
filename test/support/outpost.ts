import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const main = `${root}/dist/main.js`;

export const fixture = (name: string): string => `${root}/terraform-fixtures/${name}`;

/** The built command as a child, with an environment of its own. */
export class Outpost implements AsyncDisposable {
  readonly #child: ChildProcess;
  #text = "";
  readonly #watchers = new Set<() => void>();
  /** Resolves with the exit code (or 128 + n as a shell would) when it has ended and its output is read. */
  readonly ended: Promise<number>;

  constructor(args: readonly string[], environment: Record<string, string> = {}, cwd = root) {
    if (!existsSync(main)) throw new Error("dist/main.js is missing: npm run build");
    const { PATH = "", HOME = "" } = process.env;
    this.#child = spawn(process.execPath, [main, ...args], {
      cwd,
      env: { PATH, HOME, LANG: "C.UTF-8", CHECKPOINT_DISABLE: "1", ...environment },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (chunk: string) => {
        this.#text += chunk;
        for (const watch of this.#watchers) watch();
      });
    }
    this.ended = new Promise((resolve) =>
      this.#child.once("close", (code, signal) => {
        resolve(code ?? 128 + (signal === "SIGKILL" ? 9 : 15));
        for (const watch of this.#watchers) watch();
      }),
    );
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /** All it has said so far, both streams. */
  get text(): string {
    return this.#text;
  }

  /** Events of `--json` output. */
  get events(): Array<{ kind: string } & Record<string, unknown>> {
    return this.#text.split("\n").flatMap((line) => (line.startsWith("{") ? [JSON.parse(line)] : []));
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits until its output matches; fails when it ends without. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    let over = false;
    void this.ended.then(() => {
      over = true;
    });
    for (;;) {
      const match = pattern.exec(this.#text);
      if (match) return match;
      if (over) throw new Error(`outpost ended without saying ${pattern}:\n${this.#text}`);
      await new Promise<void>((resolve) => {
        const watch = () => {
          this.#watchers.delete(watch);
          resolve();
        };
        this.#watchers.add(watch);
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended;
  }
}
