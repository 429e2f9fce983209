import { type ClientRequest, Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import type { Socket } from "node:net";
import type { SecureContext } from "node:tls";
import { HttpsProxyAgent } from "https-proxy-agent";
import type { ProxyChoice } from "./proxy.ts";

/** The proxy answered our CONNECT with something else than 200. */
export class ProxyRefusal extends Error {
  constructor(
    readonly status: number,
    readonly variable: string,
    host: string,
  ) {
    super(`proxy ${host} of ${variable} answered ${status}`);
  }
}

/** How sockets to the control plane are made: one way for REST calls and the WebSocket (spec/01 §1.10). */
export interface Connector {
  readonly context: SecureContext;
  readonly proxy: ProxyChoice | undefined;
  readonly secure: boolean;
}

/** Go's limit for a TCP connect is 30 s and ours for a whole handshake, so the caller's signal is the limit. */
export function agentFor({ context, proxy, secure }: Connector, signal: AbortSignal): HttpAgent {
  if (proxy) return new ProxyAgent(proxy, { context, secure, signal });
  return secure ? new HttpsAgent({ secureContext: context, keepAlive: false }) : new HttpAgent({ keepAlive: false });
}

/** CONNECT for every scheme: plain http through a proxy would lose the upgrade. A refusal is an error, not an answer of the control plane. */
class ProxyAgent extends HttpsProxyAgent<string> {
  readonly #choice: ProxyChoice;
  readonly #context: SecureContext;
  readonly #secure: boolean;

  constructor(choice: ProxyChoice, options: { context: SecureContext; secure: boolean; signal: AbortSignal }) {
    super(choice.url, { secureContext: options.context, signal: options.signal, keepAlive: false });
    this.#choice = choice;
    this.#context = options.context;
    this.#secure = options.secure;
  }

  override async connect(
    request: ClientRequest,
    options: Parameters<HttpsProxyAgent<string>["connect"]>[1],
  ): Promise<Socket> {
    let status = 0;
    request.once("proxyConnect", (answer: { statusCode: number }) => {
      status = answer.statusCode;
    });
    const secure = { ...options, secureEndpoint: this.#secure, secureContext: this.#context };
    const socket = await super.connect(request, secure as typeof options);
    if (status === 200) return socket;
    socket.destroy();
    throw new ProxyRefusal(status, this.#choice.variable, this.#choice.url.host);
  }
}
