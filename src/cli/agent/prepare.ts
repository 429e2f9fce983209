import { hostname, totalmem } from "node:os";
import { join } from "node:path";
import { engineTuning, usableMemory } from "../../agent/engine-tuning.ts";
import { jobEnvironment } from "../../agent/job-environment.ts";
import { keySource } from "../../agent/key-source.ts";
import { chooseName } from "../../agent/name.ts";
import { Rotation } from "../../agent/rotation.ts";
import { lockStateFolder } from "../../agent/state-lock.ts";
import { WorkFolder } from "../../agent/work-folder.ts";
import type { StartSettings } from "../../config/start-settings.ts";
import { type Engine, findEngine } from "../../engine/find.ts";
import { ReleaseStack } from "../../kit/release-stack.ts";
import { Secret } from "../../kit/secret.ts";
import { agentFor, type Connector } from "../../link/connector.ts";
import { type Deployment, parseDeployment } from "../../link/deployment.ts";
import type { LinkEvent } from "../../link/events.ts";
import { parseHeaders } from "../../link/header-command.ts";
import { checkIdentity } from "../../link/identity.ts";
import { Link, type LinkOptions } from "../../link/link.ts";
import { chooseProxy } from "../../link/proxy.ts";
import { readTrust, type Trust, writeBundle } from "../../link/trust.ts";
import { Agent } from "./agent.ts";
import type { AgentSurroundings } from "./facts.ts";
import { chooseFolders, type Folders, makeFolders } from "./folders.ts";
import { JobRunner } from "./job-runner.ts";
import { keyedLink } from "./key-watch.ts";
import { Lanes, laneNames } from "./lanes.ts";
import { readOperatorConfig } from "./operator-engine.ts";
import { makeWorkers } from "./provisioner.ts";

/** Checks everything that can be checked without the control plane, finds the engine, makes the folders. Throws OperatorError. */
export async function prepareAgent(
  settings: StartSettings,
  surroundings: AgentSurroundings,
  signal: AbortSignal,
): Promise<Agent> {
  const { environment, clock } = surroundings;
  const deployment = parseDeployment(settings.url);
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
  const held = new ReleaseStack();
  held.use(await lockStateFolder(folders.state, clock));
  try {
    return await prepareHeld(settings, surroundings, { deployment, folders, trust, connector, held }, signal);
  } catch (error) {
    await held[Symbol.asyncDispose]();
    throw error;
  }
}

/** What is known before the state folder is ours. */
interface Grounds {
  deployment: Deployment;
  folders: Folders;
  trust: Trust;
  connector: Connector;
  held: ReleaseStack;
}

/** The rest, once no other agent can be in the state folder. */
async function prepareHeld(
  settings: StartSettings,
  surroundings: AgentSurroundings,
  { deployment, folders, trust, connector, held }: Grounds,
  signal: AbortSignal,
): Promise<Agent> {
  const { environment, clock, random } = surroundings;
  const secret = (value: string) => (value ? new Secret(value) : undefined);
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
  held.use(work);
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
  const facts = { name, folders, engine, isolation, credentials } as const;
  const workers = makeWorkers({ isolation, main: surroundings.main, cwd: work.path, clock });
  held.use(workers);
  const runner = new JobRunner(facts, settings, surroundings, {
    workers,
    work,
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
  return new Agent(facts, lanes, settings, surroundings, { runner, warm: () => workers.warm(), rotation, held });
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
