import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AcquiredJob } from "../../src/gen/provisionerd_pb.ts";
import type { JobEvent, JobResult } from "../../src/job/events.ts";
import { memoryJournal } from "../../src/job/memory-journal.ts";
import type { ControlPlane } from "../../src/job/ports.ts";
import { runJob } from "../../src/job/run.ts";
import { systemClock } from "../../src/kit/clock.ts";
import { Redactor } from "../../src/redact/redactor.ts";
import type { Provisioner } from "../../src/session/types.ts";
import { terraformProvisioner } from "../../src/terraform/provisioner.ts";
import type { TerraformSettings } from "../../src/terraform/settings.ts";
import { mirrorConfig, providerMirror } from "./providers.ts";

/** The Terraform on PATH; undefined where there is none of the version that the recordings were made with. */
export function recordedTerraform(): TerraformSettings["engine"] | undefined {
  try {
    const path = execFileSync("/bin/sh", ["-c", "command -v terraform"], { encoding: "utf8" }).trim();
    const env = { CHECKPOINT_DISABLE: "1", TF_CLI_CONFIG_FILE: "/dev/null", HOME: tmpdir() };
    const { terraform_version: version } = JSON.parse(
      execFileSync(path, ["version", "-json"], { env, encoding: "utf8" }),
    );
    return version === "1.11.4" ? { path, version, flavor: "terraform" } : undefined;
  } catch {
    return undefined;
  }
}

/** Runs jobs with the real engine and the real provider, in this process; jobs share one provider cache. */
export class RealJobs implements AsyncDisposable {
  private constructor(
    readonly folder: string,
    readonly engine: TerraformSettings["engine"],
  ) {}

  static async open(engine: TerraformSettings["engine"]): Promise<RealJobs> {
    return new RealJobs(await mkdtemp(join(tmpdir(), "outpost-real-")), engine);
  }

  provisioner(settings: Partial<TerraformSettings> = {}): Provisioner {
    return terraformProvisioner(
      {
        engine: this.engine,
        workRoot: join(this.folder, "work"),
        cacheRoot: join(this.folder, "cache"),
        environment: { PATH: process.env["PATH"] ?? "" },
        cliConfig: mirrorConfig(providerMirror as string),
        bootstrapScripts: {},
        exitTimeoutMs: 20_000,
        ...settings,
      },
      { clock: systemClock },
    );
  }

  /** Runs one job to its end; nothing interrupts it but what the control plane says. */
  run(
    acquired: AcquiredJob,
    controlPlane: ControlPlane,
    settings: Partial<TerraformSettings> = {},
    onEvent: (event: JobEvent) => void = () => undefined,
  ): Promise<JobResult> {
    const never = new AbortController().signal;
    const needs = {
      controlPlane,
      provisioner: this.provisioner(settings),
      journal: memoryJournal(),
      clock: systemClock,
      random: Math.random,
      redactor: new Redactor(),
      settings: { heartbeatMs: 250, flushMs: 50, cancelTimeoutMs: 60_000, lateComplete: "safe" as const },
      intro: "outpost with the real engine",
      onEvent,
    };
    return runJob(acquired, needs, { stop: never, kill: never });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
