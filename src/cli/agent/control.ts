import { arch, platform, release } from "node:os";
import { join } from "node:path";
import { type StartSettings, startSettings } from "../../config/start-settings.ts";
import { ourVersion, versionText } from "../../contract/versions.ts";
import { flavorNames } from "../../engine/version.ts";
import type { Clock } from "../../kit/clock.ts";
import { messageOf } from "../../kit/errors.ts";
import { type ControlTarget, controlSocket, serveControl } from "../../observe/control.ts";
import type { HealthCheck } from "../../observe/health.ts";
import type { Snapshot } from "../../observe/snapshot.ts";
import type { RecentLines } from "../../observe/snapshot-lines.ts";
import { StatusPage } from "../../observe/status-page.ts";
import { Redactor } from "../../redact/redactor.ts";
import type { Agent } from "./agent.ts";
import type { AgentBoard } from "./snapshot.ts";

/** How often a wait for the last job looks: jobs end in seconds. */
const drainLookMs = 250;
/** Lines of the agent's own log in a support bundle. */
const supportLines = 1_000;

/** Where the control socket is, in the agent's state folder. */
export const socketPath = (stateFolder: string): string => join(stateFolder, controlSocket);

export interface ViewParts {
  agent: Agent;
  board: AgentBoard;
  settings: StartSettings;
  version: string;
  /** The agent's own log lines, as written. */
  log: RecentLines;
  clock: Clock;
  /** More that must never leave the machine: a key that came from a file or a command. */
  secrets?: () => readonly string[];
  /** Text of the metrics, whether or not they are served. */
  metrics?: () => string;
  /** What \`outpost doctor\` says here and now, as JSON. */
  doctor?: () => Promise<string>;
}

/** All that looks at a running agent from outside: what status, page, socket and health checks are made of. */
export class AgentView implements ControlTarget {
  readonly page = new StatusPage(() => this.snapshot());
  /** HOST:PORT of the health server, once it listens. */
  healthAddress: string | undefined;

  constructor(private readonly parts: ViewParts) {}

  /** Opens the control socket. Throws OperatorError. */
  serve(): Promise<AsyncDisposable> {
    return serveControl(socketPath(this.parts.agent.facts.folders.state), this);
  }

  snapshot(): Snapshot {
    const { agent, board, settings, version } = this.parts;
    return board.snapshot(agent, { ...settings, url: withoutPassword(settings.url), version });
  }

  log(id: string): RecentLines | string {
    return this.parts.board.log(id);
  }

  drain(): string | undefined {
    return this.parts.agent.lane.pause() ? undefined : this.#goingDown();
  }

  resume(): string | undefined {
    return this.parts.agent.lane.resume() ? undefined : this.#goingDown();
  }

  #goingDown(): string {
    return `the agent is ${this.parts.agent.lane.phase}, told by a signal or its end: that has no way back`;
  }

  async drained(signal: AbortSignal): Promise<{ drained: boolean; why?: string }> {
    const { lane } = this.parts.agent;
    while (lane.busy > 0) {
      if (lane.phase === "running") return { drained: false, why: "it was resumed meanwhile" };
      await this.parts.clock.sleep(drainLookMs, signal);
    }
    return { drained: true };
  }

  /** Checks for `/healthz`, beside the loop's own. */
  checks(): HealthCheck[] {
    const { link, phase, person } = this.snapshot();
    const connected = link.kind === "connected";
    return [
      { name: "connection", problem: connected ? undefined : [link.kind, link.lastError].filter(Boolean).join(": ") },
      { name: "taking jobs", problem: phase === "running" ? undefined : phase },
      {
        name: "nothing waits for a person",
        problem: person.length > 0 ? `${person.length}: outpost status` : undefined,
      },
    ];
  }

  web(): string | undefined {
    const port = this.healthAddress && /:(\d+)$/.exec(this.healthAddress)?.[1];
    return port ? `http://127.0.0.1:${port}/#token=${this.page.token}` : undefined;
  }

  async support(): Promise<Record<string, string>> {
    const { settings, log, agent, version, secrets, metrics, doctor } = this.parts;
    const redactor = new Redactor({ minLength: 6 });
    redactor.add(secretsOf(settings, process.env));
    redactor.add(secrets?.() ?? []);
    const { engine } = agent.facts;
    const versions = {
      outpost: version,
      protocol: versionText(ourVersion),
      node: process.version,
      openssl: process.versions.openssl,
      engine: `${flavorNames[engine.flavor]} ${engine.version} (${engine.source})`,
      system: `${platform()} ${release()} ${arch()}`,
    };
    const text = (value: unknown) => redactor.redact(`${JSON.stringify(value, null, 2)}\n`);
    return {
      "settings.json": text(shownSettings(settings)),
      "status.json": text(this.snapshot()),
      "versions.json": text(versions),
      "log.txt": redactor.redact(`${log.last(supportLines).join("\n")}\n`),
      ...(metrics ? { "metrics.txt": redactor.redact(metrics()) } : {}),
      ...(doctor ? { "doctor.json": redactor.redact(`${await doctor().catch(messageOf)}\n`) } : {}),
    };
  }
}

const masked = "[secret]";

/** The effective settings as they may leave the machine: secrets, header values and the arguments of commands are masked. */
function shownSettings(settings: StartSettings): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(startSettings)) {
    const value: unknown = settings[name as keyof StartSettings];
    if (name === "headers") shown[name] = settings.headers.map((pair) => `${pair.split("=", 1)[0]}=${masked}`);
    else if (setting.secret) shown[name] = value ? masked : "";
    // Whatever stands behind the program may be a password.
    else if (name.endsWith("Command"))
      shown[name] = value
        ? `${String(value)
            .trim()
            .split(/\s/, 1)[0]
            ?.replace(/^\w+=.*/, masked)} ${masked}`
        : "";
    else shown[name] = typeof value === "string" ? withoutPassword(value) : value;
  }
  return shown;
}

const password = /(?<=^|\W)([a-z][a-z0-9+.-]*:\/\/)[^\s/@]+@/gi;

function withoutPassword(url: string): string {
  return url.replace(password, `$1${masked}@`);
}

const secretName = /KEY|SECRET|TOKEN|PASS|CREDENTIAL|AUTH|PSK|PRIVATE|SIGNATURE|HEADER|_SAS/i;

/** Every value that is known, or looks, secret: wherever it stands, it is masked. */
function secretsOf(settings: StartSettings, environment: Readonly<Record<string, string | undefined>>): string[] {
  const values = [settings.key, settings.psk, settings.token];
  for (const pair of settings.headers) values.push(pair.slice(pair.indexOf("=") + 1));
  for (const [name, value = ""] of Object.entries(environment)) {
    if (secretName.test(name) && !/_(FILE|PATH|DIR|SOCK)$/i.test(name)) values.push(value);
  }
  for (const text of [settings.url, settings.engineMirror, ...Object.values(environment)]) {
    for (const [match] of (text ?? "").matchAll(password)) values.push(...userInfo(match));
  }
  return values.flatMap((value) => [value, ...value.split("\n")]).map((value) => value.trim());
}

/** `scheme://user:password@` → the password, or what stands alone, also as it reads without percent signs. */
function userInfo(match: string): string[] {
  const info = match.slice(match.indexOf("://") + 3, -1);
  const colon = info.indexOf(":");
  const secret = colon < 0 ? info : info.slice(colon + 1);
  return [secret, decoded(secret)];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
