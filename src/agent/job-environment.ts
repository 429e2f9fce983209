/** What of the agent's environment a job may see (spec/03 §4.8). */
export interface JobEnvironment {
  variables: Record<string, string>;
  /** Names of what the operator's choice passed beyond the safe list: they stand in the first line of each job's log. */
  passed: string[];
}

/** Passed in every mode: without them no engine finds programs, proxies, CAs or a language. */
const safe = new Set([
  "PATH",
  "LANG",
  "LC_ALL",
  "TZ",
  ...["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"].flatMap((name) => [name, name.toLowerCase()]),
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
]);

/** Never passed unless named: each changes where the engine keeps its data, what it runs or what it tells (spec/03 §4.8). */
const never = [
  /^TF_DATA_DIR$/,
  /^TF_WORKSPACE$/,
  /^TF_CLI_ARGS/,
  /^TF_LOG_PATH$/,
  /^TF_REATTACH_PROVIDERS$/,
  /^TF_APPEND_USER_AGENT$/,
  // The operator's file goes into each job's own configuration instead.
  /^TF_CLI_CONFIG_FILE$/,
  /^TERRAFORM_CONFIG$/,
  /^TF_PLUGIN_CACHE_DIR$/,
];

/** Of ours: the key and all our settings. A job sees the CODER_ variables of its own build only. */
const ours = /^(CODER_|OUTPOST_)/;

/**
 * `explicit`: the safe list and the names that the operator lists (`NAME*` is a prefix).
 * `ambient`: everything but ours and the never-list; what is listed passes even so.
 * Values of ours never pass, under whatever name: `secrets` are looked for in the result.
 */
export function jobEnvironment(
  mode: "explicit" | "ambient",
  listed: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  secrets: readonly string[],
): JobEnvironment {
  const isListed = (name: string) =>
    listed.some((entry) => (entry.endsWith("*") ? name.startsWith(entry.slice(0, -1)) : name === entry));
  const variables: Record<string, string> = {};
  const passed: string[] = [];
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined || ours.test(name)) continue;
    const ambient = mode === "ambient" && !never.some((pattern) => pattern.test(name));
    if (!safe.has(name) && !ambient && !isListed(name)) continue;
    if (secrets.some((secret) => secret !== "" && value.includes(secret))) continue;
    variables[name] = value;
    if (!safe.has(name)) passed.push(name);
  }
  return { variables, passed: passed.sort() };
}
