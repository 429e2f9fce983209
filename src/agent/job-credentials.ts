import { JobError, messageOf } from "../kit/errors.ts";
import { runShell } from "../kit/shell.ts";
import type { JobEnvironment } from "./job-environment.ts";

/** Where a job's credentials come from, beside the environment that passes (spec/03 §4.8). */
export interface CredentialSources {
  environment: JobEnvironment;
  /** `NAME=PATH`: the job finds the file's path in the variable. */
  files: readonly string[];
  /** Prints `NAME=VALUE` lines, run once per job; "" for none. */
  command: string;
}

/** Who a job is for: what the command may decide on. */
export interface CredentialJob {
  id: string;
  kind: string;
  forWhom: string;
  template: string;
}

export interface JobCredentials {
  variables: Record<string, string>;
  /** Names of all that is beyond the safe list. */
  passed: string[];
  /** Values that must stand in no log. */
  secrets: string[];
}

/** A helper answers at once or asks a person, whom an agent doesn't have. */
const limits = { timeoutMs: 30_000, outputBytes: 65_536 };

/** Names whose values are secrets by their custom; a region or a role is none, and would be missed in a log. */
const secretName = /secret|token|password|passwd|credential|private|_key$|^key|apikey/i;

/** What one job gets. Throws JobError when the command fails: a job without its credentials would fail later, in worse words. */
export async function credentialsFor(
  sources: CredentialSources,
  job: CredentialJob,
  signal: AbortSignal,
): Promise<JobCredentials> {
  const { environment, files, command } = sources;
  const given = new Map(files.map(pair));
  const minted = command ? await mint(command, environment, job, signal) : new Map<string, string>();
  const variables = { ...environment.variables, ...Object.fromEntries(given), ...Object.fromEntries(minted) };
  const secrets = environment.passed.filter((name) => secretName.test(name)).map((name) => variables[name] ?? "");
  return {
    variables,
    passed: [...new Set([...environment.passed, ...given.keys(), ...minted.keys()])].sort(),
    secrets: [...secrets, ...minted.values()].filter(Boolean),
  };
}

async function mint(
  command: string,
  { variables }: JobEnvironment,
  job: CredentialJob,
  signal: AbortSignal,
): Promise<Map<string, string>> {
  const facts = {
    OUTPOST_JOB_ID: job.id,
    OUTPOST_JOB_KIND: job.kind,
    OUTPOST_JOB_FOR: job.forWhom,
    OUTPOST_JOB_TEMPLATE: job.template,
  };
  let output: string;
  try {
    output = await runShell(command, { ...variables, ...facts }, limits, signal);
  } catch (error) {
    throw new JobError(`credentials of this job: the agent's --job-command: ${messageOf(error)}`, { cause: error });
  }
  const lines = output.split(/\r?\n/).filter((line) => line.trim() !== "");
  const bad = lines.findIndex((line) => !/^[A-Za-z_]\w*=/.test(line));
  if (bad >= 0)
    throw new JobError(`credentials of this job: line ${bad + 1} of the agent's --job-command: must be NAME=VALUE`);
  return new Map(lines.map(pair));
}

const pair = (text: string): [string, string] => {
  const at = text.indexOf("=");
  return [text.slice(0, at), text.slice(at + 1)];
};
