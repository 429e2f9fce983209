import type { IncomingMessage, ServerResponse } from "node:http";
import { finished } from "node:stream/promises";
import { RefusedError } from "../kit/errors.ts";
import { HttpRefusal } from "./refusal.ts";
import type { RequestFacts } from "./users.ts";

/** A request as routes see it. */
export interface Request extends RequestFacts {
  readonly method: string;
  /** A part of the path by its name in the route, decoded. */
  readonly param: (name: string) => string;
  /** The whole body. Throws HttpRefusal 413 above `maxBytes`. */
  readonly body: (maxBytes: number) => Promise<Uint8Array>;
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal;
}

/** An answer: JSON, text, bytes, or JSON lines that come one by one. Without any of them the body is empty. */
export interface Reply {
  readonly status?: number;
  readonly json?: unknown;
  readonly text?: string;
  readonly bytes?: Uint8Array;
  readonly lines?: AsyncIterable<unknown>;
}

/** `path` holds `:name` for a part that varies. */
export interface Route {
  readonly method: string;
  readonly path: string;
  readonly handle: (request: Request) => Promise<Reply> | Reply;
}

/** Writes what `produce` replies or refuses; never rejects. */
export async function answer(
  response: ServerResponse,
  produce: (signal: AbortSignal) => Promise<Reply> | Reply,
): Promise<void> {
  const gone = new AbortController();
  response.on("close", () => gone.abort(new Error("the client is gone")));
  let reply: Reply;
  try {
    reply = await produce(gone.signal);
  } catch (error) {
    reply = refusalReply(error);
  }
  await write(response, reply).catch(() => response.destroy());
}

/** How an error looks to an HTTP client. A bug shows no more than that it is one. */
export function refusalReply(error: unknown): { status: number; json: unknown } {
  if (error instanceof HttpRefusal) return { status: error.status, json: error.body };
  if (error instanceof RefusedError) {
    const status = error.message.includes("no rows in result set") ? 404 : 400;
    return { status, json: { message: error.message } };
  }
  return { status: 500, json: { message: "Internal error." } };
}

/** The reply of the first route that fits. Throws HttpRefusal 404 or 405 where none does. */
export async function dispatch(
  routes: readonly Route[],
  message: IncomingMessage,
  signal: AbortSignal,
): Promise<Reply> {
  const url = new URL(message.url ?? "/", "http://plane");
  const method = message.method ?? "GET";
  let pathKnown = false;
  for (const route of routes) {
    const params = matchPath(route.path, url.pathname);
    if (!params) continue;
    pathKnown = true;
    if (route.method !== method) continue;
    return route.handle({
      method,
      query: url.searchParams,
      header: headerOf(message),
      param: (name) => params[name] ?? "",
      body: (maxBytes) => readBody(message, maxBytes),
      signal,
    });
  }
  throw pathKnown ? new HttpRefusal(405, "Method not allowed.") : new HttpRefusal(404, "Route not found.");
}

/** The parts of a path that vary, or undefined where the path is another one. */
export function matchPath(pattern: string, path: string): Record<string, string> | undefined {
  const wanted = pattern.split("/");
  const parts = path.split("/");
  if (wanted.length !== parts.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, name] of wanted.entries()) {
    const part = parts[index] ?? "";
    if (name.startsWith(":")) params[name.slice(1)] = decode(part);
    else if (name !== part) return undefined;
  }
  return params;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** A header's value by its name in any case; of several the first. */
export const headerOf =
  ({ headers }: IncomingMessage) =>
  (name: string): string | undefined => {
    const value = headers[name.toLowerCase()];
    return Array.isArray(value) ? value[0] : value;
  };

async function readBody(message: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new HttpRefusal(413, `The body is too big: at most ${maxBytes} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function write(response: ServerResponse, reply: Reply): Promise<void> {
  const status = reply.status ?? 200;
  if (reply.lines) {
    response.writeHead(status, { "Content-Type": "application/x-ndjson; charset=utf-8" });
    for await (const line of reply.lines) {
      if (!response.write(`${JSON.stringify(line)}\n`)) await drained(response);
    }
    response.end();
  } else if (reply.bytes) {
    response.writeHead(status, { "Content-Type": "application/octet-stream", "Content-Length": reply.bytes.length });
    response.end(reply.bytes);
  } else if (reply.text !== undefined) {
    response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8" });
    response.end(reply.text);
  } else if (reply.json !== undefined) {
    response.writeHead(status, { "Content-Type": "application/json; charset=utf-8" });
    response.end(`${JSON.stringify(reply.json)}\n`);
  } else {
    response.writeHead(status);
    response.end();
  }
  await finished(response);
}

/** Room in the response again, or its end. */
const drained = (response: ServerResponse): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      response.off("drain", done);
      response.off("close", done);
      resolve();
    };
    response.on("drain", done);
    response.on("close", done);
  });
