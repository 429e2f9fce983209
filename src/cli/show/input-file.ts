import { open } from "node:fs/promises";
import { exitCode, OperatorError } from "../../kit/errors.ts";

/** Reads a file that was named on the command line; what cannot be read is an OperatorError in words, exit 64. */
export async function readInput(path: string, maxBytes: number): Promise<Buffer> {
  try {
    const file = await open(path, "r");
    try {
      const { size } = await file.stat();
      // Pipes have no size: they are bounded by what comes out of them.
      const bytes = size <= maxBytes ? await file.readFile() : undefined;
      if (bytes && bytes.length <= maxBytes) return bytes;
      throw new Error(`at most ${maxBytes} bytes are read`);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw unreadable(path, error);
  }
}

const reasons: Record<string, string> = {
  ENOENT: "no such file or folder",
  ENOTDIR: "it is not a folder",
  EISDIR: "it is a folder",
  EACCES: "no permission",
};

/** The error for a path that cannot be read. */
export function unreadable(path: string, cause: unknown): OperatorError {
  const code = (cause as NodeJS.ErrnoException).code ?? "";
  const reason = reasons[code] ?? (cause instanceof Error ? cause.message : String(cause));
  return new OperatorError(`read "${path}": ${reason}`, { code: "OUT-FILE", exit: exitCode.usage, cause });
}
