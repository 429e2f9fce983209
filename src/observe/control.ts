import { once } from "node:events";
import { rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { exitCode, messageOf, OperatorError } from "../kit/errors.ts";
import type { Snapshot } from "./snapshot.ts";
import type { RecentLines } from "./snapshot-lines.ts";

/** Name of the socket in the agent's state folder. */
export const controlSocket = "control.sock";
/** The kernel's `sun_path` has 108 bytes on Linux and 104 elsewhere, the closing zero included. */
export const maxSocketPathBytes = 103;
/** What a client may send: `{"wait":true}`. */
const maxBodyBytes = 1_024;
/** People and scripts of one machine at one time. */
const maxClients = 64;
/** Lines of a job's log that are answered at once. */
const logLines = 1_000;

/** What the socket reaches: the agent, as far as a person may look into it and turn it. */
export interface ControlTarget {
  snapshot(): Snapshot;
  /** The log of a running or lately ended job, by id or the unique start of one; words where there is none. */
  log(id: string): RecentLines | string;
  /** No new jobs until `resume`; words where that has no effect. */
  drain(): string | undefined;
  resume(): string | undefined;
  /** Resolves when no job runs, or when draining was ended by a resume; with what is so. Never rejects but by the signal. */
  drained(signal: AbortSignal): Promise<{ drained: boolean; why?: string }>;
  /** Files of a support bundle by name, everything secret masked. */
  support(): Promise<Record<string, string>>;
  /** Where the status page with names is; undefined where there is none. */
  web(): string | undefined;
}

/**
 * Serves the control socket: whoever may open it is the agent's own user (the file's mode is 0600). Throws OperatorError
 * where the path is too long or can't be made. The caller holds the state folder's lock.
 */
export async function serveControl(path: string, target: ControlTarget): Promise<AsyncDisposable> {
  if (Buffer.byteLength(path) > maxSocketPathBytes)
    throw new OperatorError(`control socket "${path}": its path is too long`, {
      code: "OUT-FOLDERS",
      reason: `the kernel takes at most ${maxSocketPathBytes} bytes`,
      cure: "choose a shorter state folder with --state-dir PATH",
      exit: exitCode.usage,
    });
  // The folder's lock is ours: what stands there was left by an agent that was killed.
  await rm(path, { force: true });
  const server = createServer((incoming, response) => {
    answer(target, incoming, response).catch((error: unknown) => {
      if (!response.headersSent) json(response, 500, { error: messageOf(error) });
      else response.destroy();
    });
  });
  await listen(server, path).catch((error: unknown) => {
    throw new OperatorError(`listen on control socket "${path}": ${messageOf(error)}`, {
      code: "OUT-FOLDERS",
      cure: "choose another state folder with --state-dir PATH",
      cause: error,
    });
  });
  server.maxConnections = maxClients;
  server.unref();
  return {
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        // Closing takes the file away, too.
        server.close(() => resolve());
      }),
  };
}

/** Node binds before `listen` returns: nobody else can open the socket, not even for an instant. */
function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    const before = process.umask(0o177);
    try {
      server.listen(path, resolve);
    } finally {
      process.umask(before);
    }
  });
}

function json(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(`${JSON.stringify(value)}\n`);
}

async function answer(target: ControlTarget, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(incoming.url ?? "/", "http://agent");
  const route = `${incoming.method} ${url.pathname}`;
  const outcome = (refused: string | undefined) =>
    refused === undefined
      ? json(response, 200, { phase: target.snapshot().phase })
      : json(response, 409, { error: refused });
  switch (route) {
    case "GET /":
      return json(response, 200, { outpost: target.snapshot().agent.version });
    case "GET /status":
      return json(response, 200, target.snapshot());
    case "GET /jobs": {
      const { at, running, ended } = target.snapshot();
      return json(response, 200, { at, running, ended });
    }
    case "GET /support":
      return json(response, 200, { files: await target.support() });
    case "GET /web": {
      const address = target.web();
      return address
        ? json(response, 200, { url: address })
        : json(response, 404, { error: "no status page is served" });
    }
    case "POST /drain": {
      const { wait } = await readBody(incoming);
      const refused = target.drain();
      if (refused !== undefined || wait !== true) return outcome(refused);
      const gone = new AbortController();
      response.once("close", () => gone.abort(new Error("nobody waits any more")));
      return json(response, 200, await target.drained(gone.signal));
    }
    case "POST /resume":
      return outcome(target.resume());
  }
  const id = /^\/jobs\/([^/]+)\/log$/.exec(url.pathname)?.[1];
  if (incoming.method === "GET" && id !== undefined) {
    const log = target.log(decodeURIComponent(id));
    if (typeof log === "string") return json(response, 404, { error: log });
    return await sendLog(log, url.searchParams.has("follow"), response);
  }
  json(response, 404, { error: `${route}: no such thing` });
}

/** NDJSON: `{"line"}` each, `{"skipped"}` where the reader was too slow for what is kept, at last `{"ended"}` where the job has ended. */
async function sendLog(log: RecentLines, follow: boolean, response: ServerResponse): Promise<void> {
  response.writeHead(200, { "content-type": "application/x-ndjson" });
  // A job that says nothing for long is no agent that doesn't answer.
  response.flushHeaders();
  const gone = new AbortController();
  response.once("close", () => gone.abort(new Error("the reader has gone")));
  const say = async (value: unknown) => {
    if (response.write(`${JSON.stringify(value)}\n`) || gone.signal.aborted) return;
    await once(response, "drain", { signal: gone.signal }).catch(() => undefined);
  };
  let next = Math.max(0, log.next - logLines);
  for (;;) {
    for (const { number, text } of log.from(next)) {
      if (gone.signal.aborted) return;
      if (number > next) await say({ skipped: number - next });
      await say({ line: text });
      next = number + 1;
    }
    if (log.next > next) continue;
    if (log.ended !== undefined) await say({ ended: log.ended });
    if (log.ended !== undefined || !follow || gone.signal.aborted) break;
    await log.changed(next, gone.signal);
  }
  response.end();
}

async function readBody(incoming: IncomingMessage): Promise<{ wait?: unknown }> {
  let text = "";
  for await (const chunk of incoming) {
    text += String(chunk);
    if (text.length > maxBodyBytes) throw new Error(`a body of more than ${maxBodyBytes} bytes`);
  }
  const value: unknown = text === "" ? {} : JSON.parse(text);
  return typeof value === "object" && value !== null ? value : {};
}
