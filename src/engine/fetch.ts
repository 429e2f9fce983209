import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import * as http from "node:http";
import * as https from "node:https";
import type { Clock } from "../kit/clock.ts";
import { messageOf, TransientError } from "../kit/errors.ts";

/** No byte for this long: the transfer is given up. */
const stallMs = 30_000;
/** Mirrors send on to a store, and that one perhaps to another. */
const maxRedirects = 3;
/** The zip has 27 MB. */
const maxBytes = 256 * 1024 * 1024;

export interface FetchOptions {
  /** A proxy's agent; undefined for a direct connection. */
  agent: http.Agent | undefined;
  clock: Clock;
  /** `totalBytes` is undefined where the server doesn't say. */
  onProgress: (receivedBytes: number, totalBytes: number | undefined) => void;
}

/**
 * Downloads a URL into an open file and returns the SHA-256 in hex of what arrived. A redirect is followed up to three
 * times, and only under the protocol that the agent is for. Throws a TransientError for whatever the network or the server did.
 */
export async function fetchInto(
  file: FileHandle,
  url: URL,
  options: FetchOptions,
  signal: AbortSignal,
): Promise<string> {
  let place = url;
  for (let redirects = 0; ; redirects++) {
    const response = await respond(place, options, signal);
    const { statusCode = 0, headers } = response;
    if (statusCode >= 300 && statusCode < 400 && headers.location) {
      response.destroy();
      const next = URL.canParse(headers.location, place.href) ? new URL(headers.location, place) : undefined;
      if (next?.protocol !== url.protocol || redirects === maxRedirects) {
        // Without the query: a store's address is often signed.
        const target = headers.location.replace(/\?.*/s, "");
        throw failure(place, `a redirect to "${target}": at most ${maxRedirects}, and all with ${url.protocol}`);
      }
      place = next;
      continue;
    }
    if (statusCode !== 200) {
      response.destroy();
      throw failure(place, `status ${statusCode}: want 200`);
    }
    return await receive(response, file, place, options, signal);
  }
}

const failure = (url: URL, what: string, cause?: unknown) =>
  new TransientError(`download "${url.origin}${url.pathname}": ${what}`, { cause });

/** Calls back when nothing happened for 30 s. */
function watch(clock: Clock, onStall: () => void): { touch(): void } & Disposable {
  let timer = clock.after(stallMs, onStall);
  return {
    touch: () => {
      timer[Symbol.dispose]();
      timer = clock.after(stallMs, onStall);
    },
    [Symbol.dispose]: () => timer[Symbol.dispose](),
  };
}

async function respond(url: URL, options: FetchOptions, signal: AbortSignal): Promise<http.IncomingMessage> {
  const { request } = url.protocol === "https:" ? https : http;
  const sent = request(url, { agent: options.agent, signal });
  using _watch = watch(options.clock, () => sent.destroy(new Error(`no answer for ${stallMs / 1000} s`)));
  return await new Promise((resolve, reject) => {
    sent.on("response", resolve);
    sent.on("error", (error) => reject(signal.aborted ? signal.reason : failure(url, messageOf(error), error)));
    sent.end();
  });
}

async function receive(
  response: http.IncomingMessage,
  file: FileHandle,
  url: URL,
  options: FetchOptions,
  signal: AbortSignal,
): Promise<string> {
  const header = response.headers["content-length"];
  const total = header === undefined ? undefined : Number(header);
  using stall = watch(options.clock, () => response.destroy(new Error(`no byte for ${stallMs / 1000} s`)));
  const hash = createHash("sha256");
  let bytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      stall.touch();
      bytes += chunk.length;
      if (bytes > maxBytes) throw new Error(`more than ${maxBytes} bytes`);
      hash.update(chunk);
      await file.writeFile(chunk);
      options.onProgress(bytes, total);
    }
  } catch (error) {
    signal.throwIfAborted();
    throw failure(url, `${messageOf(error)}, after ${bytes} bytes`, error);
  }
  return hash.digest("hex");
}
