import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { WebSocket } from "ws";
import type { Clock } from "../kit/clock.ts";
import { TransientError } from "../kit/errors.ts";
import { webSocketClientOptions } from "../wire/websocket.ts";
import { agentFor, type Connector } from "./connector.ts";
import { answerFailure, type DialFailure, failureOf } from "./failure.ts";
import { type Headers, readBody } from "./http.ts";

/** The WebSocket handshake with all that is below it: connect, proxy, TLS, upgrade (spec/01 §1.10). */
const handshakeMs = 30_000;
/** Of a refusal. The Go client keeps 1 KiB; validations may come after a long detail. */
const maxRefusalBytes = 16_384;

export interface UpgradeOptions<T> {
  connector: Connector;
  headers: Headers;
  clock: Clock;
  /** Called in the very turn in which the socket opens: the first message may already be there. */
  onOpen: (socket: WebSocket) => T;
}

export type Upgraded<T> = { ok: true; value: T; headers: IncomingHttpHeaders } | { ok: false; failure: DialFailure };

/** One upgrade request; never follows a redirect, never throws but for an aborted signal. */
export function upgrade<T>(url: URL, options: UpgradeOptions<T>, signal: AbortSignal): Promise<Upgraded<T>> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const limit = new AbortController();
    const settings = {
      ...webSocketClientOptions,
      agent: agentFor(options.connector, limit.signal),
      // Several values of one name are fine for Node; the types of ws don't know.
      headers: options.headers as Record<string, string>,
      secureContext: options.connector.context,
    };
    const socket = new WebSocket(url, settings);
    let answerHeaders: IncomingHttpHeaders = {};
    const settle = () => {
      timer[Symbol.dispose]();
      signal.removeEventListener("abort", onAbort);
    };
    const fail = (failure: DialFailure) => {
      settle();
      resolve({ ok: false, failure });
      limit.abort(new Error("handshake failed"));
      socket.terminate();
    };
    const onAbort = () => {
      settle();
      reject(signal.reason);
      limit.abort(signal.reason);
      socket.terminate();
    };
    const timer = options.clock.after(handshakeMs, () => {
      fail(failureOf(new TransientError(`no answer to the handshake in ${handshakeMs / 1000} s`)));
    });
    signal.addEventListener("abort", onAbort, { once: true });
    socket.on("error", (error) => fail(failureOf(error)));
    socket.once("unexpected-response", (_request, response: IncomingMessage) => {
      readBody(response, maxRefusalBytes).then(({ body }) => {
        fail(answerFailure({ status: response.statusCode ?? 0, headers: response.headers, body }, options.clock.now()));
      }, reject);
    });
    socket.once("upgrade", (response: IncomingMessage) => {
      answerHeaders = response.headers;
    });
    socket.once("open", () => {
      settle();
      socket.removeAllListeners("error");
      resolve({ ok: true, value: options.onOpen(socket), headers: answerHeaders });
    });
  });
}
