import { credentialsFor } from "../../agent/job-credentials.ts";
import { openJobLog } from "../../agent/job-log.ts";
import type { JobSignals } from "../../agent/lane.ts";
import { removeTree, type WorkFolder } from "../../agent/work-folder.ts";
import type { StartSettings } from "../../config/start-settings.ts";
import { flavorNames } from "../../engine/version.ts";
import { LogLevel } from "../../gen/provisioner_pb.ts";
import type { AcquiredJob } from "../../gen/provisionerd_pb.ts";
import type { JobLine } from "../../job/events.ts";
import { memoryJournal } from "../../job/memory-journal.ts";
import { runJob } from "../../job/run.ts";
import { JobError } from "../../kit/errors.ts";
import { anySignal } from "../../kit/signals.ts";
import type { Link } from "../../link/link.ts";
import { Redactor } from "../../redact/redactor.ts";
import { killInside } from "../../sandbox/tree.ts";
import type { OpenOptions, Provisioner } from "../../session/types.ts";
import { checkDiskSpace } from "../../terraform/provider-cache/disk-space.ts";
import type { TerraformSettings } from "../../terraform/settings.ts";
import type { AgentFacts, AgentSurroundings } from "./facts.ts";
import { type JobHeader, jobHeader } from "./job-header.ts";
import type { Workers } from "./provisioner.ts";

/** What the jobs of an agent share. */
export interface JobParts {
  workers: Workers;
  work: WorkFolder;
  /** Of every job's engine; each job adds its own. */
  job: Omit<TerraformSettings, "workRoot" | "bootstrapScripts">;
}

/** Runs jobs, one at a time for each slot: folder, credentials, worker, and the pipeline that reports them. */
export class JobRunner {
  constructor(
    private readonly facts: AgentFacts,
    private readonly settings: StartSettings,
    private readonly surroundings: AgentSurroundings,
    private readonly parts: JobParts,
  ) {}

  /** Runs one job to its end, in words; whatever it started is gone afterwards. */
  async run(acquired: AcquiredJob, slot: number, link: Link, signals: JobSignals): Promise<void> {
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
        controlPlane: link.calls,
        provisioner: this.#provisioner(job, workRoot, redactor, link),
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
  #provisioner(job: JobHeader, workRoot: string, redactor: Redactor, link: Link): Provisioner {
    return {
      open: async (options, signal) => {
        await requireSpace(workRoot, options);
        const [credentials, bootstrapScripts] = await Promise.all([
          credentialsFor(this.facts.credentials, job, signal),
          this.#scripts(link, signal),
        ]);
        redactor.add(credentials.secrets);
        const environment = { ...credentials.variables, ...this.parts.job.environment };
        const trace = { ...job.traceMetadata };
        const settings = { ...this.parts.job, environment, workRoot, bootstrapScripts, trace };
        return this.parts.workers.provisioner(settings).open(options, signal);
      },
    };
  }

  /** The deployment's scripts where it hands any out in time; they are fetched once per connection. */
  async #scripts(link: Link, signal: AbortSignal): Promise<Record<string, string>> {
    const late = new AbortController();
    using _timer = this.surroundings.clock.after(scriptsWaitMs, () => late.abort(new Error("the scripts are late")));
    using either = anySignal(signal, late.signal);
    const scripts = await link.initScripts(either.signal).catch(() => undefined);
    signal.throwIfAborted();
    return { ...scripts };
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
