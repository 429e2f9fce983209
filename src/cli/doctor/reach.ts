import { lookup } from "node:dns/promises";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import type { DetailedPeerCertificate, TLSSocket } from "node:tls";
import { TransientError } from "../../kit/errors.ts";
import { agentFor, type Connector, ProxyRefusal } from "../../link/connector.ts";
import { decide } from "../../link/decision.ts";
import { failureOf } from "../../link/failure.ts";
import type { ProxyChoice } from "../../link/proxy.ts";
import { failureFinding } from "./examination.ts";
import { type Finding, fail } from "./finding.ts";

/** Addresses of a host name, or what the resolver said. */
export async function lookUp(host: string): Promise<string[] | { error: string }> {
  try {
    const found = await lookup(host.replace(/^\[(.*)\]$/, "$1"), { all: true });
    return found.map(({ address }) => address);
  } catch (error) {
    return { error: (error as NodeJS.ErrnoException).code ?? String(error) };
  }
}

/** Asks the proxy for a way to the target, and lets go of it at once. */
export function openTunnel(target: URL, { context, proxy }: Connector, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    // Without TLS inside: a socket comes as soon as the proxy has said yes.
    const agent = agentFor({ context, proxy, secure: false }, signal);
    const port = target.port || (target.protocol === "https:" ? "443" : "80");
    const request = httpRequest({ host: target.hostname, port, agent, signal });
    request.on("error", reject);
    request.once("socket", () => {
      resolve();
      request.destroy();
    });
  });
}

/** The server's certificate with its issuers up to the root, once it has been verified. Rejects with what TLS or the socket said. */
export function peerCertificate(
  target: URL,
  connector: Connector,
  signal: AbortSignal,
): Promise<DetailedPeerCertificate> {
  return new Promise((resolve, reject) => {
    const settings = { agent: agentFor(connector, signal), secureContext: connector.context, signal };
    const request = httpsRequest(target, { ...settings, method: "HEAD" });
    request.on("error", reject);
    request.once("socket", (socket) => {
      const tls = socket as TLSSocket;
      tls.once("secureConnect", () => {
        if (tls.authorized) {
          resolve(tls.getPeerCertificate(true));
          request.destroy();
        }
      });
    });
  });
}

/** Why a server could not be reached, in the agent's own words where it has some. */
export function wayFinding(error: unknown, url: string, proxy: ProxyChoice | undefined): Finding {
  const failure = failureOf(error);
  const context = { hadSuccess: false, credential: "key", fingerprint: "", url, organization: "" } as const;
  const verdict = decide(failure, context);
  if (verdict.do !== "retry") return failureFinding(verdict.error);
  const through = proxy ? ` through proxy ${proxy.url.host} of ${proxy.variable}` : "";
  if (failure.kind === "proxy") {
    return fail(verdict.why, "OUT-PROXY", `see the proxy's log; or name the host in NO_PROXY`);
  }
  return fail(
    `no way to ${url}${through}: ${verdict.why}`,
    "OUT-UNREACHABLE",
    "see that the server runs there and that firewalls in between allow it; HTTPS_PROXY names a proxy",
  );
}

/** What a socket, TLS or a proxy said, in one line. */
export function networkWords(error: unknown): string {
  const failure = failureOf(error);
  return failure.kind === "status" ? `status ${failure.status}` : failure.message;
}

/** What sockets, TLS, HTTP and proxies throw has a code; anything else is a bug. */
export function isNetworkError(error: unknown): boolean {
  if (error instanceof TransientError || error instanceof ProxyRefusal || error instanceof AggregateError) return true;
  return typeof (error as { code?: unknown } | null)?.code === "string";
}
