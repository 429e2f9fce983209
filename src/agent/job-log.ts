import { createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

/** Once so much waits for the disk, lines are left out of the file, counted: a slow disk must not fill our memory. */
const maxWaitingBytes = 4 * 1024 * 1024;

/** One job's whole log in a file of its own, private to the agent's user. */
export interface JobLog {
  write(line: string): void;
  close(): Promise<void>;
}

/** Opens `<folder>/<job id>.log`, 0600. Throws where the folder can't be made. */
export async function openJobLog(folder: string, jobId: string): Promise<JobLog> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const stream = createWriteStream(join(folder, `${jobId.replaceAll(/[^\w-]/g, "_")}.log`), {
    flags: "a",
    mode: 0o600,
  });
  let missing = 0;
  let failed = false;
  stream.on("error", () => {
    failed = true;
  });
  return {
    write(line) {
      if (failed) return;
      if (stream.writableLength > maxWaitingBytes) {
        missing++;
        return;
      }
      if (missing > 0) stream.write(`(${missing} lines left out: the disk is slow)\n`);
      missing = 0;
      stream.write(`${line}\n`);
    },
    close: () => new Promise((resolve) => stream.end(() => resolve())),
  };
}
