import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { MetadataSchema, WorkspaceTransition } from "../../src/gen/provisioner_pb.ts";
import {
  type AcquiredJob,
  type AcquiredJob_TemplateDryRunSchema,
  type AcquiredJob_TemplateImportSchema,
  type AcquiredJob_WorkspaceBuildSchema,
  AcquiredJobSchema,
} from "../../src/gen/provisionerd_pb.ts";
import type { JobEvent, JobResult } from "../../src/job/events.ts";
import type { JobJournal } from "../../src/job/ports.ts";
import { type JobSettings, runJob } from "../../src/job/run.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import { Redactor } from "../../src/redact/redactor.ts";
import { ScriptedPlane } from "./job-plane.ts";
import { bytes, ScriptedProvisioner, stateOf } from "./job-provisioner.ts";

export const jobId = "0f0f0f0f-0000-4000-8000-000000000001";
const base = { jobId, provisioner: "terraform", userName: "alice", templateSourceArchive: bytes("tar") };

export function importJob(value: MessageInitShape<typeof AcquiredJob_TemplateImportSchema> = {}): AcquiredJob {
  return create(AcquiredJobSchema, { ...base, type: { case: "templateImport", value } });
}

export function dryRunJob(value: MessageInitShape<typeof AcquiredJob_TemplateDryRunSchema> = {}): AcquiredJob {
  return create(AcquiredJobSchema, { ...base, type: { case: "templateDryRun", value } });
}

/** A build: a start with a state, unless told otherwise. */
export function buildJob(
  value: MessageInitShape<typeof AcquiredJob_WorkspaceBuildSchema> = {},
  workspaceTransition = WorkspaceTransition.START,
): AcquiredJob {
  const metadata = create(MetadataSchema, { ...value.metadata, workspaceName: "box", workspaceTransition });
  const filled = { state: bytes(stateOf("original")), ...value, metadata };
  return create(AcquiredJobSchema, { ...base, type: { case: "workspaceBuild", value: filled } });
}

/** What a job put into its journal, in order. */
export class RecordingJournal implements JobJournal {
  readonly entries: string[] = [];
  /** Phases whose record fails. */
  readonly broken = new Set<string>();

  async phase(name: string): Promise<void> {
    if (this.broken.has(name)) throw new Error("no space left on device");
    this.entries.push(name);
  }

  async state(state: Uint8Array): Promise<void> {
    if (this.broken.has("state")) throw new Error("no space left on device");
    this.entries.push(`state ${new TextDecoder().decode(state)}`);
  }

  async terminal({ kind }: { kind: string }): Promise<void> {
    if (this.broken.has("terminal")) throw new Error("no space left on device");
    this.entries.push(`terminal ${kind}`);
  }
}

/** A job on a clock that the test turns, between a scripted control plane and a scripted provisioner. */
export class JobBench {
  readonly clock = new FakeClock();
  readonly plane = new ScriptedPlane(this.clock);
  readonly provisioner = new ScriptedProvisioner();
  readonly journal = new RecordingJournal();
  readonly events: JobEvent[] = [];
  readonly stop = new AbortController();
  readonly kill = new AbortController();
  result: JobResult | undefined;
  readonly settings: JobSettings = {
    heartbeatMs: 4_000,
    flushMs: 250,
    cancelTimeoutMs: 600_000,
    lateComplete: "safe",
  };

  /** Begins the job; a test then turns the clock. */
  begin(acquired: AcquiredJob): void {
    const { plane: controlPlane, provisioner, journal, clock, settings } = this;
    const needs = {
      controlPlane,
      provisioner,
      journal,
      clock,
      settings,
      redactor: new Redactor(),
      random: () => 0.5,
      intro: "outpost 0.1.0, Terraform 1.11.4, isolation none, credentials none",
      onEvent: (event: JobEvent) => void this.events.push(event),
    };
    void runJob(acquired, needs, { stop: this.stop.signal, kill: this.kill.signal }).then((result) => {
      this.result = result;
    });
  }

  /** Turns the clock until the job is over, at most this long. */
  async end(maxMs = 3_600_000): Promise<JobResult> {
    await this.until(() => this.result !== undefined, maxMs);
    return this.result as JobResult;
  }

  /** Begins it and turns the clock until it is over. */
  async run(acquired: AcquiredJob): Promise<JobResult> {
    this.begin(acquired);
    return await this.end();
  }

  /** Turns the clock from timer to timer until this is so. */
  async until(fact: () => boolean, maxMs = 3_600_000): Promise<void> {
    const limit = this.clock.monotonic() + maxMs;
    await this.clock.advance(0);
    while (!fact()) {
      const { next } = this.clock;
      if (next === undefined) throw new Error("nothing waits, and it is not so");
      if (this.clock.monotonic() + next > limit) throw new Error(`it is not so after ${maxMs} ms`);
      await this.clock.advance(next);
    }
  }

  get steps(): string[] {
    return this.provisioner.trace.filter((entry) => !entry.endsWith(" ended"));
  }
}

/** A promise and its resolution. */
export function gate(): { opened: Promise<void>; open: () => void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}
