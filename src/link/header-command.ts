import { headers as credentialHeaders } from "../contract/identity.ts";
import { exitCode, messageOf, OperatorError } from "../kit/errors.ts";
import { runShell } from "../kit/shell.ts";
import type { Environment } from "./proxy.ts";

/** Extra headers as pairs: one name may come more than once, and each is added (spec/01 §1.10). */
export type ExtraHeaders = readonly (readonly [name: string, value: string])[];

/**
 * A token helper answers at once or asks a person, whom a daemon doesn't have. Node refuses to send more than 16 KiB of
 * headers in all on most servers; a token is far smaller.
 */
const limits = { timeoutMs: 30_000, outputBytes: 65_536 };

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
  const output = await runShell(command, { ...env, CODER_URL: url }, limits, signal).catch((error: unknown) => {
    signal.throwIfAborted();
    throw badHeader(`header command ${JSON.stringify(command)}: ${messageOf(error)}`, error);
  });
  return parseHeaders(output.split(/\r?\n/).filter(Boolean), "header command");
}

function badHeader(message: string, cause?: unknown): OperatorError {
  const cure = "check --header and --header-command: Name=value, one a line";
  return new OperatorError(message, { code: "OUT-HEADER", cure, exit: exitCode.usage, cause });
}
