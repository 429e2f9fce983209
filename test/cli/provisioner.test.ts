import { Command } from "commander";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { provisionerCommands } from "../../src/cli/commands/provisioner.ts";
import { type StartSettings, startSettings } from "../../src/config/start-settings.ts";
import { OperatorError } from "../../src/kit/errors.ts";

const key = "k".repeat(43);
const login = { CODER_URL: "https://coder.example.com", CODER_PROVISIONER_DAEMON_KEY: key };

beforeEach(() => {
  for (const name of Object.keys(process.env))
    if (/^(CODER|OUTPOST|HOMEBREW)_|^(XDG_CACHE_HOME|CACHE_DIRECTORY)$/.test(name)) vi.stubEnv(name, undefined);
  vi.stubEnv("HOME", "/home/me");
});
afterEach(() => vi.unstubAllEnvs());

/** The settings that one command line gives, or the error that ends it. */
async function settingsOf(
  args: string,
  environment: Record<string, string> = login,
  start: () => Promise<void> = async () => undefined,
): Promise<StartSettings> {
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
  let settings: StartSettings | undefined;
  const root = new Command("outpost").exitOverride();
  for (const command of provisionerCommands(async (given) => {
    settings = given;
    await start();
  }))
    root.addCommand(command);
  await root.parseAsync(args.split(" ").filter(Boolean), { from: "user" });
  if (!settings) throw new Error("start was not called");
  return settings;
}

type Row = [
  flag: string,
  variable: string,
  text: string,
  setting: keyof StartSettings,
  value: unknown,
  fallback: unknown,
];

describe("02#82 Coder's flags and variables, with their defaults", () => {
  const rows: Row[] = [
    ["--cache-dir", "CODER_CACHE_DIRECTORY", "/c", "cacheFolder", "/c", "/home/me/.cache/coder"],
    ["-c", "CODER_CACHE_DIRECTORY", "/c", "cacheFolder", "/c", "/home/me/.cache/coder"],
    ["--poll-interval", "CODER_PROVISIONERD_POLL_INTERVAL", "9s", "pollInterval", "9s", "1s"],
    ["--poll-jitter", "CODER_PROVISIONERD_POLL_JITTER", "nonsense", "pollJitter", "nonsense", "100ms"],
    ["--name", "CODER_PROVISIONER_DAEMON_NAME", "eu-1", "name", "eu-1", ""],
    ["--verbose", "CODER_PROVISIONER_DAEMON_VERBOSE", "", "verbose", true, false],
    ["-v", "CODER_VERBOSE", "", "verbose", true, false],
    ["--log-human", "CODER_PROVISIONER_DAEMON_LOGGING_HUMAN", "/h", "logHuman", "/h", "/dev/stderr"],
    ["--log-json", "CODER_PROVISIONER_DAEMON_LOGGING_JSON", "/j", "logJson", "/j", ""],
    ["--log-stackdriver", "CODER_PROVISIONER_DAEMON_LOGGING_STACKDRIVER", "/s", "logStackdriver", "/s", ""],
    ["--log-filter", "CODER_PROVISIONER_DAEMON_LOG_FILTER", "(?i)a.*,b", "logFilter", ["(?i)a.*", "b"], []],
    ["--prometheus-enable", "CODER_PROMETHEUS_ENABLE", "", "prometheusEnable", true, false],
    ["--prometheus-address", "CODER_PROMETHEUS_ADDRESS", ":9", "prometheusAddress", ":9", "127.0.0.1:2112"],
    ["--experiments", "CODER_EXPERIMENTS", "*", "experiments", "*", ""],
    ["--global-config", "CODER_CONFIG_DIR", "/g", "globalConfig", "/g", ""],
    ["--header", "CODER_HEADER", "A=1,B=2", "headers", ["A=1", "B=2"], []],
    ["--header-command", "CODER_HEADER_COMMAND", "cmd", "headerCommand", "cmd", ""],
    ["--use-keyring", "CODER_USE_KEYRING", "", "useKeyring", "true", ""],
    ["--no-version-warning", "CODER_NO_VERSION_WARNING", "", "noVersionWarning", "true", ""],
    ["--client-tls-ca-file", "CODER_CLIENT_TLS_CA_FILE", "/ca", "caFile", "/ca", ""],
  ];
  test.each(rows)("%s, %s", async (flag, variable, text, setting, value, fallback) => {
    expect((await settingsOf(`provisioner start ${flag} ${text}`))[setting], "flag").toEqual(value);
    expect((await settingsOf("provisionerd start"))[setting], "default").toEqual(fallback);
    const set = await settingsOf("provisionerd start", { ...login, [variable]: text || "true" });
    expect(set[setting], "variable").toEqual(value);
  });

  // These have rules among each other: each row is a start that is allowed.
  const logins: Array<[string, Record<string, string>, Partial<StartSettings>]> = [
    [`--url https://a.example --key ${key}`, {}, { url: "https://a.example", key }],
    ["", login, { url: login.CODER_URL, key }],
    ["--psk p --tag a=1 -t b=2,c=3", { CODER_URL: "a.example" }, { psk: "p", tags: ["a=1", "b=2", "c=3"] }],
    [
      "-t a=1",
      { CODER_URL: "a.example", CODER_PROVISIONER_DAEMON_PSK: "p", CODER_PROVISIONERD_TAGS: "b=2=2,c=3" },
      { psk: "p", tags: ["a=1", "b=2=2", "c=3"] },
    ],
    ["--token t -O acme", { CODER_URL: "a.example" }, { token: "t", organization: "acme" }],
    ["--token t --org acme", { CODER_URL: "a.example" }, { token: "t", organization: "acme" }],
    [
      "",
      { CODER_URL: "a.example", CODER_SESSION_TOKEN: "t", CODER_ORGANIZATION: "acme" },
      { token: "t", organization: "acme" },
    ],
    ["--client-tls-cert-file /c --client-tls-key-file /k", login, { certFile: "/c", certKeyFile: "/k" }],
    [
      "",
      { ...login, CODER_CLIENT_TLS_CERT_FILE: "/c", CODER_CLIENT_TLS_KEY_FILE: "/k" },
      { certFile: "/c", certKeyFile: "/k" },
    ],
  ];
  test.each(logins)("%s %j", async (args, environment, expected) => {
    for (const group of ["provisioner", "provisioners", "provisionerd"])
      expect(await settingsOf(`${group} start ${args}`, environment)).toMatchObject(expected);
  });

  test("templates see the environment, jobs' lines are copied, logs are for people on stderr", async () => {
    expect(await settingsOf("provisioner start")).toMatchObject({
      credentials: "ambient",
      jobLogs: "all",
      logFormat: "human",
      logHuman: "/dev/stderr",
      slots: 1,
    });
    expect(startSettings.jobLogs.read([])).toBe("errors");
    expect(startSettings.credentials.read([])).toBe("explicit");
  });

  test("an empty --log-human is none", async () => {
    expect((await settingsOf("provisioner start --log-human=")).logHuman).toBe("/dev/null");
  });

  test("systemd's cache folder comes before the user's", async () => {
    const set = { ...login, XDG_CACHE_HOME: "/xdg" };
    expect((await settingsOf("provisionerd start", set)).cacheFolder).toBe("/xdg/coder");
    const systemd = { ...set, CACHE_DIRECTORY: "/var/cache" };
    expect((await settingsOf("provisionerd start", systemd)).cacheFolder).toBe("/var/cache/coder");
  });

  test("a flag beats a variable, ours beats Coder's, lists of both add up; HOMEBREW_ is not read", async () => {
    const set = { ...login, CODER_PROVISIONER_DAEMON_NAME: "b", OUTPOST_PROVISIONER_DAEMON_NAME: "ours" };
    expect((await settingsOf("provisioner start --name flag", set)).name).toBe("flag");
    expect((await settingsOf("provisioner start", set)).name).toBe("ours");
    const more = { ...login, CODER_HEADER: "B=2", HOMEBREW_CODER_HEADER: "C=3", HOMEBREW_CODER_CACHE_DIRECTORY: "/x" };
    const { headers, cacheFolder } = await settingsOf("provisioner start --header A=1", more);
    expect({ headers, cacheFolder }).toEqual({ headers: ["A=1", "B=2"], cacheFolder: "/home/me/.cache/coder" });
  });
});

const failure = (args: string, environment: Record<string, string>, start?: () => Promise<void>) =>
  settingsOf(args, environment, start).then(
    () => expect.fail("it started"),
    (error: unknown) => error as OperatorError,
  );

describe("02#83 each start rule ends with 1 and a one-line reason", () => {
  const url = { CODER_URL: "https://coder.example.com" };
  test.each<[string, Record<string, string>, RegExp]>([
    ["", { CODER_PROVISIONER_DAEMON_KEY: key }, /^CODER_URL \(--url\): is missing/],
    ["", url, /^CODER_PROVISIONER_DAEMON_KEY \(--key\): is missing/],
    ["--org acme", login, /^--org: only with a user token/],
    ["--org acme --psk p", url, /^--org: only with a user token/],
    ["--psk p", login, /^--key, --psk: only one of them/],
    ["--tag a=1", login, /^--tag: not with a key/],
    ["--psk p --tag a", url, /^--tag "a": must be KEY=VALUE/],
    [`--name ${"n".repeat(65)}`, login, /^--name "n+": must be 2 to 63/],
    ["--name -bad-", login, /^--name "-bad-": must be 2 to 63/],
    ["--client-tls-cert-file /c", login, /^--client-tls-cert-file, --client-tls-key-file: only together/],
    ["--verbos", login, /^--verbos: no such flag; did you mean "--verbose"\?$/],
    ["--prometheus-enable=maybe", login, /^--prometheus-enable "maybe": must be true or false$/],
  ])("%s %j", async (args, environment, reason) => {
    const { exit, message } = await failure(`provisioner start ${args}`, environment);
    expect({ exit, message }).toEqual({ exit: 1, message: expect.stringMatching(reason) });
    expect(message).not.toContain("\n");
  });

  test("several at once stand in Coder's order, still on one line", async () => {
    const { message } = await failure("provisioner start --name x --tag a --psk p --org o", {
      CODER_PROVISIONER_DAEMON_KEY: key,
    });
    expect(message.split("; also ").map((part) => part.split(":", 1)[0])).toEqual([
      "CODER_URL (--url)",
      "--org",
      "--key, --psk",
      '--tag "a"',
      '--name "x"',
    ]);
    expect(message).not.toContain("\n");
  });

  test("whatever the agent refuses at start ends with 1 as well", async () => {
    const refused = async () => {
      throw new OperatorError("the control plane refused the key (401)", { code: "OUT-KEY-UNKNOWN", exit: 77 });
    };
    const error = await failure("provisioner start", login, refused);
    expect(error).toMatchObject({ exit: 1, code: "OUT-KEY-UNKNOWN", message: expect.stringContaining("401") });
  });

  test("no reason shows a secret", async () => {
    const { message } = await failure("provisioner start --header s3cret --kye=s3cret --psk s3cret", {
      ...login,
      CODER_URL: "https://me:s3cret@x:y",
    });
    expect(message).not.toContain("s3cret");
  });
});

test("each command's help has an example", () => {
  for (const group of provisionerCommands(async () => undefined)) {
    for (const command of [group, ...group.commands]) {
      let shown = "";
      command.configureOutput({ writeOut: (text) => (shown += text) }).outputHelp();
      expect(shown).toContain(`outpost ${group.name()} start`);
      expect(shown).toContain("Example");
    }
  }
});
