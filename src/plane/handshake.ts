import type { IncomingMessage } from "node:http";
import { upsertDaemon } from "./daemons.ts";
import { headerOf, matchPath } from "./http.ts";
import type { Waiter } from "./queue.ts";
import { HttpRefusal } from "./refusal.ts";
import { checkServe, type ServePolicy } from "./serve-rules.ts";
import type { World } from "./world.ts";

/** The endpoint that daemons dial (spec/01 §1.1). */
export const servePath = "/api/v2/organizations/:org/provisionerdaemons/serve";

/** Longest daemon name that the database holds (spec/01 §1.8). */
const maxNameChars = 64;

/**
 * Checks 2 to 12 of spec/01 §1.5, in that order. Returns whom the connection will serve; throws HttpRefusal. The daemon's
 * row is written before the upgrade is looked at, as on the real server.
 */
export function checkHandshake(world: World, message: IncomingMessage, policy: ServePolicy): Waiter {
  const url = new URL(message.url ?? "/", "http://plane");
  const registration = checkServe(
    world,
    {
      organization: matchPath(servePath, url.pathname)?.["org"] ?? "",
      query: url.searchParams,
      header: headerOf(message),
    },
    policy,
  );
  if (Array.from(registration.name).length > maxNameChars) {
    throw new HttpRefusal(500, "Internal error upserting the daemon.", {
      detail: `the name has more than ${maxNameChars} characters`,
    });
  }
  const daemon = upsertDaemon(world, registration);
  checkUpgrade(message);
  const { organizationId, provisioners, tags } = registration;
  return { workerId: daemon.id, organizationId, provisioners, tags };
}

/** Step 12: is it a WebSocket handshake from a place that may make one? */
function checkUpgrade(message: IncomingMessage): void {
  const header = headerOf(message);
  const has = (name: string, token: string) =>
    (header(name) ?? "").split(",").some((part) => part.trim().toLowerCase() === token);
  if (message.httpVersion === "1.0" || !has("connection", "upgrade") || !has("upgrade", "websocket")) {
    throw new HttpRefusal(426, "WebSocket upgrade required.");
  }
  if (message.method !== "GET") throw new HttpRefusal(405, "Method not allowed.");
  if (header("sec-websocket-version") !== "13") throw new HttpRefusal(400, "Sec-WebSocket-Version must be 13.");
  if (!/^[A-Za-z0-9+/]{22}==$/.test(header("sec-websocket-key") ?? "")) {
    throw new HttpRefusal(400, "Sec-WebSocket-Key must be the base64 text of 16 bytes.");
  }
  const origin = header("origin");
  if (origin !== undefined && hostOf(origin) !== header("host")?.toLowerCase()) {
    throw new HttpRefusal(403, "Origin and Host are not the same.");
  }
}

const hostOf = (origin: string): string | undefined =>
  URL.canParse(origin) ? new URL(origin).host.toLowerCase() : undefined;
