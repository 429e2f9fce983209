import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { examine } from "../../src/cli/doctor/doctor.ts";
import type { Check } from "../../src/cli/doctor/finding.ts";
import { checkLines } from "../../src/cli/doctor/report.ts";
import { resolve } from "../../src/config/resolve.ts";
import { startSettings } from "../../src/config/start-settings.ts";
import { type Clock, systemClock } from "../../src/kit/clock.ts";

const plain = (text: string) => text;
const page = { red: plain, green: plain, yellow: plain, dim: plain, columns: 100 };

export interface Visit {
  flags?: Record<string, string | readonly string[]>;
  environment?: Record<string, string>;
  pre?: boolean;
  connect?: boolean;
  clock?: Clock;
}

/** What a doctor said. */
export class Diagnosis {
  constructor(readonly checks: readonly Check[]) {}

  /** The check of that name; throws when there was none. */
  named(name: string): Check {
    const found = this.checks.find((check) => check.name === name);
    if (!found) throw new Error(`no check "${name}": ${this.checks.map((check) => check.name)}`);
    return found;
  }

  status(name: string): Check["status"] {
    return this.named(name).status;
  }

  /** The lines of the first failure. */
  get quote(): string[] {
    const failed = this.checks.find((check) => check.status === "fail");
    return failed ? checkLines(failed, page) : [];
  }
}

/** A doctor in folders of its own, which nobody else sees. */
export class DoctorsOffice implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "outpost-doctor-"));

  async visit({ flags = {}, environment = {}, pre = false, connect = false, clock = systemClock }: Visit) {
    const folders = {
      "state-dir": join(this.folder, "state"),
      "cache-dir": join(this.folder, "cache"),
      "work-dir": join(this.folder, "work"),
    };
    const { values, problems } = resolve(startSettings, { ...folders, ...flags }, environment);
    if (problems.length > 0) throw new Error(JSON.stringify(problems));
    const surroundings = {
      environment: { PATH: process.env["PATH"], HOME: this.folder, TF_CLI_CONFIG_FILE: "/dev/null", ...environment },
      clock,
      random: Math.random,
      version: "0.0.0-test",
      hostName: "doctors-office",
    };
    const checks = await examine({ start: values, pre, connect }, surroundings, () => undefined);
    return new Diagnosis(checks);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
