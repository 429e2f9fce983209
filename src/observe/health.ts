import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Clock } from "../kit/clock.ts";
import { exitCode, messageOf, OperatorError } from "../kit/errors.ts";

/** `/livez` fails when our own loop has not turned for this long: then only a restart helps. */
const stuckMs = 60_000;
const turnMs = 5_000;

/** Notes each turn of the event loop. Nothing else can make an agent dead: not the control plane, the disk or a job. */
export class Pulse {
  #last: number;

  constructor(readonly clock: Clock) {
    this.#last = clock.monotonic();
    this.#next();
  }

  #next(): void {
    this.clock.after(turnMs, () => {
      this.#last = this.clock.monotonic();
      this.#next();
    });
  }

  get alive(): boolean {
    return this.clock.monotonic() - this.#last < stuckMs;
  }
}

export interface HealthServer extends AsyncDisposable {
  address: string;
}

/** Why jobs are not taken right now; empty when they are. */
export type Readiness = () => string[];

/**
 * `/livez`: 200 while our loop turns. `/readyz`: 200 while connected and not draining, else 503 with the reasons.
 * `address` is HOST:PORT; a port that is taken is an OperatorError.
 */
export async function serveHealth(address: string, pulse: Pulse, readiness: Readiness): Promise<HealthServer> {
  const server = createServer((request, response) => {
    const answer = (status: number, lines: string[]) => {
      response.writeHead(status, { "content-type": "text/plain; charset=utf-8" });
      response.end(`${lines.join("\n")}\n`);
    };
    const path = request.url?.split("?")[0];
    if (request.method !== "GET" && request.method !== "HEAD") return answer(405, ["GET only"]);
    if (path === "/livez") return pulse.alive ? answer(200, ["ok"]) : answer(503, ["the event loop is stuck"]);
    if (path === "/readyz") {
      const reasons = readiness();
      return reasons.length === 0 ? answer(200, ["ok"]) : answer(503, reasons);
    }
    return answer(404, ["/livez or /readyz"]);
  });
  const colon = address.lastIndexOf(":");
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(Number(address.slice(colon + 1)), address.slice(0, colon) || "0.0.0.0", resolve);
  }).catch((error: unknown) => {
    throw new OperatorError(`listen on health address "${address}": ${messageOf(error)}`, {
      code: "OUT-HEALTH-ADDRESS",
      cure: "choose another with --health-address HOST:PORT, or off",
      exit: exitCode.failed,
      cause: error,
    });
  });
  server.unref();
  const bound = server.address() as AddressInfo;
  return {
    address: `${bound.address}:${bound.port}`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
