import { headers as headerNames } from "../contract/identity.ts";
import { type ApiVersion, featuresOf, ourVersion, versionText } from "../contract/versions.ts";
import { messageOf, OperatorError } from "../kit/errors.ts";
import { drpcClient } from "../wire/drpc/client.ts";
import { webSocketMux } from "../wire/websocket.ts";
import { Connection } from "./connection.ts";
import type { Connector } from "./connector.ts";
import { isVersionRefusal, offeredVersion } from "./decision.ts";
import type { Deployment } from "./deployment.ts";
import { type DialFailure, failureOf, type KeyCheck } from "./failure.ts";
import { credentialHeader, handshakeHeaders, serveUrl, userAgent } from "./handshake.ts";
import { type ExtraHeaders, runHeaderCommand } from "./header-command.ts";
import { get, mergeHeaders } from "./http.ts";
import type { Identity } from "./identity.ts";
import type { Environment } from "./proxy.ts";
import {
  type BuildInfo,
  type Fetch,
  fetchBuildInfo,
  fetchKeyDetails,
  fetchOrganization,
  type KeyDetails,
} from "./rest.ts";
import type { Timing } from "./timing.ts";
import { type Upgraded, upgrade } from "./upgrade.ts";

export interface DialerOptions {
  deployment: Deployment;
  identity: Identity;
  connector: Connector;
  /** Headers that never change. */
  headers: ExtraHeaders;
  headerCommand: string | undefined;
  env: Environment;
  /** Outpost's own version, such as `0.1.0`. */
  version: string;
  /** `linux/amd64`. */
  platform: string;
  timing: Timing;
  log: (text: string) => void;
}

export type Dialled = { ok: true; connection: Connection; info: BuildInfo } | { ok: false; failure: DialFailure };

/** Makes connections: extra headers, build information, version, upgrade, in this order each time (spec/01 §5.3). */
export class Dialer {
  readonly fetch: Fetch;
  readonly agent: string;
  #extra: ExtraHeaders = [];
  /** The header command ran for a dial that is still to come. */
  #extraIsFresh = false;
  /** What the server was last known to speak; a lost buildinfo call doesn't forget it. */
  #version: ApiVersion = ourVersion;
  #organization: string | undefined;

  constructor(readonly options: DialerOptions) {
    const { deployment, connector, timing } = options;
    this.fetch = (path, { headers, maxBytes }, signal) =>
      get(new URL(path, deployment.origin), { connector, headers, maxBytes, clock: timing.clock }, signal);
    this.agent = userAgent(options.version, options.platform);
    this.#organization = options.identity.organization;
  }

  /** The extra headers of the newest dial. */
  get extra(): ExtraHeaders {
    return this.#extra;
  }

  /** The organization that is dialled; undefined before it has been looked up. */
  get organization(): string | undefined {
    return this.#organization;
  }

  /** Runs the header command for the first time; throws OperatorError when it fails (spec/01 §1.10). */
  async prepare(signal: AbortSignal): Promise<void> {
    await this.#refreshHeaders(signal);
    this.#extraIsFresh = true;
  }

  /** One attempt. Throws OperatorError where only a person can help, and the signal's reason; all else is a failure to decide on. */
  async dial(signal: AbortSignal): Promise<Dialled> {
    try {
      if (!this.#extraIsFresh) await this.#refreshHeaders(signal);
    } catch (error) {
      signal.throwIfAborted();
      return { ok: false, failure: { kind: "network", message: messageOf(error) } };
    }
    this.#extraIsFresh = false;
    try {
      const info = await this.#learn(signal);
      const organization = await this.#findOrganization(signal);
      const dialled = await this.#upgrade(organization, info, signal);
      if (dialled.ok || dialled.failure.kind !== "status") return dialled;
      return { ok: false, failure: { ...dialled.failure, ...(await this.#checkKey(dialled.failure.status, signal)) } };
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof OperatorError) throw error;
      return { ok: false, failure: failureOf(error) };
    }
  }

  /** The key's details; undefined with another credential, on servers before 2.18, or when there was no usable answer. */
  async keyDetails(signal: AbortSignal): Promise<{ status: number; details?: KeyDetails } | undefined> {
    const { kind, secret } = this.options.identity.credential;
    if (kind !== "key") return undefined;
    const { answer, details } = await fetchKeyDetails(
      this.fetch,
      { key: secret, agent: this.agent, extra: this.#extra },
      signal,
    );
    return { status: answer.status, ...(details ? { details } : {}) };
  }

  async #refreshHeaders(signal: AbortSignal): Promise<void> {
    const { headers, headerCommand, deployment, env } = this.options;
    const fresh = headerCommand ? await runHeaderCommand(headerCommand, deployment.origin.href, env, signal) : [];
    this.#extra = [...headers, ...fresh];
  }

  /** Asks what the server is. Without an answer the handshake itself will tell; without a way to the server it needn't be tried. */
  async #learn(signal: AbortSignal): Promise<BuildInfo> {
    const info = await fetchBuildInfo(this.fetch, this.agent, this.#extra, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      if (neverArrived(error)) throw error;
      return {} as BuildInfo;
    });
    if (info.apiVersion?.major === 1) this.#version = older(info.apiVersion, ourVersion);
    return info;
  }

  async #findOrganization(signal: AbortSignal): Promise<string> {
    if (this.#organization !== undefined) return this.#organization;
    const headers = { ...credentialHeader(this.options.identity.credential), "User-Agent": this.agent };
    const { organization } = await fetchOrganization(this.fetch, { headers, extra: this.#extra }, signal);
    // The handshake says what is wrong with the token, in the order of checks that is known.
    this.#organization = organization;
    return organization ?? "default";
  }

  /** Tries the known version, and once more the one that a refusal names (spec/01 §5.3). */
  async #upgrade(organization: string, info: BuildInfo, signal: AbortSignal): Promise<Dialled> {
    const first = await this.#open(organization, info, signal);
    if (first.ok) return { ...first, info };
    const { failure } = first;
    const refused = failure.kind === "status" && failure.status === 400 && isVersionRefusal(failure.body);
    const offered = refused ? offeredVersion(failure.body) : undefined;
    if (!offered) return { ok: false, failure };
    this.options.log(
      `the control plane refused version ${versionText(this.#version)} and speaks ${versionText(offered)}`,
    );
    this.#version = older(offered, ourVersion);
    const second = await this.#open(organization, info, signal);
    return second.ok ? { ...second, info } : { ok: false, failure: second.failure };
  }

  async #open(
    organization: string,
    info: BuildInfo,
    signal: AbortSignal,
  ): Promise<{ ok: true; connection: Connection } | { ok: false; failure: DialFailure }> {
    const { deployment, identity, connector, timing, version: own, log } = this.options;
    const version = this.#version;
    const url = serveUrl(deployment, { organization, name: identity.name, tags: identity.tags, version });
    const headers = handshakeHeaders(identity.credential, this.agent, { own, server: info.version });
    const upgraded: Upgraded<ReturnType<typeof webSocketMux>> = await upgrade(
      url,
      {
        connector,
        headers: mergeHeaders(headers, this.#extra),
        clock: timing.clock,
        onOpen: (socket) => webSocketMux(socket, "client", { clock: timing.clock, log }),
      },
      signal,
    );
    if (!upgraded.ok) return upgraded;
    const told = upgraded.headers[headerNames.buildVersion.toLowerCase()];
    const serverVersion = typeof told === "string" ? told : info.version;
    const connection = new Connection({
      mux: upgraded.value,
      rpc: drpcClient(upgraded.value),
      apiVersion: version,
      features: featuresOf(ignoresVersion(serverVersion) ? { major: 1, minor: 0 } : version),
      serverVersion,
    });
    return { ok: true, connection };
  }

  /** A refused key is told apart from a database that is down by the call for its details (spec/01 §1.7). */
  async #checkKey(status: number, signal: AbortSignal): Promise<{ keyCheck?: KeyCheck }> {
    if (status !== 401 || this.options.identity.credential.kind !== "key") return {};
    try {
      const check = await this.keyDetails(signal);
      if (check?.status === 400 || check?.status === 401) return { keyCheck: "refused" };
      return { keyCheck: check?.status === 200 ? "accepted" : "unknown" };
    } catch {
      signal.throwIfAborted();
      return { keyCheck: "unknown" };
    }
  }
}

function older(a: ApiVersion, b: ApiVersion): ApiVersion {
  return a.minor <= b.minor ? a : b;
}

/** The request can't have been answered: no name, no route, no TLS. A reset or a time limit may be this one call's trouble. */
function neverArrived(error: unknown): boolean {
  const failure = failureOf(error);
  if (failure.kind !== "network") return true;
  const code = (error as { code?: unknown }).code;
  return typeof code === "string" && code !== "ECONNRESET" && !code.startsWith("HPE_");
}

/** Releases 2.7 and 2.8 accept any version and speak 1.0 (spec/01 §5.1, §5.4). */
function ignoresVersion(serverVersion: string | undefined): boolean {
  return /^v?2\.[78]\./.test(serverVersion ?? "");
}
