import { spawn } from "node:child_process";
import { type FileHandle, open } from "node:fs/promises";

/** A lock that is ours until it is disposed or this process ends, however that is. */
export type Lock = AsyncDisposable;

/** Thrown where the machine has no `flock` program: util-linux, on every Linux that runs jobs. */
export class NoKernelLock extends Error {}

/**
 * Takes the kernel's lock on a file, which is made if need be: undefined when another living process holds it. Nothing is
 * judged by age or process id. Node has no call for it: the `flock` program takes it on our descriptor and ends (3–4 ms).
 */
export async function tryLock(path: string): Promise<Lock | undefined> {
  const file = await open(path, "a", 0o600);
  try {
    if (await lockDescriptor(file)) return { [Symbol.asyncDispose]: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
  await file.close();
  return undefined;
}

async function lockDescriptor(file: FileHandle): Promise<boolean> {
  const child = spawn("flock", ["--exclusive", "--nonblock", "3"], { stdio: ["ignore", "ignore", "ignore", file.fd] });
  return await new Promise((resolve, reject) => {
    child.on("error", (error: NodeJS.ErrnoException) =>
      reject(error.code === "ENOENT" ? new NoKernelLock("lock: no flock program in PATH") : error),
    );
    child.on("exit", (code) => {
      if (code === 0) resolve(true);
      else if (code === 1) resolve(false);
      else reject(new Error(`lock: flock failed with exit code ${code}`));
    });
  });
}
