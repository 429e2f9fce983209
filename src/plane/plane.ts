import { headers } from "../contract/identity.ts";
import { ourVersion } from "../contract/versions.ts";
import { systemClock } from "../kit/clock.ts";
import { adminRoutes } from "./admin-routes.ts";
import { Chance, secureRandom } from "./chance.ts";
import { coderRoutes } from "./coder-routes.ts";
import { Desk } from "./desk.ts";
import { Gateway } from "./gateway.ts";
import { Network } from "./network.ts";
import type { PlaneOptions } from "./options.ts";
import { Pulse } from "./pulse.ts";
import { Queue } from "./queue.ts";
import { RateLimit } from "./rate-limit.ts";
import { reaperDefaults, runReaper } from "./reaper.ts";
import { memoryStore } from "./store.ts";
import type { World } from "./world.ts";

/**
 * An embedded control plane: the other side of the protocol, in memory.
 *
 *  - online: it listens, daemons are connected, the reaper runs
 *  - offline: nothing listens and nobody is connected; everything known stays known, and the reaper goes on
 *  - closed: nothing is left
 */
export class Plane extends Desk implements AsyncDisposable {
  readonly #parts: Parts;

  constructor(world: World, parts: Parts) {
    super(world, parts.organizationName);
    this.#parts = parts;
  }

  /** Where it listens, without a slash at the end. */
  get url(): string {
    return this.#parts.network.url;
  }

  /** Daemons' connections that are up. */
  get connections(): number {
    return this.#parts.gateway.connections;
  }

  /** Grants or takes away the licence for external daemons; live connections go on. */
  set entitled(entitled: boolean) {
    this.#parts.policy.entitled = entitled;
  }

  /** Cuts every daemon's connection, as a broken network does. */
  cut(): Promise<void> {
    return this.#parts.gateway.cut();
  }

  /** Stops listening and cuts every connection; `goOnline` listens again at the same address. */
  async goOffline(): Promise<void> {
    await Promise.all([this.#parts.network.close(), this.cut()]);
  }

  goOnline(): Promise<void> {
    return this.#parts.network.listen();
  }

  /** Closes every connection in order and ends. Idempotent. */
  async close(): Promise<void> {
    await Promise.all([this.#parts.network.close(), this.#parts.gateway.close(), this.#parts.stopReaper()]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

interface Parts {
  readonly network: Network;
  readonly gateway: Gateway;
  readonly policy: { entitled: boolean; psk: string };
  readonly organizationName: string;
  readonly stopReaper: () => Promise<void>;
}

/** What the product says it is where nothing else is set: a development build matches every version (spec/01 §1.3). */
const defaultBuildVersion = "v0.0.0-outpost";

/** The real server's limit of calls per minute, address and path (spec/01 §1.5). */
const defaultRateLimit = 512;

/** Starts a plane. Throws OperatorError when it can't listen. */
export async function startPlane(options: PlaneOptions = {}): Promise<Plane> {
  const network = new Network({ host: options.host ?? "127.0.0.1", port: options.port ?? 0, tls: options.tls });
  const world = makeWorld(options, network);
  const policy = { entitled: options.entitled ?? true, psk: options.psk ?? "" };
  const buildVersion = options.buildVersion ?? defaultBuildVersion;
  const responseHeaders = { [headers.buildVersion]: buildVersion };
  const gateway = new Gateway(world, policy, responseHeaders);
  const stop = new AbortController();
  let reaper = Promise.resolve();
  const plane = new Plane(world, {
    network,
    gateway,
    policy,
    organizationName: options.organization ?? "default",
    stopReaper: () => {
      stop.abort(new Error("the plane closes"));
      return reaper;
    },
  });
  const coder = coderRoutes(world, {
    buildVersion,
    hideApiVersion: options.hideApiVersion ?? world.apiVersion.minor === 0,
    initScript: options.initScript ?? true,
    entitled: () => policy.entitled,
    deploymentId: world.chance.uuid(),
  });
  network.use({
    routes: [...coder, ...adminRoutes(world, plane)],
    gateway,
    rateLimit: new RateLimit(world.clock, options.rateLimitPerMinute ?? defaultRateLimit),
    headers: responseHeaders,
  });
  await network.listen();
  reaper = runReaper(world, { ...reaperDefaults, ...options.reaper }, stop.signal);
  return plane;
}

function makeWorld(options: PlaneOptions, network: Network): World {
  const clock = options.clock ?? systemClock;
  const exact = options.coderdExact ?? false;
  const store = memoryStore();
  return {
    store,
    clock,
    chance: new Chance(options.random ?? secureRandom),
    queue: new Queue(store, clock, exact),
    jobChanged: new Pulse(),
    apiVersion: options.apiVersion ?? ourVersion,
    exact,
    externalAuthProviders: new Set(options.externalAuthProviders),
    anyExternalAuth: options.anyExternalAuth ?? false,
    get url() {
      return options.accessUrl ?? network.url;
    },
  };
}
