import { isAddress, logPattern } from "../checks.ts";
import { choice, duration, list, text, toggle, whole } from "../setting.ts";

/** Folders, life and voice of the agent itself. */
export const agentSettings = {
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
  once: toggle({
    env: ["OUTPOST_ONCE"],
    flag: "once",
    help: "end after one job",
  }),
  maxJobs: whole({
    env: ["OUTPOST_MAX_JOBS"],
    flag: "max-jobs",
    fallback: 0,
    min: 0,
    max: 1_000_000,
    help: "end after this many jobs; 0 for no end",
  }),
  idleExit: duration({
    env: ["OUTPOST_IDLE_EXIT"],
    flag: "idle-exit",
    fallbackMs: 0,
    fallbackText: "off",
    help: "end when no job has come for this long",
  }),
  exitWhenRefused: duration({
    env: ["OUTPOST_EXIT_WHEN_REFUSED"],
    flag: "exit-when-refused",
    fallbackMs: 0,
    fallbackText: "off",
    help: "end with code 77 when the key has been refused for this long after a first success",
  }),
  verbose: toggle({
    env: ["OUTPOST_VERBOSE", "CODER_PROVISIONER_DAEMON_VERBOSE", "CODER_VERBOSE"],
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
  logHuman: text({
    env: ["OUTPOST_PROVISIONER_DAEMON_LOGGING_HUMAN", "CODER_PROVISIONER_DAEMON_LOGGING_HUMAN"],
    flag: "log-human",
    argument: "PATH",
    help: "log for people into this file; /dev/stdout and /dev/stderr are the streams, /dev/null is none",
  }),
  logJson: text({
    env: ["OUTPOST_PROVISIONER_DAEMON_LOGGING_JSON", "CODER_PROVISIONER_DAEMON_LOGGING_JSON"],
    flag: "log-json",
    argument: "PATH",
    help: "log as JSON lines into this file",
  }),
  logStackdriver: text({
    env: ["OUTPOST_PROVISIONER_DAEMON_LOGGING_STACKDRIVER", "CODER_PROVISIONER_DAEMON_LOGGING_STACKDRIVER"],
    flag: "log-stackdriver",
    argument: "PATH",
    help: "log in the form of Google Cloud into this file",
  }),
  logFilter: list({
    env: ["OUTPOST_PROVISIONER_DAEMON_LOG_FILTER", "CODER_PROVISIONER_DAEMON_LOG_FILTER"],
    flag: "log-filter",
    argument: "REGEX",
    check: (value) => (logPattern(value) ? undefined : "must be a regular expression"),
    help: "show debug lines whose logger or message matches",
  }),
  jobLogs: choice({
    env: ["OUTPOST_JOB_LOGS"],
    flag: "job-logs",
    words: ["errors", "all", "none"],
    fallback: "errors",
    help: "lines of jobs that are copied into this log",
  }),
  jobLogFolder: text({
    env: ["OUTPOST_JOB_LOG_DIRECTORY"],
    flag: "job-log-dir",
    argument: "PATH",
    help: "keep each job's whole log here, beyond the 1 MiB that the control plane takes",
  }),
  health: text({
    env: ["OUTPOST_HEALTH_ADDRESS"],
    flag: "health-address",
    argument: "HOST:PORT",
    fallback: "127.0.0.1:2113",
    check: (value) =>
      value === "off" || isAddress(value) ? undefined : "must be HOST:PORT, such as 127.0.0.1:2113, or off",
    help: "where /livez and /readyz answer; off for none",
  }),
  prometheusEnable: toggle({
    env: ["OUTPOST_PROMETHEUS_ENABLE", "CODER_PROMETHEUS_ENABLE"],
    flag: "prometheus-enable",
    help: "serve metrics",
  }),
  prometheusAddress: text({
    env: ["OUTPOST_PROMETHEUS_ADDRESS", "CODER_PROMETHEUS_ADDRESS"],
    flag: "prometheus-address",
    argument: "HOST:PORT",
    fallback: "127.0.0.1:2112",
    check: (value) => (isAddress(value) ? undefined : "must be HOST:PORT, such as 127.0.0.1:2112"),
    help: "where metrics are served",
  }),
  metricsPersonalLabels: toggle({
    env: ["OUTPOST_METRICS_PERSONAL_LABELS"],
    flag: "metrics-personal-labels",
    help: "name owners and workspaces in metrics; without it these labels are empty",
  }),
} as const;
