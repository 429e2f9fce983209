import { spawn } from "node:child_process";
import { headers as credentialHeaders } from "../contract/identity.ts";
import { exitCode, messageOf, OperatorError } from "../kit/errors.ts";
import type { Environment } from "./proxy.ts";

/** Extra headers as pairs: one name may come more than once, and each is added (spec/01 §1.10). */
export type ExtraHeaders = readonly (readonly [name: string, value: string])[];

/** A token helper answers at once or asks a person, whom a daemon doesn't have. */
const commandMs = 30_000;
/** Node refuses to send more than 16 KiB of headers in all on most servers; a token is far smaller. */
const maxOutputBytes = 65_536;

/** Reads lines `Name=value`, split at the first `=`; throws OperatorError OUT-HEADER that never shows a value. */
export function parseHeaders(lines: readonly string[], source: string): ExtraHeaders {
  return lines.map((line) => {
    const at = line.indexOf("=");
    if (at < 0) throw badHeader(`${source}: a line without "=": should be Name=value`);
    const name = line.slice(0, at).trim();
    const value = line.slice(at + 1);
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name))
      throw badHeader(`${source}: header name ${JSON.stringify(name)}: not a token`);
    if (/[^\t\x20-\x7e\x80-\xff]/.test(value))
      throw badHeader(`${source}: value of header "${name}": holds a control character`);
    if (ownHeaders.has(name.toLowerCase())) throw badHeader(`${source}: header "${name}": is set by the agent itself`);
    return [name, value];
  });
}

/** Headers that can't be there twice: exactly one credential is sent (spec/01 §1.4), and the handshake belongs to us. */
const ownHeaders = new Set([
  ...[credentialHeaders.key, credentialHeaders.psk, credentialHeaders.sessionToken].map((name) => name.toLowerCase()),
  ...["host", "connection", "upgrade", "content-length", "transfer-encoding"],
  ...["origin", "sec-websocket-protocol", "sec-websocket-extensions", "sec-websocket-key", "sec-websocket-version"],
]);

/**
 * Runs the header command by `sh -c` with the agent's environment and CODER_URL; each line of its output is a header. Its
 * standard error is thrown away. Throws OperatorError OUT-HEADER when it fails; the caller decides whether that ends anything.
 */
export async function runHeaderCommand(
  command: string,
  url: string,
  env: Environment,
  signal: AbortSignal,
): Promise<ExtraHeaders> {
  const output = await run(command, { ...env, CODER_URL: url }, signal).catch((error: unknown) => {
    signal.throwIfAborted();
    throw badHeader(`header command ${JSON.stringify(command)}: ${messageOf(error)}`, error);
  });
  return parseHeaders(output.split(/\r?\n/).filter(Boolean), "header command");
}

function run(command: string, env: Environment, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    // A group of its own: a shell's children must not outlive the limit.
    const child = spawn("sh", ["-c", command], { env, stdio: ["ignore", "pipe", "ignore"], detached: true });
    const chunks: Buffer[] = [];
    let bytes = 0;
    const end = (error: Error) => {
      reject(error);
      kill(child.pid);
    };
    const timer = setTimeout(() => end(new Error(`no end after ${commandMs / 1000} s`)), commandMs);
    const onAbort = () => end(new Error("aborted"));
    signal.addEventListener("abort", onAbort, { once: true });
    child.stdout.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxOutputBytes) end(new Error(`more than ${maxOutputBytes} bytes of output`));
      else chunks.push(chunk);
    });
    child.once("error", reject);
    child.once("close", (code, killedBy) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      if (code === 0) resolve(Buffer.concat(chunks).toString("utf8"));
      else reject(new Error(killedBy ? `ended by ${killedBy}` : `exit code ${code}: should be 0`));
    });
  });
}

function kill(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Gone already.
  }
}

function badHeader(message: string, cause?: unknown): OperatorError {
  const cure = "check --header and --header-command: Name=value, one a line";
  return new OperatorError(message, { code: "OUT-HEADER", cure, exit: exitCode.usage, cause });
}
