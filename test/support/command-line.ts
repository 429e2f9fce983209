import { main } from "../../src/cli/main.ts";

/** One command line run in this process: what it wrote to each stream, and its exit code. */
export async function commandLine(...args: string[]): Promise<{ stdout: string; stderr: string; code: number }> {
  const written = { stdout: "", stderr: "" };
  const before = { stdout: process.stdout.write, stderr: process.stderr.write, code: process.exitCode };
  const capture = (stream: "stdout" | "stderr") => {
    process[stream].write = (chunk: Uint8Array | string) => {
      written[stream] += chunk.toString();
      return true;
    };
  };
  capture("stdout");
  capture("stderr");
  process.exitCode = undefined;
  try {
    const code = await main(args);
    return { ...written, code };
  } finally {
    process.stdout.write = before.stdout;
    process.stderr.write = before.stderr;
    process.exitCode = before.code;
  }
}
