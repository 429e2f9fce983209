import { hostname, totalmem } from "node:os";
import { join } from "node:path";
import { engineTuning, usableMemory } from "../../agent/engine-tuning.ts";
import { type CredentialSources, credentialsFor } from "../../agent/job-credentials.ts";
import { jobEnvironment } from "../../agent/job-environment.ts";
import { openJobLog } from "../../agent/job-log.ts";
import { keySource } from "../../agent/key-source.ts";
import { type JobSignals, Lane } from "../../agent/lane.ts";
import { type ChosenName, chooseName } from "../../agent/name.ts";
import { Rotation } from "../../agent/rotation.ts";
import { removeTree, WorkFolder } from "../../agent/work-folder.ts";
import type { StartSettings } from "../../config/start-settings.ts";
import { type Engine, findEngine } from "../../engine/find.ts";
import { flavorNames } from "../../engine/version.ts";
import { LogLevel } from "../../gen/provisioner_pb.ts";
import type { AcquiredJob } from "../../gen/provisionerd_pb.ts";
import type { JobEvent, JobLine } from "../../job/events.ts";
import { memoryJournal } from "../../job/memory-journal.ts";
import { runJob } from "../../job/run.ts";
import type { Clock } from "../../kit/clock.ts";
import { JobError } from "../../kit/errors.ts";
import { Secret } from "../../kit/secret.ts";
import { anySignal } from "../../kit/signals.ts";
import { agentFor, type Connector } from "../../link/connector.ts";
import { parseDeployment } from "../../link/deployment.ts";
import type { LinkEvent } from "../../link/events.ts";
import { parseHeaders } from "../../link/header-command.ts";
import { checkIdentity } from "../../link/identity.ts";
import { Link, type LinkOptions } from "../../link/link.ts";
import { chooseProxy } from "../../link/proxy.ts";
import { readTrust, type Trust, writeBundle } from "../../link/trust.ts";
import { Redactor } from "../../redact/redactor.ts";
import { killInside } from "../../sandbox/tree.ts";
import type { OpenOptions, Provisioner } from "../../session/types.ts";
import { checkDiskSpace } from "../../terraform/provider-cache/disk-space.ts";
import { defaultStoreLimits, trimStore } from "../../terraform/provider-cache/trim.ts";
import type { TerraformSettings } from "../../terraform/settings.ts";
import { chooseFolders, type Folders, makeFolders } from "./folders.ts";
import { type JobHeader, jobHeader } from "./job-header.ts";
import { keyedLink } from "./key-watch.ts";
import { Lanes, laneNames } from "./lanes.ts";
import { readOperatorConfig } from "./operator-engine.ts";
import { makeWorkers, type Workers } from "./provisioner.ts";

/** What happens in an agent, for logs, health and screens. */
export type AgentFact =
  /** `lane`: the name of the connection where each slot has its own. */
  | { kind: "link"; event: LinkEvent; lane?: string }
  | { kind: "cache-problem"; text: string }
  | { kind: "job-began"; job: JobHeader }
  | { kind: "job"; job: JobHeader; event: JobEvent };

export interface AgentSurroundings {
  environment: Readonly<Record<string, string | undefined>>;
  clock: Clock;
  random: () => number;
  version: string;
  /** Our own main file: what a worker is. */
  main: string;
  onFact: (fact: AgentFact) => void;
  onDownload: (receivedBytes: number, totalBytes: number | undefined) => void;
}

/** What an agent found out about itself before it connects. */
export interface AgentFacts {
  name: ChosenName;
  folders: Folders;
  engine: Engine;
  isolation: "process" | "none";
  /** What jobs may see of this machine. */
  credentials: CredentialSources;
}

/** An agent that is ready to connect: its slots, and the connections that they share or have for themselves. */
export class Agent implements AsyncDisposable {
  readonly lane: Lane<AcquiredJob>;
  #trimming: Promise<void> | undefined;

  constructor(
    readonly facts: AgentFacts,
    private readonly lanes: Lanes,
    private readonly settings: StartSettings,
    private readonly surroundings: AgentSurroundings,
    private readonly parts: {
      workers: Workers;
      work: WorkFolder;
      job: Omit<TerraformSettings, "workRoot" | "bootstrapScripts">;
      /** Keeps the key good; undefined with another credential. */
      rotation: Rotation | undefined;
    },
  ) {
    this.lane = new Lane<AcquiredJob>({
      slots: settings.slots,
      acquire: (signal, slot) => lanes.acquire(signal, slot),
      run: (acquired, slot, signals) => this.#run(acquired, slot, signals),
      prepare: () => {
        parts.workers.warm();
        this.#trimCache();
      },
      maxJobs: settings.once ? 1 : settings.maxJobs || undefined,
      idleExit: settings.idleExit > 0 ? { ms: settings.idleExit, clock: surroundings.clock } : undefined,
    });
  }

  /** The connection; the first where each slot has its own. */
  get link(): Link {
    return this.lanes.first;
  }

  /** Why no job is taken right now; empty when ready. */
  get notReady(): string[] {
    const reasons = this.lanes.notReady;
    if (this.lane.phase !== "running") reasons.push(this.lane.phase);
    return reasons;
  }

  /** Connects and takes jobs until the lane has drained; then the connection is closed in order. Throws OperatorError where a person must act. */
  async run(): Promise<void> {
    const life = new AbortController();
    const links = this.lanes.start(life.signal);
    const rotation = this.parts.rotation?.run(life.signal);
    // The links' own failure ends the waiting acquires with the same error: the lane tells it.
    links.catch(() => this.lane.descend("draining"));
    rotation?.catch(() => this.lane.descend("draining"));
    try {
      await this.lane.run();
    } finally {
      life.abort(new Error("the lane has drained"));
      await links;
    }
    await rotation;
  }

  async #run(acquired: AcquiredJob, slot: number, signals: JobSignals): Promise<void> {
    const { clock, random, version, onFact } = this.surroundings;
    const { settings, facts } = this;
    const job = jobHeader(acquired, slot);
    onFact({ kind: "job-began", job });
    const redactor = new Redactor();
    const workRoot = await this.parts.work.job(acquired.jobId);
    const file = settings.jobLogFolder ? await openJobLog(settings.jobLogFolder, acquired.jobId) : undefined;
    const result = await runJob(
      acquired,
      {
        controlPlane: this.lanes.of(slot).calls,
        provisioner: this.#provisioner(job, workRoot, redactor),
        journal: memoryJournal(),
        clock,
        random,
        redactor,
        settings: {
          heartbeatMs: settings.heartbeat,
          flushMs: 250,
          ...(settings.jobTimeout > 0 ? { jobTimeoutMs: settings.jobTimeout } : {}),
          ...(settings.silenceTimeout > 0 ? { silenceTimeoutMs: settings.silenceTimeout } : {}),
          cancelTimeoutMs: settings.cancelTimeout + afterKillMs,
          lateComplete: settings.lateComplete,
        },
        intro: introLine(facts, version, settings),
        onEvent: (event) => {
          if (event.kind === "log") file?.write(logLine(event.line));
          onFact({ kind: "job", job, event });
        },
      },
      signals,
    );
    await file?.close();
    // Whatever a job started and let go of ends with it.
    killInside(workRoot);
    // Where nobody took the state, the folder is what is left of it.
    if (!result.rescue && result.status !== "unconfirmed") await removeTree(workRoot);
  }

  /** The job's provisioner. What takes time (a command's credentials, the deployment's scripts) is part of its opening: the job's log has begun by then. */
  #provisioner(job: JobHeader, workRoot: string, redactor: Redactor): Provisioner {
    return {
      open: async (options, signal) => {
        await requireSpace(workRoot, options);
        const [credentials, bootstrapScripts] = await Promise.all([
          credentialsFor(this.facts.credentials, job, signal),
          this.#scripts(job.slot, signal),
        ]);
        redactor.add(credentials.secrets);
        const environment = { ...credentials.variables, ...this.parts.job.environment };
        const settings = { ...this.parts.job, environment, workRoot, bootstrapScripts };
        return this.parts.workers.provisioner(settings).open(options, signal);
      },
    };
  }

  /** The deployment's scripts where it hands any out in time; they are fetched once per connection. */
  async #scripts(slot: number, signal: AbortSignal): Promise<Record<string, string>> {
    const late = new AbortController();
    using _timer = this.surroundings.clock.after(scriptsWaitMs, () => late.abort(new Error("the scripts are late")));
    using either = anySignal(signal, late.signal);
    const scripts = await this.lanes
      .of(slot)
      .initScripts(either.signal)
      .catch(() => undefined);
    signal.throwIfAborted();
    return { ...scripts };
  }

  /** Between jobs, and one at a time: the provider cache keeps within its bounds. */
  #trimCache(): void {
    if (this.#trimming) return;
    this.#trimming = trimStore(this.facts.folders.cache, defaultStoreLimits, this.surroundings.clock.now())
      .then((trimmed) => {
        for (const text of trimmed?.problems ?? []) this.surroundings.onFact({ kind: "cache-problem", text });
      })
      .finally(() => {
        this.#trimming = undefined;
      });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#trimming;
    await this.parts.workers[Symbol.asyncDispose]();
    await this.parts.work[Symbol.asyncDispose]();
  }
}

/** After the engine was killed, a step has this long to answer with what is left, before its worker is given up. */
const afterKillMs = 30_000;

/** A job does not wait longer than this for the deployment's own bootstrap scripts: ours do the same. */
const scriptsWaitMs = 5_000;

/** Below this an engine can't even unpack itself; below the other a large provider does not fit. */
const leastFreeBytes = 64 * 1024 ** 2;
const wantedFreeBytes = 1024 ** 3;

/** A full disk is where an apply loses its state: it is looked at before a job begins. Throws JobError when there is no room at all. */
async function requireSpace(folder: string, { onLog }: OpenOptions): Promise<void> {
  const none = await checkDiskSpace(folder, leastFreeBytes);
  if (none) throw new JobError(`${none}: the agent's disk is full`);
  const little = await checkDiskSpace(folder, wantedFreeBytes);
  if (little) onLog({ level: LogLevel.WARN, output: little, createdAt: Date.now() });
}

/** First line of each job's log: who ran it, with what, behind which wall, seeing which credentials. */
function introLine(
  { name, engine, isolation, credentials }: AgentFacts,
  version: string,
  settings: StartSettings,
): string {
  const names = [
    ...credentials.environment.passed,
    ...credentials.files.map((file) => file.slice(0, file.indexOf("="))),
    ...(credentials.command ? ["what --job-command prints"] : []),
  ];
  const sees = names.length > 0 ? names.join(", ") : "nothing of the agent's environment";
  return `outpost ${version} (${name.name}), ${flavorNames[engine.flavor]} ${engine.version}, isolation ${isolation}, credentials ${settings.credentials}: ${sees}`;
}

/** A line of a job's log as it stands in its file. */
function logLine({ createdAt, level, stage, output }: JobLine): string {
  return `${new Date(createdAt).toISOString()} [${LogLevel[level].toLowerCase()}] [${stage}] ${output}`;
}

/** Checks everything that can be checked without the control plane, finds the engine, makes the folders. Throws OperatorError. */
export async function prepareAgent(
  settings: StartSettings,
  surroundings: AgentSurroundings,
  signal: AbortSignal,
): Promise<Agent> {
  const { environment, clock, random } = surroundings;
  const deployment = parseDeployment(settings.url);
  const secret = (value: string) => (value ? new Secret(value) : undefined);
  const folders = chooseFolders(
    { cache: settings.cacheFolder, state: settings.stateFolder, work: settings.workFolder },
    environment,
  );
  const trust = await readTrust(
    {
      caFile: settings.caFile,
      extraCaFile: settings.extraCaFile,
      certFile: settings.certFile,
      keyFile: settings.certKeyFile,
    },
    environment,
  );
  const proxy = chooseProxy(deployment.origin, environment);
  const connector: Connector = { context: trust.context, proxy, secure: deployment.secure };
  await makeFolders(folders);
  const container = Boolean(environment["KUBERNETES_SERVICE_HOST"] || environment["container"]);
  const name = await chooseName({
    setting: settings.name,
    stateFolder: folders.state,
    hostName: hostname(),
    container,
  });
  const source = keySource({ key: settings.key, file: settings.keyFile, command: settings.keyCommand }, surroundings);
  const key = await source?.read(signal);
  const identityOf = (laneName: string) => (laneKey: Secret | undefined) =>
    checkIdentity({
      key: laneKey,
      psk: secret(settings.psk),
      token: secret(settings.token),
      organization: settings.organization,
      name: laneName,
      tags: settings.tags,
      hostName: hostname(),
    });
  const names = laneNames(name.name, settings.slots, settings.identity);
  const identities = names.map((laneName) => identityOf(laneName)(key));
  const engine = await findTheEngine(settings, surroundings, trust, folders.cache, signal);
  const ambient = settings.credentials === "ambient";
  const jobs = jobEnvironment(settings.credentials, settings.jobEnvironment, environment, [
    key?.reveal() ?? "",
    settings.psk,
    settings.token,
  ]);
  const bundle = join(folders.cache, "ca-bundle.pem");
  await writeBundle(trust, bundle);
  const isolation = settings.isolation === "none" ? "none" : "process";
  const work = await WorkFolder.open(folders.work, clock);
  const options: Omit<LinkOptions, "identity" | "onEvent"> = {
    deployment,
    connector,
    headers: parseHeaders(settings.headers, "--header"),
    headerCommand: settings.headerCommand || undefined,
    env: environment,
    version: surroundings.version,
    platform: `${process.platform}/${process.arch === "x64" ? "amd64" : process.arch}`,
    timing: { clock, random },
    exitWhenRefusedMs: settings.exitWhenRefused || undefined,
  };
  const lanes = new Lanes(
    identities.map((identity) => {
      const lane = names.length > 1 ? { lane: identity.name } : {};
      const onEvent = (event: LinkEvent) => surroundings.onFact({ kind: "link", event, ...lane });
      return new Link({ ...options, identity, onEvent });
    }),
  );
  const rotation =
    source &&
    key &&
    new Rotation({
      key,
      source,
      links: lanes.links.map((link, index) => keyedLink(link, identityOf(names[index] ?? name.name))),
      clock,
      random,
      exitWhenRefusedMs: settings.exitWhenRefused || undefined,
      onWarning: (message) => surroundings.onFact({ kind: "link", event: { kind: "warning", message } }),
    });
  const credentials = { environment: jobs, files: settings.jobFiles, command: settings.jobCommand };
  return new Agent({ name, folders, engine, isolation, credentials }, lanes, settings, surroundings, {
    workers: makeWorkers({ isolation, main: surroundings.main, cwd: work.path, clock }),
    work,
    rotation,
    job: {
      engine: { path: engine.path, version: engine.version, flavor: engine.flavor },
      cacheRoot: folders.cache,
      // One bundle for engine and git, whatever the agent itself trusts.
      environment: { SSL_CERT_FILE: bundle, GIT_SSL_CAINFO: bundle },
      cliConfig: await readOperatorConfig(environment, ambient),
      exitTimeoutMs: settings.cancelTimeout,
      tuning: engineTuning(usableMemory(process.constrainedMemory(), totalmem()), settings.slots, jobs.variables),
      keepFolder: true,
    },
  });
}

async function findTheEngine(
  settings: StartSettings,
  { environment, clock, onDownload }: AgentSurroundings,
  trust: Trust,
  cacheFolder: string,
  signal: AbortSignal,
): Promise<Engine> {
  const mirror = new URL(settings.engineMirror);
  const secure = mirror.protocol === "https:";
  const agent = agentFor({ context: trust.context, proxy: chooseProxy(mirror, environment), secure }, signal);
  return findEngine(
    {
      setting: settings.engine,
      pathVariable: environment["PATH"] ?? "",
      cacheFolder,
      download: settings.engineDownload ? { baseUrl: settings.engineMirror, agent, onProgress: onDownload } : undefined,
      clock,
    },
    signal,
  );
}
