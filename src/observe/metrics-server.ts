import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { exitCode, messageOf, OperatorError } from "../kit/errors.ts";
import type { Registry } from "./metrics.ts";

export interface MetricsServer extends AsyncDisposable {
  /** HOST:PORT that it got. */
  address: string;
}

/** Serves the registry's text on every path of HOST:PORT (spec/02 §6.3). A port that is taken is an OperatorError. */
export async function serveMetrics(address: string, registry: Registry): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.writeHead(405, { "content-type": "text/plain; charset=utf-8" }).end("GET only\n");
      return;
    }
    response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" }).end(registry.text());
  });
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(Number(address.slice(colon + 1)), host || "0.0.0.0", resolve);
  }).catch((error: unknown) => {
    throw new OperatorError(`listen on metrics address "${address}": ${messageOf(error)}`, {
      code: "OUT-METRICS-ADDRESS",
      cure: "choose another with --prometheus-address HOST:PORT, or switch metrics off",
      exit: exitCode.failed,
      cause: error,
    });
  });
  server.unref();
  const bound = server.address() as AddressInfo;
  return {
    address: `${bound.family === "IPv6" ? `[${bound.address}]` : bound.address}:${bound.port}`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
