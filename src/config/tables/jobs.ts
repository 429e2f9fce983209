import { isPair, isUrl } from "../checks.ts";
import { choice, duration, list, text, toggle, whole } from "../setting.ts";

/** How jobs run, and what they may see. */
export const jobsSettings = {
  slots: whole({
    env: ["OUTPOST_SLOTS"],
    flag: "slots",
    fallback: 1,
    min: 1,
    max: 64,
    help: "jobs that run at the same time",
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
  isolation: choice({
    env: ["OUTPOST_ISOLATION"],
    flag: "isolation",
    words: ["auto", "process", "none"],
    fallback: "auto",
    help: "where jobs run: a process of their own, or inside the agent",
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
} as const;
