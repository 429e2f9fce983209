import { readFile } from "node:fs/promises";
import { Command, InvalidArgumentError } from "commander";
import { type ApiVersion, parseVersion } from "../../contract/versions.ts";
import { exitCode, messageOf, OperatorError } from "../../kit/errors.ts";
import type { PlaneOptions } from "../../plane/options.ts";
import type { Plane } from "../../plane/plane.ts";

interface Flags {
  host: string;
  port: number;
  org: string;
  apiVersion?: ApiVersion;
  coderdExact?: boolean;
  psk?: string;
  tags: string[];
  accessUrl?: string;
  tlsCert?: string;
  tlsKey?: string;
  tlsClientCa?: string;
}

const help = `
Everything is in memory and gone when it ends (Ctrl-C). A template's life with curl; ids come from the answers:
  export P=http://127.0.0.1:7080/api/plane/v1 H="Authorization: Bearer $ADMIN_TOKEN"
  curl -H "$H" $P/organizations/default/keys -d '{"name":"eu","tags":{"region":"eu"}}'    # a key for an agent
  tar -C ./my-template -cf - . | curl -H "$H" $P/organizations/default/templates/demo/versions --data-binary @-
  curl -H "$H" -N $P/jobs/$JOB/follow                          # its log, line by line, until it is over
  curl -H "$H" $P/workspaces -d '{"template_id":"'$TEMPLATE'","name":"dev","parameters":{"cpu":"4"}}'
  curl -H "$H" $P/workspaces/$WORKSPACE/builds -d '{"transition":"stop"}'    # or start, delete
  curl -H "$H" -X POST $P/jobs/$JOB/cancel
  curl -H "$H" $P/builds/$BUILD                                # resources, modules, timings
  curl -H "$H" $P/builds/$BUILD/state                          # PUT replaces it
  curl -H "$H" $P/organizations/default/daemons                # who is connected
Also: POST versions/$VERSION/dry-runs, organizations; DELETE a key; GET jobs, workspaces. Upload takes ?var=k=v and ?tag=k=v.`;

/** `outpost plane`: the embedded control plane as a program, until SIGINT or SIGTERM. */
export function planeCommand(): Command {
  return new Command("plane")
    .description("Run an embedded control plane: something for agents to connect to, in memory, with a small REST API.")
    .option("--host <address>", "listen on this address", "127.0.0.1")
    .option("--port <number>", "listen on this port, 0 for any free one", parsePort, 7080)
    .option("--org <name>", "name of the default organization", "default")
    .option("--api-version <major.minor>", "pose as a server of this API version", parseApiVersion)
    .option("--coderd-exact", "behave as the real server also where it is worse")
    .option("--psk <secret>", "accept this pre-shared key, too")
    .option("--tag <key=value>", "tag of the printed key, repeatable", collect)
    .option("--access-url <url>", "the URL that jobs are told, where it is not the listening address")
    .option("--tls-cert <file>", "serve HTTPS with this certificate (PEM)")
    .option("--tls-key <file>", "its key (PEM)")
    .option("--tls-client-ca <file>", "demand client certificates of this CA (PEM)")
    .addHelpText("after", help)
    .action(async ({ tag, ...flags }: Omit<Flags, "tags"> & { tag?: string[] }) => {
      await run({ ...flags, tags: tag ?? [] });
    });
}

async function run(flags: Flags): Promise<void> {
  const { startPlane } = await import("../../plane/plane.ts");
  const stopped = untilSignal();
  await using plane = await startPlane({
    ...(await tlsOf(flags)),
    host: flags.host,
    port: flags.port,
    organization: flags.org,
    ...(flags.apiVersion ? { apiVersion: flags.apiVersion } : {}),
    coderdExact: flags.coderdExact ?? false,
    ...(flags.psk ? { psk: flags.psk } : {}),
    ...(flags.accessUrl ? { accessUrl: flags.accessUrl } : {}),
  });
  process.stdout.write(greeting(plane, flags.tags));
  await stopped;
}

/** What a person needs to go on; the key and the token are shown here and nowhere else. */
function greeting(plane: Plane, tags: string[]): string {
  const key = plane.createKey("first", Object.fromEntries(tags.map(splitTag)));
  return `control plane  ${plane.url}  in memory
organization   ${plane.organization.name}  ${plane.organization.id}
key            ${key.secret}
admin token    ${plane.adminToken}

connect an agent
  CODER_PROVISIONER_DAEMON_KEY=${key.secret} outpost start --url ${plane.url}
the REST API, with examples
  outpost plane --help
stop: Ctrl-C
`;
}

async function tlsOf({ tlsCert, tlsKey, tlsClientCa }: Flags): Promise<Pick<PlaneOptions, "tls">> {
  if (!tlsCert && !tlsKey && !tlsClientCa) return {};
  if (!tlsCert || !tlsKey) {
    throw new OperatorError("serve HTTPS: a certificate and its key belong together", {
      code: "OUT-PLANE-TLS",
      cure: "give both --tls-cert FILE and --tls-key FILE",
      exit: exitCode.usage,
    });
  }
  const [cert, key, ca] = await Promise.all([readPem(tlsCert), readPem(tlsKey), tlsClientCa && readPem(tlsClientCa)]);
  return { tls: { cert, key, ...(ca ? { ca } : {}) } };
}

const readPem = (path: string): Promise<string> =>
  readFile(path, "utf8").catch((error: unknown) => {
    throw new OperatorError(`read "${path}": ${messageOf(error)}`, {
      code: "OUT-PLANE-TLS",
      exit: exitCode.usage,
      cause: error,
    });
  });

/** The first SIGINT or SIGTERM; a second one ends the process as usual. */
const untilSignal = (): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      process.off("SIGINT", done);
      process.off("SIGTERM", done);
      resolve();
    };
    process.on("SIGINT", done);
    process.on("SIGTERM", done);
  });

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65_535) throw new InvalidArgumentError("must be 0 to 65535");
  return port;
}

function parseApiVersion(text: string): ApiVersion {
  const version = parseVersion(text);
  if (version?.major !== 1 || version.minor > 18) throw new InvalidArgumentError("must be 1.0 to 1.18");
  return version;
}

function collect(text: string, before: string[] = []): string[] {
  if (text.indexOf("=") < 1) throw new InvalidArgumentError("must be of the form key=value");
  return [...before, text];
}

const splitTag = (text: string): [string, string] => [
  text.slice(0, text.indexOf("=")),
  text.slice(text.indexOf("=") + 1),
];
