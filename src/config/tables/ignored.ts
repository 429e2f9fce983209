import { ignored } from "../setting.ts";

/** What Coder's command line takes and ignores, or what has a meaning only there (spec/02 §6.1). */
export const ignoredSettings = {
  pollInterval: ignored({
    env: ["CODER_PROVISIONERD_POLL_INTERVAL"],
    flag: "poll-interval",
    argument: "DURATION",
    fallback: "1s",
  }),
  pollJitter: ignored({
    env: ["CODER_PROVISIONERD_POLL_JITTER"],
    flag: "poll-jitter",
    argument: "DURATION",
    fallback: "100ms",
  }),
  experiments: ignored({ env: ["CODER_EXPERIMENTS"], flag: "experiments", argument: "LIST" }),
  globalConfig: ignored({ env: ["CODER_CONFIG_DIR"], flag: "global-config", argument: "PATH" }),
  useKeyring: ignored({ env: ["CODER_USE_KEYRING"], flag: "use-keyring", argument: "" }),
  noVersionWarning: ignored({ env: ["CODER_NO_VERSION_WARNING"], flag: "no-version-warning", argument: "" }),
} as const;
