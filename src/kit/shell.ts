import { spawn } from "node:child_process";

/** What a helper command may use. */
export interface ShellLimits {
  timeoutMs: number;
  outputBytes: number;
}

/**
 * Runs an operator's helper command by `sh -c` and answers its standard output; its standard error is thrown away. It has
 * a process group of its own, which ends with it, at the limit or with the signal. Rejects with an Error that says how it ended.
 */
export function runShell(
  command: string,
  environment: Readonly<Record<string, string | undefined>>,
  limits: ShellLimits,
  signal: AbortSignal,
): Promise<string> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const child = spawn("sh", ["-c", command], {
      env: environment,
      stdio: ["ignore", "pipe", "ignore"],
      detached: true,
    });
    const chunks: Buffer[] = [];
    let bytes = 0;
    let end: Error | undefined;
    const stop = (reason: Error) => {
      end ??= reason;
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      } catch {
        // It has ended already.
      }
    };
    const timer = setTimeout(() => stop(new Error(`took longer than ${limits.timeoutMs / 1000} s`)), limits.timeoutMs);
    const onAbort = () => stop(signal.reason instanceof Error ? signal.reason : new Error("aborted"));
    signal.addEventListener("abort", onAbort, { once: true });
    child.stdout.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > limits.outputBytes) stop(new Error(`printed more than ${limits.outputBytes} bytes`));
      else chunks.push(chunk);
    });
    child.on("error", (error) => {
      end ??= error;
    });
    child.on("close", (code, signalName) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      if (end) reject(end);
      else if (code !== 0) reject(new Error(signalName ? `ended by ${signalName}` : `exit code ${code}: should be 0`));
      else resolve(Buffer.concat(chunks).toString());
    });
  });
}
