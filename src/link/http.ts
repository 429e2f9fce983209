import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Clock } from "../kit/clock.ts";
import { TransientError } from "../kit/errors.ts";
import { agentFor, type Connector } from "./connector.ts";
import type { ExtraHeaders } from "./header-command.ts";

/** Longest wait for a whole answer: the handshake's own bound (spec/01 §1.10). */
export const requestMs = 30_000;

/** An answer of any status. Redirects come as they are: nothing is ever followed (spec/01 §1.11). */
export interface HttpAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** The body went on after `maxBytes`. */
  cut: boolean;
}

/** Of a request; several values of one name become several lines. */
export type Headers = Record<string, string | string[]>;

export interface GetOptions {
  connector: Connector;
  headers: Headers;
  /** The rest of the body is not read. */
  maxBytes: number;
  clock: Clock;
}

/** One GET on a connection of its own. Rejects with what the socket, TLS or the proxy said, or a TransientError after 30 s. */
export function get(url: URL, options: GetOptions, signal: AbortSignal): Promise<HttpAnswer> {
  return send("GET", url, options, "", signal);
}

/** As `get`, with another method and the body that goes with it; "" is none. */
export function send(
  method: "GET" | "POST" | "DELETE",
  url: URL,
  options: GetOptions,
  body: string,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const limit = new AbortController();
    const stop = (error: unknown) => {
      settle();
      limit.abort(error);
      request.destroy();
      reject(error);
    };
    const onAbort = () => stop(signal.reason);
    const timer = options.clock.after(requestMs, () =>
      stop(new TransientError(`${method} ${url.pathname}: no answer in ${requestMs / 1000} s`)),
    );
    const settle = () => {
      timer[Symbol.dispose]();
      signal.removeEventListener("abort", onAbort);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    const open = url.protocol === "https:" ? httpsRequest : httpRequest;
    const agent = agentFor(options.connector, limit.signal);
    const settings = { method, agent, headers: options.headers, secureContext: options.connector.context };
    const request = open(url, settings);
    request.once("error", stop);
    request.once("response", (response) => {
      readBody(response, options.maxBytes).then((read) => {
        settle();
        request.destroy();
        resolve({ status: response.statusCode ?? 0, headers: response.headers, ...read });
      }, stop);
    });
    request.end(body);
  });
}

/** Up to `maxBytes` of a body; a body that breaks off counts as what came: error answers must be readable even then. */
export async function readBody(response: IncomingMessage, maxBytes: number): Promise<{ body: Buffer; cut: boolean }> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let cut = false;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > maxBytes) break;
    }
  } catch {
    cut = true;
  }
  return { body: Buffer.concat(chunks).subarray(0, maxBytes), cut: cut || bytes > maxBytes };
}

/** Own headers, then the extra ones *added*: a name that is there already gets a second line (spec/01 §1.10). */
export function mergeHeaders(own: Record<string, string>, extra: ExtraHeaders): Headers {
  const merged = new Map<string, { name: string; values: string[] }>();
  for (const [name, value] of [...Object.entries(own), ...extra]) {
    const entry = merged.get(name.toLowerCase());
    if (entry) entry.values.push(value);
    else merged.set(name.toLowerCase(), { name, values: [value] });
  }
  return Object.fromEntries(
    [...merged.values()].map(({ name, values }) => [name, values.length === 1 ? (values[0] as string) : values]),
  );
}
