import { isPair, isUrl } from "../checks.ts";
import { choice, list, secretText, text } from "../setting.ts";

const namePattern = /^(?=.{2,63}$)[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*$/;

/** How the control plane is reached, and who we are there. */
export const connectionSettings = {
  configFile: {
    ...text({
      env: ["OUTPOST_CONFIG"],
      flag: "config",
      argument: "FILE",
      help: "YAML file of settings, named as the flags are; flags and variables come first",
    }),
    // A file does not name another.
    schema: undefined,
  },
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
  keyFile: text({
    env: ["OUTPOST_KEY_FILE"],
    flag: "key-file",
    argument: "PATH",
    help: "file that holds the provisioner key, read again when it changes",
  }),
  keyCommand: text({
    env: ["OUTPOST_KEY_COMMAND"],
    flag: "key-command",
    argument: "COMMAND",
    help: "command that prints the provisioner key",
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
    check: (value) => (namePattern.test(value) ? undefined : "must be 2 to 63 letters, digits and inner hyphens"),
    help: "name of this agent in its organization; default: the one kept in the state folder, else the host name",
  }),
  identity: choice({
    env: ["OUTPOST_IDENTITY"],
    flag: "identity",
    words: ["shared", "per-slot"],
    fallback: "shared",
    help: "one name for all slots, or NAME-1 to NAME-N, each of one slot, which show as idle daemons",
  }),
  tags: list({
    env: ["OUTPOST_PROVISIONERD_TAGS", "CODER_PROVISIONERD_TAGS"],
    flag: "tag",
    short: "t",
    argument: "KEY=VALUE",
    check: isPair,
    help: "tag of the jobs to take; not with a key, whose tags count",
  }),
  headers: list({
    env: ["OUTPOST_HEADER", "CODER_HEADER"],
    flag: "header",
    argument: "NAME=VALUE",
    check: isPair,
    secret: true,
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
} as const;
