import { FakeClock } from "../../src/kit/fake-clock.ts";
import { Secret } from "../../src/kit/secret.ts";
import { parseDeployment } from "../../src/link/deployment.ts";
import type { LinkEvent } from "../../src/link/events.ts";
import { checkIdentity, type IdentitySettings } from "../../src/link/identity.ts";
import { Link, type LinkOptions } from "../../src/link/link.ts";
import { chooseProxy, type Environment } from "../../src/link/proxy.ts";
import { readTrust, type TrustSettings } from "../../src/link/trust.ts";

export const testKey = "k".repeat(43);

export interface LinkSettings extends Partial<Omit<LinkOptions, "identity" | "deployment" | "connector">> {
  url: string;
  identity?: Partial<IdentitySettings>;
  trust?: TrustSettings;
  env?: Environment;
  random?: () => number;
}

/** A real link on a clock that the test turns, with all that it told. */
export interface TestLink extends AsyncDisposable {
  link: Link;
  clock: FakeClock;
  events: LinkEvent[];
  /** What `start` came to: undefined for an orderly end. */
  ended: Promise<unknown>;
  /** The `nth` event of a kind, from 1. */
  event<K extends LinkEvent["kind"]>(kind: K, nth?: number): Promise<LinkEvent & { kind: K }>;
  stop(): Promise<void>;
}

/** A signal that never aborts. */
export const never = new AbortController().signal;

/** Without the machine's own roots, which take a while to read. */
const bareEnv: Environment = { SSL_CERT_FILE: "/nonexistent", SSL_CERT_DIR: "/nonexistent", PATH: process.env["PATH"] };

export async function startLink(settings: LinkSettings): Promise<TestLink> {
  const { url, identity, trust, env = {}, random = () => 0.5, ...rest } = settings;
  const clock = new FakeClock();
  const events: LinkEvent[] = [];
  const watchers = new Set<() => void>();
  const deployment = parseDeployment(url);
  const environment = { ...bareEnv, ...env };
  const link = new Link({
    deployment,
    identity: checkIdentity({
      key: new Secret(testKey),
      name: "build-01",
      hostName: "host",
      ...identity,
    }),
    connector: {
      context: (await readTrust(trust ?? {}, environment)).context,
      proxy: chooseProxy(deployment.origin, environment),
      secure: deployment.secure,
    },
    headers: [],
    headerCommand: undefined,
    env: environment,
    version: "0.1.0",
    platform: "linux/amd64",
    timing: { clock, random },
    onEvent: (event) => {
      events.push(event);
      for (const look of watchers) look();
    },
    ...rest,
  });
  const controller = new AbortController();
  const ended = link.start(controller.signal).then(
    () => undefined,
    (error: unknown) => error,
  );
  const stop = async () => {
    controller.abort(new Error("test is over"));
    // A server that doesn't answer the close frame is waited for, on the clock.
    let over = false;
    void ended.then(() => {
      over = true;
    });
    while (!over) await clock.advance(1_000);
  };
  return {
    link,
    clock,
    events,
    ended,
    stop,
    event: (kind, nth = 1) =>
      new Promise((resolve) => {
        const look = () => {
          const found = events.filter((event) => event.kind === kind)[nth - 1];
          if (!found) return;
          watchers.delete(look);
          resolve(found as never);
        };
        watchers.add(look);
        look();
      }),
    [Symbol.asyncDispose]: stop,
  };
}
