import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Clock } from "../kit/clock.ts";
import { exitCode, messageOf, OperatorError } from "../kit/errors.ts";
import type { StatusPage } from "./status-page.ts";

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

/** One thing that can be wrong, by name; `problem` is undefined when it is well. */
export interface HealthCheck {
  name: string;
  problem: string | undefined;
}

/**
 * `/livez`: 200 while our loop turns. `/readyz`: 200 while connected and not draining, else 503 with the reasons.
 * `/healthz`: every check by name, 503 when one fails. With `page`, `/` and `/status` for browsers of this machine.
 * `address` is HOST:PORT; a port that is taken is an OperatorError.
 */
export async function serveHealth(
  address: string,
  pulse: Pulse,
  readiness: Readiness,
  more: { checks?: () => HealthCheck[]; page?: StatusPage } = {},
): Promise<HealthServer> {
  const route = (request: IncomingMessage, response: ServerResponse) => {
    const answer = (status: number, lines: string[]) => {
      response.writeHead(status, { "content-type": "text/plain; charset=utf-8" });
      response.end(`${lines.join("\n")}\n`);
    };
    const path = request.url?.split("?")[0];
    if (request.method !== "GET" && request.method !== "HEAD") return answer(405, ["GET only"]);
    const loop = pulse.alive ? undefined : "the event loop is stuck";
    if (path === "/livez") return loop === undefined ? answer(200, ["ok"]) : answer(503, [loop]);
    if (path === "/readyz") {
      const reasons = readiness();
      return reasons.length === 0 ? answer(200, ["ok"]) : answer(503, reasons);
    }
    if (path === "/healthz") {
      const checks = [{ name: "loop", problem: loop }, ...(more.checks?.() ?? [])];
      const lines = checks.map(({ name, problem }) =>
        problem === undefined ? `ok   ${name}` : `FAIL ${name}: ${problem}`,
      );
      return answer(checks.some(({ problem }) => problem !== undefined) ? 503 : 200, lines);
    }
    if (more.page?.answer(request, response)) return;
    return answer(404, ["/livez, /readyz or /healthz"]);
  };
  const server = createServer((request, response) => {
    try {
      route(request, response);
    } catch (error) {
      // Looking at an agent must never end it, whatever is wrong with the view.
      if (!response.headersSent) response.writeHead(500, { "content-type": "text/plain; charset=utf-8" });
      response.end(`${messageOf(error)}\n`);
    }
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
