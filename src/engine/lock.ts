import { open, stat, unlink, utimes } from "node:fs/promises";
import type { Clock } from "../kit/clock.ts";
import { messageOf } from "../kit/errors.ts";
import { type Lock, NoKernelLock, tryLock } from "../kit/lock.ts";

/** As Coder's daemon polls (spec/03 §2.3). */
const pollMs = 100;
/** Without a kernel lock: how often the owner shows that it lives, and after which silence it counts as dead. */
const beatMs = 5_000;
const deadMs = 60_000;

/**
 * Waits for the lock at `path` and takes it; disposing gives it back. Where there is a kernel lock, it is that. Elsewhere it is
 * a second file that only one can make and whose owner touches it; one untouched for 60 s is taken over. Two could take
 * over at once: then both download, which only costs time, because a file is whole whenever its name appears.
 */
export async function takeLock(path: string, clock: Clock, signal: AbortSignal): Promise<Lock> {
  for (;;) {
    signal.throwIfAborted();
    try {
      const lock = await tryLock(path);
      if (lock) return lock;
    } catch (error) {
      if (error instanceof NoKernelLock) return takeFileLock(`${path}.owner`, clock, signal);
      throw error;
    }
    await clock.sleep(pollMs, signal);
  }
}

/** See `takeLock`; for tests. */
export async function takeFileLock(path: string, clock: Clock, signal: AbortSignal): Promise<Lock> {
  let seen: { mtimeMs: number; since: number } | undefined;
  for (;;) {
    signal.throwIfAborted();
    try {
      await (await open(path, "wx", 0o600)).close();
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST")
        throw new Error(`lock: ${messageOf(error)}`, { cause: error });
    }
    const mtimeMs = await stat(path).then(
      (found) => found.mtimeMs,
      () => undefined,
    );
    if (mtimeMs !== undefined && mtimeMs === seen?.mtimeMs) {
      // Only change counts, on our own clock: the owner's may be another machine's.
      if (clock.monotonic() - seen.since > deadMs) await unlink(path).catch(() => undefined);
    } else if (mtimeMs !== undefined) {
      seen = { mtimeMs, since: clock.monotonic() };
    }
    await clock.sleep(pollMs, signal);
  }
  let beats = 0;
  let timer: Disposable;
  const beat = () => {
    timer = clock.after(beatMs, beat);
    beats++;
    const time = (clock.now() + beats) / 1000;
    utimes(path, time, time).catch(() => undefined);
  };
  timer = clock.after(beatMs, beat);
  return {
    [Symbol.asyncDispose]: async () => {
      timer[Symbol.dispose]();
      await unlink(path).catch(() => undefined);
    },
  };
}
