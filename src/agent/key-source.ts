import { watch } from "node:fs";
import { open, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { Clock } from "../kit/clock.ts";
import { exitCode, messageOf, OperatorError } from "../kit/errors.ts";
import { Secret } from "../kit/secret.ts";
import { runShell } from "../kit/shell.ts";
import { anySignal } from "../kit/signals.ts";

/** Where the key comes from: exactly one is set, the others are "". */
export interface KeySettings {
  /** The key itself: it never changes. */
  key: string;
  file: string;
  command: string;
}

export interface KeySurroundings {
  /** What the command sees. */
  environment: Readonly<Record<string, string | undefined>>;
  clock: Clock;
  random: () => number;
}

/** A key that may be another one later. */
export interface KeySource {
  /** The key as it is now, without blanks around it. Throws OperatorError OUT-KEY-SOURCE when there is none. */
  read(signal: AbortSignal): Promise<Secret>;
  /** Calls back when the source may hold another key, until the signal aborts. Whoever hears it reads. */
  watch(onHint: () => void, signal: AbortSignal): Promise<void>;
}

/** A key is 43 characters; anything this long is another file. */
const maxBytes = 4_096;
/** A kubelet updates a mounted secret within a minute or two: looking every few seconds adds nothing to that. */
const lookMs = 5_000;
/** A writer that truncates and writes has done both by then. */
const settleMs = 200;
/** Secret stores are asked this often; their tokens last longer. */
const commandEveryMs = 300_000;
const commandLimits = { timeoutMs: 30_000, outputBytes: maxBytes };

/** The source that the settings name; undefined where there is no key at all. */
export function keySource({ key, file, command }: KeySettings, surroundings: KeySurroundings): KeySource | undefined {
  if (file) return fileSource(file, surroundings);
  if (command) return commandSource(command, surroundings);
  if (key) return { read: async () => new Secret(key), watch: async () => undefined };
  return undefined;
}

/** A file, watched by its stamp: what its links lead to may be swapped as a whole, as Kubernetes does. */
function fileSource(path: string, { clock }: KeySurroundings): KeySource {
  const unusable = (reason: string, cause?: unknown) =>
    new OperatorError(`key file "${path}": ${reason}`, {
      code: "OUT-KEY-SOURCE",
      cure: "let --key-file name a file that holds one provisioner key and that this user can read",
      exit: exitCode.usage,
      cause,
    });
  return {
    read: async () => {
      const text = await readStart(path).catch((error: unknown) => {
        throw unusable(messageOf(error), error);
      });
      if (text.length > maxBytes) throw unusable(`has more than ${maxBytes} bytes: should be one key`);
      if (text.trim() === "") throw unusable("is empty: should hold a provisioner key");
      return new Secret(text.trim());
    },
    watch: async (onHint, signal) => {
      let last = await stampOf(path);
      while (!signal.aborted) {
        await changeOrTime(path, clock, signal);
        const stamp = await stampOf(path);
        // While it is away there is nothing to read: it comes back, or the key in use stays.
        if (stamp !== "" && stamp !== last && !signal.aborted) onHint();
        last = stamp || last;
      }
    },
  };
}

function commandSource(command: string, { environment, clock, random }: KeySurroundings): KeySource {
  const failed = (reason: string, cause?: unknown) =>
    new OperatorError(`key command ${JSON.stringify(command)}: ${reason}`, {
      code: "OUT-KEY-SOURCE",
      cure: "let --key-command print one provisioner key and end with 0",
      exit: exitCode.usage,
      cause,
    });
  return {
    read: async (signal) => {
      const output = await runShell(command, environment, commandLimits, signal).catch((error: unknown) => {
        signal.throwIfAborted();
        throw failed(messageOf(error), error);
      });
      if (output.trim() === "") throw failed("printed nothing");
      return new Secret(output.trim());
    },
    watch: async (onHint, signal) => {
      while (!signal.aborted) {
        // Spread by a tenth: a fleet that was started together must not ask together.
        await clock.sleep(commandEveryMs * (0.9 + 0.2 * random()), signal).catch(() => undefined);
        if (!signal.aborted) onHint();
      }
    },
  };
}

async function readStart(path: string): Promise<string> {
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(maxBytes + 1), 0, maxBytes + 1, 0);
    return buffer.subarray(0, bytesRead).toString();
  } finally {
    await file.close();
  }
}

/** What changes with the file's content, through all links; "" where there is none. */
async function stampOf(path: string): Promise<string> {
  return stat(path, { bigint: true }).then(
    ({ dev, ino, mtimeNs, size }) => [dev, ino, mtimeNs, size].join(" "),
    () => "",
  );
}

/** Until the file's folder tells a change and its writer had a moment, or the next look is due. Network folders tell nothing. */
async function changeOrTime(path: string, clock: Clock, signal: AbortSignal): Promise<void> {
  const told = new AbortController();
  using either = anySignal(signal, told.signal);
  const watcher = await Promise.resolve()
    .then(() => watch(dirname(path), { persistent: false }, () => told.abort()))
    .catch(() => undefined);
  watcher?.on("error", () => undefined);
  try {
    await clock.sleep(lookMs, either.signal).catch(() => undefined);
    if (told.signal.aborted) await clock.sleep(settleMs, signal).catch(() => undefined);
  } finally {
    watcher?.close();
  }
}
