import { Command, Option } from "commander";
import { resolve, settingsError } from "../../config/resolve.ts";
import { connectionSettings } from "../../config/tables/connection.ts";
import { systemClock } from "../../kit/clock.ts";
import { exitCode, OperatorError } from "../../kit/errors.ts";
import { Secret } from "../../kit/secret.ts";
import { parseDeployment } from "../../link/deployment.ts";
import { userAgent } from "../../link/handshake.ts";
import { parseHeaders, runHeaderCommand } from "../../link/header-command.ts";
import { KeyAdmin } from "../../link/key-admin.ts";
import { chooseProxy } from "../../link/proxy.ts";
import type { KeyDetails } from "../../link/rest.ts";
import { readTrust } from "../../link/trust.ts";
import { addSettings } from "../command-settings.ts";
import { version } from "../version.ts";

const { url, organization, headers, headerCommand, caFile, extraCaFile, certFile, certKeyFile } = connectionSettings;
const keysSettings = {
  url,
  organization: { ...organization, help: "the keys' organization: name or id (required)" },
  token: { ...connectionSettings.token, help: "token of a user who may manage provisioner keys (required)" },
  headers,
  headerCommand,
  caFile,
  extraCaFile,
  certFile,
  certKeyFile,
} as const;

/** A name of the control plane's keys has at most this many characters (spec/01 §1.7). */
const maxNameChars = 64;

/** `outpost keys`: the provisioner keys of an organization, for those who may manage them. */
export function keysCommand(): Command {
  const command = new Command("keys").description("Make, list, replace and delete an organization's provisioner keys.");
  command.addHelpText(
    "after",
    `
Examples:
  outpost keys create build --org eu --tag region=eu > key       the key is shown this once
  for org in $(cat organizations); do
    outpost keys create outpost --org $org --secret outpost-$org --namespace coder
  done | kubectl apply -f -
  outpost keys rotate build --org eu > key                       agents with --key-file take it over by themselves
URL and token also come from CODER_URL and CODER_SESSION_TOKEN.`,
  );
  const never = new AbortController().signal;
  command.addCommand(
    withSecret(withSettings("create", "Make a key and print it, or a manifest that holds it."))
      .argument("<name>", "name of the key")
      .option("-t, --tag <key=value>", "tag of the jobs to take, repeatable; none: untagged jobs", collect)
      .action(async (name: string, options: SecretOptions & { tag?: string[] }, made: Command) => {
        checkSecret(options);
        const key = await (await open(made, never)).create(
          name,
          Object.fromEntries((options.tag ?? []).map(pair)),
          never,
        );
        print(key, options);
      }),
  );
  command.addCommand(
    withSettings("list", "Show names, tags and ages.").action(async (_options: unknown, made: Command) => {
      const keys = await (await open(made, never)).list(never);
      for (const line of keyTable(keys, systemClock.now())) process.stdout.write(`${line}\n`);
    }),
  );
  command.addCommand(
    withSecret(withSettings("rotate", "Make a key like another one, print it, and say how to delete the old one."))
      .argument("<name>", "name of the key to replace; it stays until you delete it")
      .action(async (name: string, options: SecretOptions, made: Command) => {
        checkSecret(options);
        const admin = await open(made, never);
        const keys = await admin.list(never);
        const old = keys.find((key) => key.name.toLowerCase() === name.toLowerCase());
        if (!old) throw noSuchKey(name, keys);
        const fresh = successorName(old.name, keys, systemClock.now());
        print(await admin.create(fresh, old.tags, never), options);
        process.stderr.write(
          `key "${fresh}" has the tags of "${old.name}": give it to the agents; when all have moved, delete the old one:\n` +
            `  outpost keys delete ${old.name} --org ${admin.organization}\n`,
        );
      }),
  );
  command.addCommand(
    withSettings("delete", "Delete a key: agents that still use it take no more jobs.")
      .argument("<name>", "name of the key")
      .action(async (name: string, _options: unknown, made: Command) => {
        await (await open(made, never)).delete(name, never);
      }),
  );
  return command;
}

interface SecretOptions {
  secret?: string;
  namespace?: string;
}

const examples: Record<string, string> = {
  create: "outpost keys create build --org eu --tag region=eu > key",
  list: "outpost keys list --org eu",
  rotate: "outpost keys rotate build --org eu > key",
  delete: "outpost keys delete build --org eu",
};

const withSettings = (name: string, description: string) =>
  addSettings(new Command(name).description(description), keysSettings)
    .allowUnknownOption(false)
    .allowExcessArguments(false)
    .addHelpText("after", `\nExample:\n  ${examples[name]}`);

const withSecret = (command: Command) =>
  command
    .option("--secret <name>", 'print a Kubernetes Secret of this name; the key is in its entry "key"')
    .option("--namespace <namespace>", "of the Secret");

/** The administration that a command's settings lead to. Throws OperatorError for what is missing or wrong. */
async function open(command: Command, signal: AbortSignal): Promise<KeyAdmin> {
  const { values, problems } = resolve(keysSettings, flagsOf(command), process.env);
  const missing = [
    { place: "CODER_URL (--url)", absent: !values.url },
    { place: "CODER_SESSION_TOKEN (--token)", absent: !values.token },
    { place: "CODER_ORGANIZATION (--org)", absent: !values.organization },
  ];
  const found = [
    ...problems,
    ...missing.flatMap(({ place, absent }) => (absent ? [{ place, text: "is missing" }] : [])),
  ];
  if (found.length > 0) throw settingsError(found);
  const environment = process.env;
  const deployment = parseDeployment(values.url);
  const trust = await readTrust(
    {
      caFile: values.caFile,
      extraCaFile: values.extraCaFile,
      certFile: values.certFile,
      keyFile: values.certKeyFile,
    },
    environment,
  );
  const fresh = values.headerCommand
    ? await runHeaderCommand(values.headerCommand, deployment.origin.href, environment, signal)
    : [];
  return new KeyAdmin({
    deployment,
    connector: {
      context: trust.context,
      proxy: chooseProxy(deployment.origin, environment),
      secure: deployment.secure,
    },
    headers: [...parseHeaders(values.headers, "--header"), ...fresh],
    token: new Secret(values.token),
    organization: values.organization,
    userAgent: userAgent(version, `${process.platform}/${process.arch === "x64" ? "amd64" : process.arch}`),
    clock: systemClock,
  });
}

function flagsOf(command: Command): Record<string, string | string[] | undefined> {
  return Object.fromEntries(
    Object.values(keysSettings).map(({ flag }) => [
      flag,
      command.getOptionValue(new Option(`--${flag} <value>`).attributeName()) as string | string[] | undefined,
    ]),
  );
}

/** The key goes to the standard output and nowhere else. */
function print(key: Secret, { secret, namespace }: SecretOptions): void {
  process.stdout.write(secret ? secretManifest(key, secret, namespace) : `${key.reveal()}\n`);
}

/** A Secret that a volume of the agent's pod can mount; a document of its own, so that several make one stream. */
export function secretManifest(key: Secret, name: string, namespace?: string): string {
  return [
    "---",
    "apiVersion: v1",
    "kind: Secret",
    "metadata:",
    `  name: ${JSON.stringify(name)}`,
    ...(namespace ? [`  namespace: ${JSON.stringify(namespace)}`] : []),
    "type: Opaque",
    "stringData:",
    `  key: ${JSON.stringify(key.reveal())}`,
    "",
  ].join("\n");
}

/** Before a key is made that nobody could use. */
function checkSecret({ secret, namespace }: SecretOptions): void {
  const wrong = (place: string, what: string) =>
    settingsError([{ place, text: `${what}, as Kubernetes names things` }]);
  const part = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?";
  if (secret !== undefined && (secret.length > 253 || !new RegExp(`^${part}(?:\\.${part})*$`).test(secret)))
    throw wrong("--secret", `"${secret}" should be lower-case letters, digits, inner hyphens and dots`);
  if (namespace === undefined) return;
  if (secret === undefined) throw settingsError([{ place: "--namespace", text: "only with --secret" }]);
  if (namespace.length > 63 || !new RegExp(`^${part}$`).test(namespace))
    throw wrong("--namespace", `"${namespace}" should be lower-case letters, digits and inner hyphens`);
}

/** The name of a key that takes the place of another: its name with today's date, and a number where that is taken. */
export function successorName(old: string, keys: readonly KeyDetails[], nowMs: number): string {
  const date = new Date(nowMs).toISOString().slice(0, 10);
  const taken = new Set(keys.map(({ name }) => name.toLowerCase()));
  const base = old.replace(/-\d{4}-\d\d-\d\d(-\d+)?$/, "");
  for (let number = 1; ; number++) {
    const suffix = number === 1 ? `-${date}` : `-${date}-${number}`;
    const name = `${base.slice(0, maxNameChars - suffix.length)}${suffix}`;
    if (!taken.has(name.toLowerCase())) return name;
  }
}

/** Names, tags and ages in columns. */
export function keyTable(keys: readonly KeyDetails[], nowMs: number): string[] {
  const rows = keys.map(({ name, tags, createdAt }) => [
    name,
    Object.entries(tags)
      .map(([key, value]) => `${key}=${value}`)
      .join(" ") || "none: untagged jobs",
    Number.isNaN(createdAt) ? "unknown" : ageWords(nowMs - createdAt),
  ]);
  const all = [["NAME", "TAGS", "AGE"], ...rows];
  const widths = [0, 1].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "));
}

/** Days are what a key's age is measured in; a young one has minutes or hours. */
function ageWords(ms: number): string {
  const minutes = Math.max(0, Math.floor(ms / 60_000));
  if (minutes < 120) return `${minutes} min`;
  return minutes < 2_880 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1_440)} days`;
}

function noSuchKey(name: string, keys: readonly KeyDetails[]): OperatorError {
  const names = keys.map((key) => key.name);
  return new OperatorError(`rotate key "${name}": there is none of that name`, {
    code: "OUT-KEY-NAME",
    cure: names.length > 0 ? `one of: ${names.slice(0, 20).join(", ")}` : `outpost keys create ${name}`,
    exit: exitCode.usage,
  });
}

function collect(text: string, before: string[] = []): string[] {
  if (text.indexOf("=") < 1) throw settingsError([{ place: "--tag", text: `"${text}" should be key=value` }]);
  return [...before, text];
}

const pair = (text: string): [string, string] => [text.slice(0, text.indexOf("=")), text.slice(text.indexOf("=") + 1)];
