import { existsSync, readFileSync, rmSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** What the fake does for one command. */
export interface FakeStep {
  /** Files written into the current folder, before anything is printed. */
  files?: Record<string, string>;
  /** Printed to stdout; a part may be repeated. */
  stdout?: string | (string | { text: string; times: number })[];
  /** Printed after it, in hex. */
  bytes?: string;
  stderr?: string;
  /** Printed just before the end. */
  last?: string;
  exit?: number;
  /** Doesn't end by itself; every SIGINT is noted. */
  hang?: "until interrupted" | "for ever";
  children?: { run: string; holdsPipe?: boolean }[];
}

export type FakeCommand = "version" | "init" | "plan" | "show plan" | "show people" | "show state" | "graph" | "apply";
export type Scenario = Partial<Record<FakeCommand, FakeStep>>;

export interface FakeCall {
  command: FakeCommand;
  args: string[];
  cwd: string;
  environment: Record<string, string>;
  stdin: string;
  /** The state file when the command started. */
  state: { text: string; mode: number } | null;
  pid: number;
}

/** A program that can be started in place of the engine, with what it noted. */
export class FakeTerraform implements Disposable {
  private constructor(readonly folder: string) {}

  static async make(scenario: Scenario = {}): Promise<FakeTerraform> {
    const fake = new FakeTerraform(await mkdtemp(join(tmpdir(), "outpost-fake-")));
    const script = fileURLToPath(new URL("fake-terraform.mjs", import.meta.url));
    await writeFile(fake.path, `#!${process.execPath}\nimport(${JSON.stringify(script)});\n`, { mode: 0o755 });
    await fake.script(scenario);
    return fake;
  }

  get path(): string {
    return join(this.folder, "terraform");
  }

  /** From the next start on it does this. */
  async script(scenario: Scenario): Promise<void> {
    await writeFile(join(this.folder, "scenario.json"), JSON.stringify(scenario));
  }

  get calls(): FakeCall[] {
    return this.#lines("calls.jsonl").map((line) => JSON.parse(line) as FakeCall);
  }

  get commands(): FakeCommand[] {
    return this.calls.map(({ command }) => command);
  }

  /** `<command> SIGINT` for each that came. */
  get signals(): string[] {
    return this.#lines("signals");
  }

  /** Process ids of the children that were started. */
  get children(): number[] {
    return this.#lines("children").map(Number);
  }

  /** The only call of a command. */
  call(command: FakeCommand): FakeCall {
    const [call, ...more] = this.calls.filter((each) => each.command === command);
    if (!call || more.length > 0) throw new Error(`${command}: called ${call ? more.length + 1 : 0} times`);
    return call;
  }

  /** Resolves when the command has started and done all but ending. */
  async started(command: FakeCommand): Promise<FakeCall> {
    for (;;) {
      const call = this.calls.find((each) => each.command === command);
      if (call) return call;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #lines(name: string): string[] {
    const path = join(this.folder, name);
    return existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
  }
}

/** Whether a process is there and not just waiting to be reaped. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
