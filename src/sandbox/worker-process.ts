import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Clock } from "../kit/clock.ts";
import { exitCode, messageOf, OperatorError, TransientError } from "../kit/errors.ts";
import { aborted } from "../kit/signals.ts";
import { nodeStream } from "../wire/stdio.ts";
import type { ByteStream } from "../wire/stream.ts";
import { killGroup, waitForGroup } from "./group.ts";
import { Tail } from "./tail.ts";
import { killTree } from "./tree.ts";

/** How a worker is started at the level `process`. */
export interface WorkerCommand {
  program: string;
  args: string[];
  cwd: string;
  /** The whole environment beside `LANG`; nothing of ours is passed on. What a job may see travels over the stream. */
  environment?: Record<string, string>;
}

export interface WorkerExit {
  /** Null where a signal ended it. */
  code: number | null;
  signal: string | null;
  /** The last 16 KiB of its standard error: all that a crashed worker can still say. */
  stderrTail: string;
}

/** A process for one job. */
export interface WorkerProcess {
  /** Its standard output and input. Ending it tells the worker to leave. */
  stream: ByteStream;
  pid: number;
  /** Resolves when it has ended and its process group is gone; never rejects. */
  exited: Promise<WorkerExit>;
  /** Ends it and everything below it now, and waits until they have ended. Idempotent. */
  kill(): Promise<void>;
}

/** A crash's stack and message fit; a job can't fill our memory. */
const tailBytes = 16_384;
/** A process that left the group may hold the worker's standard error open for ever. */
const stderrWaitMs = 1_000;

/**
 * Starts a worker in a session and process group of its own, with three pipes and no other descriptor. When it ends,
 * however that is, so does its group. A process that makes a session of its own escapes this level; the others have a
 * wall for that. Throws an OperatorError (OUT-WORKER) where it can't be started, a TransientError where the machine is out of something.
 *
 * By `spawn`, not execa: that one drains an output which nobody reads yet, and the stream's first bytes with it.
 */
export async function startWorker(command: WorkerCommand, clock: Clock, signal: AbortSignal): Promise<WorkerProcess> {
  signal.throwIfAborted();
  const child = spawn(command.program, command.args, {
    cwd: command.cwd,
    env: { LANG: "C.UTF-8", ...command.environment },
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
  });
  const tail = new Tail(tailBytes);
  child.stderr.on("data", (chunk: Buffer) => tail.push(chunk));
  child.stderr.on("error", () => undefined);
  const stderrEnd = new Promise<void>((resolve) => child.stderr.once("close", () => resolve()));
  const exited = new Promise<WorkerExit>((resolve) => {
    child.once("exit", (code, signalName) => {
      // In the same turn in which it was reaped: its id can't be another group's yet.
      const pid = child.pid as number;
      killGroup(pid);
      const patience = new AbortController();
      const timer = clock.after(stderrWaitMs, () => patience.abort());
      Promise.all([Promise.race([stderrEnd, aborted(patience.signal)]), waitForGroup(pid, clock)]).then(() => {
        timer[Symbol.dispose]();
        child.stderr.destroy();
        resolve({ code, signal: signalName, stderrTail: tail.text() });
      });
    });
  });
  try {
    await once(child, "spawn");
  } catch (error) {
    throw sortSpawnError(command, error);
  }
  const kill = async () => {
    if (child.exitCode === null && child.signalCode === null) killTree(child.pid as number);
    await exited;
  };
  if (signal.aborted) {
    await kill();
    throw signal.reason;
  }
  return { stream: nodeStream(child.stdout, child.stdin), pid: child.pid as number, exited, kill };
}

function sortSpawnError(command: WorkerCommand, error: unknown): Error {
  const code = (error as NodeJS.ErrnoException).code ?? "";
  const what = `start worker "${command.program}" in "${command.cwd}": ${messageOf(error)}`;
  if (["EAGAIN", "ENOMEM", "EMFILE", "ENFILE"].includes(code)) return new TransientError(what, { cause: error });
  return new OperatorError(what, {
    code: "OUT-WORKER",
    reason: "the program or the folder is missing, or may not be used by this user",
    cure: "install again, and check the owner of the work folder",
    exit: exitCode.unfit,
    cause: error,
  });
}
