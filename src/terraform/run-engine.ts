import type { ChildProcess, SpawnOptions } from "node:child_process";
import type { Clock } from "../kit/clock.ts";
import { JobError, messageOf } from "../kit/errors.ts";

/** `spawn` of node:child_process, or a stand-in. */
export type Spawn = (path: string, args: readonly string[], options: SpawnOptions) => ChildProcess;

export interface EngineCall {
  path: string;
  args: readonly string[];
  /** Absolute. */
  cwd: string;
  environment: Readonly<Record<string, string>>;
  /** What a person calls a variable of the environment, for errors about its value. */
  labels?: ReadonlyMap<string, string>;
  onStdout: (chunk: Uint8Array) => void;
  onStderr: (chunk: Uint8Array) => void;
}

export interface EngineDeps {
  spawn: Spawn;
  clock: Clock;
  platform: NodeJS.Platform;
  exitTimeoutMs: number;
  /** Aborts when the session is disposed: whatever runs is killed now. */
  kill: AbortSignal;
}

/** Linux: one argument or `NAME=value` takes at most this many bytes, without its closing NUL (spec/03 §3.10). */
const maxStringBytes = 131_071;
/** How long output may come after the end: a child that left the group can hold the pipe for ever (spec/03 §3.10). */
const drainMs = 5000;

/**
 * Runs the engine once, in a process group of its own, and resolves when it has ended, its output is read, and its group
 * is gone. The result is undefined for exit status 0, else the words of spec/03 §3.8: `exit status 1`,
 * `signal: killed`, `context canceled` for one that was not started, or the system's error.
 * An aborted `signal` goes down the ladder of `endingSteps`. Throws JobError for a value that no process can be given.
 */
export async function runEngine(call: EngineCall, deps: EngineDeps, signal: AbortSignal): Promise<string | undefined> {
  if (signal.aborted || deps.kill.aborted) return "context canceled";
  refuseImpossible(call);
  let child: ChildProcess;
  try {
    child = deps.spawn(call.path, call.args, {
      cwd: call.cwd,
      env: { ...call.environment },
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
  } catch (error) {
    return startError(call, error);
  }
  child.stdout?.on("data", call.onStdout);
  child.stderr?.on("data", call.onStderr);
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const ended = new Promise<string | undefined>((resolve) => {
    child.on("error", (error) => {
      // Also emitted for a signal that could not be sent; only a start that failed has no process.
      if (child.pid === undefined) resolve(startError(call, error));
    });
    child.once("exit", (code, signalName) => resolve(endText(code, signalName)));
  });
  using _ladder = interrupting(child, deps, signal);
  const end = await ended;
  if (child.pid === undefined) return end;
  signalGroup(child.pid, "SIGKILL");
  await drained(child, closed, deps.clock);
  return end;
}

/** What is sent when, after a cancel. */
export interface EndingStep {
  afterMs: number;
  signal: "SIGINT" | "SIGKILL";
  to: "leader" | "group";
}

/**
 * The ladder: one interrupt to the engine alone, which tells its own children; then the kill to the whole group
 * (spec/03 §8.4). A second interrupt would make the engine leave its resources alone half-made. Windows has no interrupt.
 */
export function endingSteps(platform: NodeJS.Platform, exitTimeoutMs: number): EndingStep[] {
  if (platform === "win32") return [{ afterMs: 0, signal: "SIGKILL", to: "group" }];
  return [
    { afterMs: 0, signal: "SIGINT", to: "leader" },
    { afterMs: exitTimeoutMs, signal: "SIGKILL", to: "group" },
  ];
}

/** Sends the ladder's signals from the abort on, until disposed; a killed session skips to its end. */
function interrupting(child: ChildProcess, deps: EngineDeps, signal: AbortSignal): Disposable {
  const timers: Disposable[] = [];
  const send = (step: EndingStep) => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    if (step.to === "group") signalGroup(child.pid, step.signal);
    else child.kill(step.signal);
  };
  const onAbort = () => {
    for (const step of endingSteps(deps.platform, deps.exitTimeoutMs)) {
      if (step.afterMs === 0) send(step);
      else timers.push(deps.clock.after(step.afterMs, () => send(step)));
    }
  };
  const onKill = () => send({ afterMs: 0, signal: "SIGKILL", to: "group" });
  signal.addEventListener("abort", onAbort, { once: true });
  deps.kill.addEventListener("abort", onKill, { once: true });
  return {
    [Symbol.dispose]: () => {
      signal.removeEventListener("abort", onAbort);
      deps.kill.removeEventListener("abort", onKill);
      for (const timer of timers) timer[Symbol.dispose]();
    },
  };
}

function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal);
  } catch (error) {
    // ESRCH: nobody is left. EPERM: only what belongs to another user, or is a zombie, is left.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ESRCH" && code !== "EPERM") throw error;
  }
}

async function drained(child: ChildProcess, closed: Promise<void>, clock: Clock): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = clock.after(drainMs, () => {
      child.stdout?.destroy();
      child.stderr?.destroy();
      resolve();
    });
    closed.then(() => {
      timer[Symbol.dispose]();
      resolve();
    });
  });
}

function endText(code: number | null, signal: NodeJS.Signals | null): string | undefined {
  if (signal) return `signal: ${signalWords[signal] ?? signal}`;
  return code === 0 ? undefined : `exit status ${code}`;
}

const signalWords: Partial<Record<NodeJS.Signals, string>> = {
  SIGINT: "interrupt",
  SIGKILL: "killed",
  SIGTERM: "terminated",
  SIGPIPE: "broken pipe",
  SIGSEGV: "segmentation fault",
  SIGABRT: "aborted",
  SIGXFSZ: "file size limit exceeded",
};

function startError(call: EngineCall, error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ENOENT") return `start "${call.path}": no such file or directory`;
  if (code === "EACCES") return `start "${call.path}": permission denied`;
  if (code === "E2BIG") return `start "${call.path}": arguments and environment together are too long for this system`;
  return `start "${call.path}": ${messageOf(error)}`;
}

/** Finds what spawn would refuse, since its own error holds the value, which may be a secret. */
function refuseImpossible({ args, environment, labels }: EngineCall): void {
  const check = (whole: string, value: string, name: string) => {
    const bytes = Buffer.byteLength(whole);
    if (bytes > maxStringBytes) {
      const most = maxStringBytes - (bytes - Buffer.byteLength(value));
      throw new JobError(`give the engine ${name}: ${Buffer.byteLength(value)} bytes: at most ${most} can be passed`);
    }
    if (whole.includes("\0")) throw new JobError(`give the engine ${name}: it holds a NUL character: it must not`);
  };
  for (const [index, argument] of args.entries()) {
    const [, variable] = args[index - 1] === "-var" ? (/^([^=]*)=/.exec(argument) ?? []) : [];
    if (variable === undefined) check(argument, argument, `argument ${index}`);
    else check(argument, argument.slice(variable.length + 1), `variable "${variable}"`);
  }
  for (const [name, value] of Object.entries(environment)) {
    check(`${name}=${value}`, value, labels?.get(name) ?? `environment variable "${name}"`);
  }
}
