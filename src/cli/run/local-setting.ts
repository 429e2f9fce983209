import { mkdtemp, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeTree } from "../../agent/work-folder.ts";
import { resolve } from "../../config/resolve.ts";
import { startSettings } from "../../config/start-settings.ts";
import { versionText } from "../../contract/versions.ts";
import { systemClock } from "../../kit/clock.ts";
import { raceSignal } from "../../kit/signals.ts";
import type { StepTime } from "../../local/events.ts";
import type { AgentClock } from "../../local/life.ts";
import { type Plane, startPlane } from "../../plane/plane.ts";
import type { Agent } from "../agent/agent.ts";
import type { AgentFact } from "../agent/facts.ts";
import { readLeftState } from "../agent/left-state.ts";
import { prepareAgent } from "../agent/prepare.ts";
import { version } from "../version.ts";

export interface LocalOptions {
  /** Of the key: jobs must have no other. */
  tags: Readonly<Record<string, string>>;
  engine: string;
  onDownload: (receivedBytes: number, totalBytes: number | undefined) => void;
}

/** Settings of a shell that also count for a local life; a control plane that is set there does not. */
const taken = /^OUTPOST_(ENGINE|CACHE|ISOLATION|CREDENTIALS|JOB_ENV)/;

/** A plane and an agent in this process, connected over a real WebSocket with a key of the plane's. */
export class LocalSetting implements AgentClock, AsyncDisposable {
  readonly #steps = new Map<string, Map<string, number>>();
  #running: Promise<void> = Promise.resolve();
  #protocol = "";

  private constructor(
    readonly plane: Plane,
    private readonly agent: Agent,
    private readonly folder: string,
  ) {}

  /** Starts both and waits until the agent is connected. Throws OperatorError as `outpost start` does. */
  static async open(options: LocalOptions, signal: AbortSignal): Promise<LocalSetting> {
    const plane = await startPlane({ organization: "demo", rateLimitPerMinute: 0, anyExternalAuth: true });
    const folder = await mkdtemp(join(tmpdir(), "outpost-run-"));
    try {
      const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => taken.test(name)));
      const { values } = resolve(
        startSettings,
        {
          url: plane.url,
          key: plane.createKey("local", options.tags).secret,
          name: "laptop",
          "state-dir": join(folder, "state"),
          "work-dir": join(folder, "work"),
          health: "off",
          ...(options.engine ? { engine: options.engine } : {}),
          // A laptop is its user's: templates get what the shell has, unless it says otherwise.
          ...(environment["OUTPOST_CREDENTIALS"] ? {} : { credentials: "ambient" }),
        },
        environment,
      );
      let tell: (fact: AgentFact) => void = () => undefined;
      const agent = await prepareAgent(
        values,
        {
          environment: process.env,
          clock: systemClock,
          random: Math.random,
          version,
          main: process.argv[1] ?? "",
          onFact: (fact) => tell(fact),
          onDownload: options.onDownload,
        },
        signal,
      );
      const setting = new LocalSetting(plane, agent, folder);
      await new Promise<void>((connected, failed) => {
        tell = (fact) => {
          setting.#note(fact);
          if (fact.kind === "link" && fact.event.kind === "connected") connected();
        };
        setting.#running = agent.run();
        setting.#running.catch(failed);
      });
      return setting;
    } catch (error) {
      await plane.close();
      await removeTree(folder);
      throw error;
    }
  }

  /** Rejects when the agent ends on its own: then nobody takes jobs any more. */
  get failed(): Promise<never> {
    return this.#running.then(() => {
      throw new Error("the local agent has ended before the template's life was over");
    });
  }

  get engineText(): string {
    const { flavor, version: engineVersion, source } = this.agent.facts.engine;
    return `${flavor === "terraform" ? "Terraform" : "OpenTofu"} ${engineVersion} (${source})`;
  }

  get planeText(): string {
    return `${new URL(this.plane.url).host}, in memory, organization "${this.plane.organization.name}"`;
  }

  get agentText(): string {
    const { name, isolation } = this.agent.facts;
    return `${name.name}, 1 slot, key accepted, protocol ${this.#protocol}, isolation ${isolation}`;
  }

  stepsOf(jobId: string): StepTime[] {
    const steps = [...(this.#steps.get(jobId) ?? [])].map(([step, ms]) => ({ step, ms }));
    return steps.filter(({ step }) => shown.has(step));
  }

  /** Ends everything now: the second Ctrl-C. */
  kill(): void {
    this.agent.lane.descend("killed");
  }

  /** True once it was killed: then a job may have ended without its report. */
  get killed(): boolean {
    return this.agent.lane.phase === "killed";
  }

  /** The state that a killed job left in its folder, if any. */
  async leftState(): Promise<Uint8Array | undefined> {
    const work = join(this.folder, "work");
    for (const part of await readdir(work)) {
      for (const job of await readdir(join(work, part), { withFileTypes: true })) {
        const state = job.isDirectory() ? await readLeftState(join(work, part, job.name)) : undefined;
        if (state) return state;
      }
    }
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.agent.lane.descend("draining");
    await raceSignal(this.#running, AbortSignal.timeout(10_000)).catch(() => undefined);
    await this.agent[Symbol.asyncDispose]();
    await this.plane.close();
    await removeTree(this.folder);
  }

  #note(fact: AgentFact): void {
    if (fact.kind === "link" && fact.event.kind === "connected") this.#protocol = versionText(fact.event.apiVersion);
    if (fact.kind !== "job" || fact.event.kind !== "step-ended") return;
    const { step, ms } = fact.event;
    const steps = this.#steps.get(fact.job.id) ?? new Map<string, number>();
    this.#steps.set(fact.job.id, steps.set(step, (steps.get(step) ?? 0) + ms));
  }
}

/** Steps that say something to a person. */
const shown = new Set(["init", "plan", "quota", "apply", "graph"]);
