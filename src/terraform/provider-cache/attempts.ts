/**
 * How `init` gets its providers.
 *
 *  - cache: versions from where the operator says, packages from the cache if they are there
 *  - without cache: as if there were none
 *  - offline: versions and packages from the cache only
 */
export type Attempt = "cache" | "without cache" | "offline";

export interface NextAttempt {
  attempt: Attempt;
  /** One line for the job's log. */
  say: string;
}

/**
 * What to try after an `init` with the cache that failed with this text (the diagnostics' summaries and details, as
 * JSON or wrapped for people): undefined where the cache is not to blame and can't help. The texts are those of
 * Terraform 1.11 and OpenTofu 1.6. Credentials that a registry refuses are nobody's outage, so there is no offline try
 * for them.
 */
export function nextAttempt(failure: string, attempt: Attempt): NextAttempt | undefined {
  if (attempt !== "cache") return undefined;
  const text = failure.replaceAll(/[\s│]+/g, " ");
  if (/shared cache|text file busy/i.test(text)) {
    return { attempt: "without cache", say: "A cached provider was not accepted: downloading the providers anew." };
  }
  const asked = /Failed to (query available|resolve) provider packages|Error while installing/.test(text);
  if (asked && away.test(text) && !refused.test(text)) {
    return {
      attempt: "offline",
      say: "The provider registry can't be reached: trying with what the provider cache holds, which may be older versions.",
    };
  }
  return undefined;
}

const away =
  /could not connect to|the request failed|try again later|bad response code: 5\d\d|dial tcp|timeout|deadline exceeded|connection reset|: EOF\b/i;
const refused = /401 Unauthorized|403 Forbidden|bad response code: 40[13]|unauthorized/i;

/**
 * The CLI configuration of one attempt. `folder` is the job's own plugin cache; `operatorBlocks` are the operator's
 * installation, credentials and host blocks as they stand. One file serves all commands of a job (spec/03 §10 row 7).
 */
export function cliConfigFor(attempt: Attempt, folder: string | undefined, operatorBlocks: string): string {
  const head = "disable_checkpoint = true\n";
  if (folder === undefined || attempt === "without cache") return `${head}${operatorBlocks}\n`;
  // Terraform reads JSON's escapes.
  const path = JSON.stringify(folder);
  if (attempt === "offline") {
    // The operator's own installation can't be reached now; hosts and credentials would not be asked.
    return `${head}provider_installation {\n  filesystem_mirror {\n    path = ${path}\n  }\n}\n`;
  }
  // Without the last setting a package without a matching lock entry is unpacked over the cached one, in place
  // (spec/03 §9.4). With it Terraform never writes to a file that was there before.
  const cache = `plugin_cache_dir = ${path}\nplugin_cache_may_break_dependency_lock_file = true\n`;
  return `${head}${cache}${operatorBlocks}\n`;
}

/**
 * The summary of a warning that Terraform gives when it takes a package from the cache without a lock entry. It is
 * about the lock file that the job throws away: no news for anyone, so leave it out of the job's log.
 */
export const cacheWarning = "Incomplete lock file information for providers";
