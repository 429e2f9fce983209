import { setMaxListeners } from "node:events";
import { LogLevel, type Resource, type Timing, TimingState } from "../gen/provisioner_pb.ts";
import { LogSource } from "../gen/provisionerd_pb.ts";
import type { Clock } from "../kit/clock.ts";
import type { Plane } from "../plane/plane.ts";
import type { Build, Job, TemplateVersion } from "../plane/rows.ts";
import type { Changes, JobName, LifeEvent, LogLevelName, StepTime } from "./events.ts";

/** What `outpost run` asks for. */
export interface LifeRequest {
  /** Tar of the template. */
  archive: Uint8Array;
  templateName: string;
  workspaceName: string;
  /** Who owns the workspace; and the groups that the owner is in. */
  owner: string;
  groups: readonly string[];
  /** Of the template's jobs; the agent's key has them, too. */
  tags: Readonly<Record<string, string>>;
  variables: Readonly<Record<string, string>>;
  parameters: Readonly<Record<string, string>>;
  /** Access tokens of the owner by external auth provider. */
  externalAuth: Readonly<Record<string, string>>;
  /** The last job: an import, a dry run's plan, a start; everything when undefined. */
  until: "import" | "plan" | "start" | undefined;
  /** Do not stop and delete at the end. */
  keep: boolean;
}

/** What only the agent knows: how long each step of a job took. */
export interface AgentClock {
  stepsOf(jobId: string): StepTime[];
}

/** Lines that show results to people; handed in, because how a resource looks is the command's business. */
export interface Describe {
  version(version: TemplateVersion): string[];
  resources(resources: readonly Resource[]): string[];
}

export interface LifeResult {
  succeeded: boolean;
  jobs: number;
  ms: number;
  engineMs: number;
  /** The state of resources that are still there; undefined when nothing is left. */
  leftState?: Uint8Array;
  interrupted: boolean;
}

/** Steps in which the engine works; the rest of a job's time is ours. */
const engineSteps = new Set(["init", "plan", "apply", "graph"]);

/**
 * A template's life on a plane: import, then start, stop and delete of one workspace. Ends early at `until` or with the
 * first job that fails. What a start made is destroyed at the end, also after a failure or an interrupt, unless `keep`.
 * An aborted signal cancels the running job, as a user would, and cleans up.
 */
export class Life {
  readonly #plane: Plane;
  readonly #agent: AgentClock;
  readonly #describe: Describe;
  readonly #clock: Clock;
  readonly #show: (event: LifeEvent) => void;
  #jobs = 0;
  #engineMs = 0;

  constructor(parts: {
    plane: Plane;
    agent: AgentClock;
    describe: Describe;
    clock: Clock;
    show: (event: LifeEvent) => void;
  }) {
    this.#plane = parts.plane;
    this.#agent = parts.agent;
    this.#describe = parts.describe;
    this.#clock = parts.clock;
    this.#show = parts.show;
  }

  async run(request: LifeRequest, signal: AbortSignal): Promise<LifeResult> {
    const since = this.#clock.monotonic();
    // Each job that is followed listens once.
    setMaxListeners(0, signal);
    const { succeeded, left } = await this.#lives(request, signal);
    return {
      succeeded: succeeded && !signal.aborted,
      jobs: this.#jobs,
      ms: this.#clock.monotonic() - since,
      engineMs: this.#engineMs,
      ...(left ? { leftState: left } : {}),
      interrupted: signal.aborted,
    };
  }

  async #lives(
    request: LifeRequest,
    signal: AbortSignal,
  ): Promise<{ succeeded: boolean; left?: Uint8Array | undefined }> {
    const plane = this.#plane;
    const { user: owner } = plane.createUser({ name: request.owner, groups: [...request.groups] });
    for (const [id, token] of Object.entries(request.externalAuth)) {
      plane.configureExternalAuth(id);
      plane.setExternalToken(owner.id, id, token);
    }
    const imported = plane.importTemplate({
      template: request.templateName,
      archive: request.archive,
      variables: request.variables,
      tags: request.tags,
      initiatorId: owner.id,
    });
    if (!(await this.#follow("import", imported.job, () => this.#importFacts(imported.version.id), signal)))
      return { succeeded: false };
    if (request.until === "import" || signal.aborted) return { succeeded: !signal.aborted };
    if (request.until === "plan") {
      const job = plane.dryRun({
        versionId: imported.version.id,
        workspaceName: request.workspaceName,
        parameters: request.parameters,
        initiatorId: owner.id,
      });
      const facts = () => ({ details: this.#describe.resources(plane.job(job.id).dryRun?.resources ?? []) });
      return { succeeded: await this.#follow("plan", job, facts, signal) };
    }
    const started = plane.createWorkspace({
      templateId: imported.template.id,
      name: request.workspaceName,
      ownerId: owner.id,
      parameters: request.parameters,
    });
    const { id: workspaceId } = started.workspace;
    const build = (name: JobName, row: { build: Build; job: Job }, until: AbortSignal) =>
      this.#follow(name, row.job, () => this.#buildFacts(row.build.id), until);
    let ok = await build("start", started, signal);
    const keep = request.keep || request.until === "start";
    if (ok && !keep && !signal.aborted)
      ok = await build("stop", plane.build(workspaceId, { transition: "stop" }), signal);
    if (keep && ok && !signal.aborted) return { succeeded: true, left: this.#left(workspaceId) };
    if (request.keep) return { succeeded: false, left: this.#left(workspaceId) };
    // The clean-up is not cancelled by what it cleans up after.
    const never = new AbortController().signal;
    const gone = await build("delete", plane.build(workspaceId, { transition: "delete" }), never);
    return { succeeded: ok && gone, left: gone ? undefined : this.#left(workspaceId) };
  }

  /** Shows a job's life and answers whether it succeeded. */
  async #follow(job: JobName, row: Job, facts: () => JobFacts, signal: AbortSignal): Promise<boolean> {
    const since = this.#clock.monotonic();
    this.#show({ kind: "job-started", job });
    const cancel = () => void this.#plane.cancel(row.id);
    if (signal.aborted) cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      for await (const event of this.#plane.follow(row.id, new AbortController().signal)) {
        if (event.kind !== "log" || event.log.source !== LogSource.PROVISIONER) continue;
        const { stage, level, output } = event.log;
        this.#show({ kind: "log", job, stage, level: levelNames[level] ?? "info", text: output });
      }
    } finally {
      signal.removeEventListener("abort", cancel);
    }
    const ended = this.#plane.job(row.id);
    const steps = this.#agent.stepsOf(row.id);
    this.#jobs++;
    for (const { step, ms } of steps) if (engineSteps.has(step)) this.#engineMs += ms;
    const succeeded = !ended.error;
    this.#show({
      kind: "job-ended",
      job,
      succeeded,
      ms: this.#clock.monotonic() - since,
      steps,
      ...(ended.error ? { error: ended.error } : {}),
      ...facts(),
    });
    return succeeded;
  }

  #importFacts(versionId: string): JobFacts {
    return { details: this.#describe.version(this.#plane.version(versionId)) };
  }

  #buildFacts(buildId: string): JobFacts {
    const build = this.#plane.buildRow(buildId);
    const dailyCost = build.resources.reduce((sum, resource) => sum + resource.dailyCost, 0);
    return {
      changes: changesOf(build.timings),
      left: managedResources(build.state),
      stateBytes: build.state.length,
      ...(dailyCost > 0 ? { dailyCost } : {}),
      details: this.#describe.resources(build.resources),
    };
  }

  /** The workspace's state if it still names resources. */
  #left(workspaceId: string): Uint8Array | undefined {
    const state = this.#plane.builds(workspaceId).at(-1)?.state;
    return state && managedResources(state) > 0 ? state : undefined;
  }
}

type JobFacts = Pick<
  Extract<LifeEvent, { kind: "job-ended" }>,
  "changes" | "left" | "stateBytes" | "dailyCost" | "details"
>;

const levelNames: Readonly<Record<number, LogLevelName>> = {
  [LogLevel.TRACE]: "trace",
  [LogLevel.DEBUG]: "debug",
  [LogLevel.INFO]: "info",
  [LogLevel.WARN]: "warn",
  [LogLevel.ERROR]: "error",
};

/** What an apply did, out of its timings (spec/03 §6.1). */
export function changesOf(timings: readonly Timing[]): Changes {
  const changes = { made: 0, changed: 0, destroyed: 0 };
  for (const { stage, action, state } of timings) {
    if (stage !== "apply" || state !== TimingState.COMPLETED) continue;
    if (action === "create") changes.made++;
    if (action === "update") changes.changed++;
    if (action === "delete") changes.destroyed++;
  }
  return changes;
}

/** Managed resource instances in a state of this machine's own making; 0 for what is none. */
function managedResources(state: Uint8Array): number {
  if (state.length === 0) return 0;
  try {
    const { resources = [] } = JSON.parse(Buffer.from(state).toString()) as {
      resources?: Array<{ mode: string; instances?: unknown[] }>;
    };
    return resources.reduce((sum, { mode, instances }) => sum + (mode === "managed" ? (instances?.length ?? 0) : 0), 0);
  } catch {
    return 0;
  }
}
