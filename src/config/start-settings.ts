import type { Problem, Resolved } from "./resolve.ts";
import { choice, duration, list, secretText, text, toggle, whole } from "./setting.ts";

const isUrl = (value: string) => {
  const url = URL.canParse(/^\w+:\/\//.test(value) ? value : `https://${value}`);
  return url ? undefined : "must be a URL such as https://coder.example.com";
};
const isAddress = (value: string) =>
  /^(\S*):(\d{1,5})$/.test(value) && Number(value.slice(value.lastIndexOf(":") + 1)) < 65_536
    ? undefined
    : "must be HOST:PORT, such as 127.0.0.1:2113, or off";
const isPair = (value: string) => (value.includes("=") ? undefined : "must be KEY=VALUE");

/** Every setting of `outpost start` (spec/02 §6.1 for Coder's names, which mean the same here). */
export const startSettings = {
  url: text({
    env: ["OUTPOST_URL", "CODER_URL"],
    flag: "url",
    argument: "URL",
    check: isUrl,
    help: "control plane to connect to (required)",
  }),
  key: secretText({
    env: ["OUTPOST_PROVISIONER_DAEMON_KEY", "CODER_PROVISIONER_DAEMON_KEY"],
    flag: "key",
    argument: "KEY",
    help: "provisioner key of one organization; better in the variable than on a command line",
  }),
  psk: secretText({
    env: ["OUTPOST_PROVISIONER_DAEMON_PSK", "CODER_PROVISIONER_DAEMON_PSK"],
    flag: "psk",
    argument: "PSK",
    help: "deployment-wide pre-shared key (deprecated, use a key)",
  }),
  token: secretText({
    env: ["OUTPOST_SESSION_TOKEN", "CODER_SESSION_TOKEN"],
    flag: "token",
    argument: "TOKEN",
    help: "user token, with --org",
  }),
  organization: text({
    env: ["OUTPOST_ORGANIZATION", "CODER_ORGANIZATION"],
    flag: "org",
    short: "O",
    argument: "ORG",
    help: "organization, only with a user token",
  }),
  name: text({
    env: ["OUTPOST_PROVISIONER_DAEMON_NAME", "CODER_PROVISIONER_DAEMON_NAME"],
    flag: "name",
    argument: "NAME",
    check: (value) =>
      /^(?=.{2,63}$)[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*$/.test(value)
        ? undefined
        : "must be 2 to 63 letters, digits and inner hyphens",
    help: "name of this agent in its organization; default: the one kept in the state folder, else the host name",
  }),
  tags: list({
    env: ["OUTPOST_PROVISIONERD_TAGS", "CODER_PROVISIONERD_TAGS"],
    flag: "tag",
    short: "t",
    argument: "KEY=VALUE",
    check: isPair,
    help: "tag of the jobs to take; not with a key, whose tags count",
  }),
  slots: whole({
    env: ["OUTPOST_SLOTS"],
    flag: "slots",
    fallback: 1,
    min: 1,
    max: 64,
    help: "jobs that run at the same time",
  }),
  cacheFolder: text({
    env: ["OUTPOST_CACHE_DIRECTORY", "CODER_CACHE_DIRECTORY"],
    flag: "cache-dir",
    short: "c",
    argument: "PATH",
    help: "downloaded engine and providers; default: the user's cache folder",
  }),
  stateFolder: text({
    env: ["OUTPOST_STATE_DIRECTORY"],
    flag: "state-dir",
    argument: "PATH",
    help: "what must survive a restart: the agent's name, records of running jobs",
  }),
  workFolder: text({
    env: ["OUTPOST_WORK_DIRECTORY"],
    flag: "work-dir",
    argument: "PATH",
    help: "folders of running jobs; default: inside the system's temporary folder",
  }),
  engine: text({
    env: ["OUTPOST_ENGINE"],
    flag: "engine",
    argument: "PATH",
    help: "Terraform or OpenTofu binary; default: PATH, then the cache, then a verified download",
  }),
  engineMirror: text({
    env: ["OUTPOST_ENGINE_MIRROR"],
    flag: "engine-mirror",
    argument: "URL",
    check: isUrl,
    fallback: "https://releases.hashicorp.com",
    help: "where the engine is downloaded from",
  }),
  engineDownload: toggle({
    env: ["OUTPOST_ENGINE_DOWNLOAD"],
    flag: "engine-download",
    fallback: true,
    help: "download the pinned engine when none is found",
  }),
  credentials: choice({
    env: ["OUTPOST_CREDENTIALS"],
    flag: "credentials",
    words: ["explicit", "ambient"],
    fallback: "explicit",
    help: "what jobs see of this process's environment: only --job-env, or all but secrets of ours",
  }),
  jobEnvironment: list({
    env: ["OUTPOST_JOB_ENV"],
    flag: "job-env",
    argument: "NAME",
    help: "environment variable that jobs may see; NAME* passes a prefix",
  }),
  jobFiles: list({
    env: ["OUTPOST_JOB_FILE"],
    flag: "job-file",
    argument: "NAME=PATH",
    check: isPair,
    help: "file that jobs may use: its path stands in the variable NAME",
  }),
  jobCommand: text({
    env: ["OUTPOST_JOB_COMMAND"],
    flag: "job-command",
    argument: "COMMAND",
    help: "run once per job; the NAME=VALUE lines that it prints are the job's credentials",
  }),
  jobLogFolder: text({
    env: ["OUTPOST_JOB_LOG_DIRECTORY"],
    flag: "job-log-dir",
    argument: "PATH",
    help: "keep each job's whole log here, beyond the 1 MiB that the control plane takes",
  }),
  isolation: choice({
    env: ["OUTPOST_ISOLATION"],
    flag: "isolation",
    words: ["auto", "process", "none"],
    fallback: "auto",
    help: "where jobs run: a process of their own, or inside the agent",
  }),
  headers: list({
    env: ["OUTPOST_HEADER", "CODER_HEADER"],
    flag: "header",
    argument: "NAME=VALUE",
    check: isPair,
    help: "header added to every request",
  }),
  headerCommand: text({
    env: ["OUTPOST_HEADER_COMMAND", "CODER_HEADER_COMMAND"],
    flag: "header-command",
    argument: "COMMAND",
    help: "command that prints NAME=VALUE headers, run before each connection",
  }),
  caFile: text({
    env: ["OUTPOST_CLIENT_TLS_CA_FILE", "CODER_CLIENT_TLS_CA_FILE"],
    flag: "client-tls-ca-file",
    argument: "PATH",
    help: "CAs to trust instead of the system's",
  }),
  extraCaFile: text({
    env: ["OUTPOST_EXTRA_CA_FILE"],
    flag: "extra-ca-file",
    argument: "PATH",
    help: "CAs to trust besides the system's",
  }),
  certFile: text({
    env: ["OUTPOST_CLIENT_TLS_CERT_FILE", "CODER_CLIENT_TLS_CERT_FILE"],
    flag: "client-tls-cert-file",
    argument: "PATH",
    help: "client certificate",
  }),
  certKeyFile: text({
    env: ["OUTPOST_CLIENT_TLS_KEY_FILE", "CODER_CLIENT_TLS_KEY_FILE"],
    flag: "client-tls-key-file",
    argument: "PATH",
    help: "key of the client certificate",
  }),
  health: text({
    env: ["OUTPOST_HEALTH_ADDRESS"],
    flag: "health-address",
    argument: "HOST:PORT",
    fallback: "127.0.0.1:2113",
    check: (value) => (value === "off" ? undefined : isAddress(value)),
    help: "where /livez and /readyz answer; off for none",
  }),
  exitWhenRefused: duration({
    env: ["OUTPOST_EXIT_WHEN_REFUSED"],
    flag: "exit-when-refused",
    fallbackMs: 0,
    fallbackText: "off",
    help: "end with code 77 when the key has been refused for this long after a first success",
  }),
  heartbeat: duration({
    env: ["OUTPOST_HEARTBEAT"],
    flag: "heartbeat",
    fallbackMs: 4_000,
    fallbackText: "4s",
    help: "longest time between two updates of a quiet job",
  }),
  jobTimeout: duration({
    env: ["OUTPOST_JOB_TIMEOUT"],
    flag: "job-timeout",
    fallbackMs: 0,
    fallbackText: "off",
    help: "a job that runs longer is interrupted, with its state",
  }),
  silenceTimeout: duration({
    env: ["OUTPOST_SILENCE_TIMEOUT"],
    flag: "silence-timeout",
    fallbackMs: 0,
    fallbackText: "off",
    help: "a job without output for this long is interrupted, with its state",
  }),
  cancelTimeout: duration({
    env: ["OUTPOST_CANCEL_TIMEOUT"],
    flag: "cancel-timeout",
    fallbackMs: 180_000,
    fallbackText: "3m",
    help: "time between the interrupt and the kill of a cancelled job's engine",
  }),
  lateComplete: choice({
    env: ["OUTPOST_LATE_COMPLETE"],
    flag: "late-complete",
    words: ["safe", "complete"],
    fallback: "safe",
    help: "how a job is reported that succeeded after a long outage (docs/outages.md)",
  }),
  verbose: toggle({
    env: ["OUTPOST_VERBOSE", "CODER_PROVISIONER_DAEMON_VERBOSE"],
    flag: "verbose",
    short: "v",
    help: "debug lines in the log",
  }),
  logFormat: choice({
    env: ["OUTPOST_LOG_FORMAT"],
    flag: "log-format",
    words: ["auto", "human", "json"],
    fallback: "auto",
    help: "human on a terminal, JSON elsewhere",
  }),
  pollInterval: text({
    env: ["CODER_PROVISIONERD_POLL_INTERVAL"],
    flag: "poll-interval",
    argument: "DURATION",
    help: "accepted and ignored, as Coder does",
  }),
  pollJitter: text({
    env: ["CODER_PROVISIONERD_POLL_JITTER"],
    flag: "poll-jitter",
    argument: "DURATION",
    help: "accepted and ignored, as Coder does",
  }),
} as const;

export type StartSettings = Resolved<typeof startSettings>["values"];

/** Rules between settings, in the order of spec/02 §6.1; each names the thing and the cure. */
export function startProblems({ values: v, sources }: Resolved<typeof startSettings>): Problem[] {
  const problems: Problem[] = [];
  const add = (place: string, problem: string) => problems.push({ place, text: problem });
  if (!v.url && sources.url === "default")
    add("CODER_URL (--url)", "is missing: the URL of the control plane, such as https://coder.example.com");
  const credentials = [v.key, v.psk, v.token].filter(Boolean).length;
  if (credentials === 0)
    add(
      "CODER_PROVISIONER_DAEMON_KEY (--key)",
      "is missing: make one with coder provisioner keys create NAME --org ORG",
    );
  if (v.key && v.psk) add("--key, --psk", "only one of them: remove the PSK");
  if (v.key && v.tags.length > 0) add("--tag", "not with a key: the key's own tags count; make a key with these tags");
  if (v.organization && (v.key || v.psk)) add("--org", "only with a user token: a key belongs to its organization");
  if (v.psk && v.tags.some((tag) => tag.startsWith("scope=user")))
    add("--tag scope=user", "not with a PSK: it would match nobody's jobs");
  if (Boolean(v.certFile) !== Boolean(v.certKeyFile))
    add("--client-tls-cert-file, --client-tls-key-file", "only together");
  return problems;
}
