import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { exitCode, messageOf, OperatorError } from "../kit/errors.ts";
import { answerRaw, type Gateway } from "./gateway.ts";
import { servePath } from "./handshake.ts";
import { answer, dispatch, matchPath, type Reply, type Route } from "./http.ts";
import type { RateLimit } from "./rate-limit.ts";

/** Where to listen. */
export interface NetworkAddress {
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  /** PEM texts. With a CA, clients must show a certificate of it. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string } | undefined;
}

/** What answers there. */
export interface NetworkUse {
  readonly routes: readonly Route[];
  readonly gateway: Gateway;
  readonly rateLimit: RateLimit;
  /** Headers of every answer. */
  readonly headers: Readonly<Record<string, string>>;
}

/** The plane's listening side: HTTP or HTTPS, and the upgrades to WebSocket. */
export class Network {
  readonly #address: NetworkAddress;
  readonly #server: Server;
  #port: number;

  constructor(address: NetworkAddress) {
    this.#address = address;
    this.#port = address.port;
    const { tls } = address;
    this.#server = tls
      ? createTlsServer({ ...tls, minVersion: "TLSv1.2", requestCert: tls.ca !== undefined })
      : createServer();
  }

  /** Where others reach it; the port is known once it listened. */
  get url(): string {
    const { host, tls } = this.#address;
    const reachable = host === "0.0.0.0" ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host;
    return `${tls ? "https" : "http"}://${reachable}:${this.#port}`;
  }

  /** Says what answers. Once, before the first `listen`. */
  use(use: NetworkUse): void {
    this.#server.on("request", (request, response) => void onRequest(use, request, response));
    this.#server.on("upgrade", (request, socket, head) => onUpgrade(use, request, socket, head));
  }

  /** Listens, at the same port as before. Throws OperatorError. */
  async listen(): Promise<void> {
    const { host } = this.#address;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.#port, host, () => {
        this.#server.off("error", reject);
        resolve();
      });
    }).catch((error: unknown) => {
      throw new OperatorError(`listen on ${host}:${this.#port}: ${messageOf(error)}`, {
        code: "OUT-PLANE-LISTEN",
        cure: "choose another --port, or 0 for any free one",
        exit: exitCode.unfit,
        cause: error,
      });
    });
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Stops listening and cuts plain HTTP connections; those that were upgraded are the gateway's. Idempotent. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }
}

async function onRequest(use: NetworkUse, request: IncomingMessage, response: ServerResponse): Promise<void> {
  for (const [name, value] of Object.entries(use.headers)) response.setHeader(name, value);
  const retryAfter = tooManyFor(use, request);
  if (retryAfter !== undefined) response.setHeader("Retry-After", retryAfter);
  await answer(response, (signal): Promise<Reply> | Reply => {
    if (retryAfter !== undefined) return tooMany;
    const serve = matchPath(servePath, pathOf(request)) !== undefined;
    return serve ? use.gateway.refuse(request) : dispatch(use.routes, request, signal);
  });
}

function onUpgrade(use: NetworkUse, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const retryAfter = tooManyFor(use, request);
  if (retryAfter !== undefined) {
    answerRaw(socket, tooMany, { ...use.headers, "Retry-After": String(retryAfter) });
  } else if (matchPath(servePath, pathOf(request))) {
    use.gateway.upgrade(request, socket, head);
  } else {
    answerRaw(socket, { status: 404, json: { message: "Route not found." } }, use.headers);
  }
}

/** Check 1 of spec/01 §1.5. */
const tooMany = { status: 429, json: { message: "You've been rate limited, try again later." } };

const pathOf = (request: IncomingMessage): string => (request.url ?? "/").split("?", 1)[0] ?? "/";

/** Counts a call of the real server's API; the seconds to wait when it is one too many. */
const tooManyFor = ({ rateLimit }: NetworkUse, request: IncomingMessage): number | undefined =>
  pathOf(request).startsWith("/api/v2/")
    ? rateLimit.retryAfter(`${request.socket.remoteAddress} ${pathOf(request)}`)
    : undefined;
