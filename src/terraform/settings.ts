import type { ExtractLimits } from "../archive/extract.ts";

/**
 * What the provisioner must know of its surroundings, as data: the agent writes it as JSON, the worker reads it.
 * Nothing comes by the worker's own environment.
 */
export interface TerraformSettings {
  /** The binary that runs. Its version was asked for once, by the agent (spec/03 §2.4). */
  engine: { path: string; version: string; flavor: "terraform" | "opentofu" };
  /** Absolute folder that holds the session folders; made where it is missing. */
  workRoot: string;
  /** Absolute folder of the provider cache, which jobs and agents share; "" for none. */
  cacheRoot: string;
  /** What of the agent's environment a job may see, already decided: PATH, proxies, CA bundle, what the operator listed. */
  environment: Record<string, string>;
  /** Blocks of the operator's CLI configuration: provider_installation, credentials, host. May be empty. */
  cliConfig: string;
  /** Bootstrap scripts as the deployment hands them out, by `linux_amd64` and so on; a missing one is ours (spec/03 §4.6). */
  bootstrapScripts: Record<string, string>;
  /** From the interrupt to the kill. Must stay under the five minutes after which the control plane gives a job up. */
  exitTimeoutMs: number;
  /** Least gap between two states that are handed over while an apply runs; 1 s by default. */
  stateIntervalMs?: number;
  /** Limits of the template's archive, where they differ from the usual ones. */
  templateLimits?: Partial<ExtractLimits>;
  /** Limits of the module archive, where they differ from the usual ones. */
  moduleLimits?: Partial<ExtractLimits>;
  /** Biggest state that is read, 60 MiB by default. The control plane takes 4 MiB; above that the agent can still keep it. */
  maxStateBytes?: number;
  /** Biggest output of `show -json` or `graph` that is collected; 60 MiB by default, what a worker's message can hold. */
  maxOutputBytes?: number;
  /** Trace context of the job as `traceparent`, `tracestate`, `baggage`; empty without tracing (spec/03 §4.7). */
  trace?: Record<string, string>;
  /** Further variables for every engine process, such as GOGC or TF_DISABLE_PLUGIN_TLS: faster, but not for everyone. */
  tuning?: Record<string, string>;
  /** Leaves the job's folders behind: for an agent that removes the work root itself once the job is told. */
  keepFolder?: boolean;
}

/** Settings with nothing left open. */
export type CompleteSettings = Required<TerraformSettings>;

/** Fills in the usual values. */
export function completeSettings(settings: TerraformSettings): CompleteSettings {
  return {
    stateIntervalMs: 1000,
    templateLimits: {},
    moduleLimits: {},
    maxStateBytes: 60 * 1024 * 1024,
    maxOutputBytes: 60 * 1024 * 1024,
    trace: {},
    tuning: {},
    keepFolder: false,
    ...settings,
  };
}

/** Settings out of the JSON that the agent sent. The agent is of the same build, so the shape is taken as given. */
export function parseTerraformSettings(json: Uint8Array): TerraformSettings {
  return JSON.parse(new TextDecoder().decode(json)) as TerraformSettings;
}
