import { writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { basename, resolve as resolvePath } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { packTemplate } from "../../archive/pack.ts";
import { systemClock } from "../../kit/clock.ts";
import { exitCode, OperatorError, RefusedError } from "../../kit/errors.ts";
import type { LifeEvent } from "../../local/events.ts";
import { Life, type LifeRequest } from "../../local/life.ts";
import { screen } from "../../local/screen.ts";
import { describe } from "../run/describe.ts";
import { checkInputs } from "../run/inputs.ts";
import { LocalSetting } from "../run/local-setting.ts";
import { readPairs } from "../run/pairs.ts";
import { localTags } from "../run/tags.ts";
import { templateFiles } from "../run/template-files.ts";
import { type Terminal, terminalOf } from "../terminal.ts";
import { version } from "../version.ts";

interface RunFlags {
  param: string[];
  paramFile?: string;
  var: string[];
  varFile?: string;
  owner: string;
  group: string[];
  workspace: string;
  tag: string[];
  externalAuth: string[];
  until?: LifeRequest["until"];
  keep?: boolean;
  json?: boolean;
  verbose?: boolean;
  engine?: string;
}

const collect = (value: string, before: string[]) => [...before, value];

/** `outpost run DIR`: a template's whole life here: plane and agent in one process. */
export function runCommand(): Command {
  return lifeOptions(new Command("run"))
    .description("Run a template's whole life here: import, start, stop, delete, with an embedded control plane.")
    .argument("<dir>", "folder of the template")
    .addHelpText(
      "after",
      `
Makes REAL resources with the credentials of this shell, and destroys them at the end.

Examples:
  outpost run ./my-template --param size=large --var region=eu
  outpost run ./my-template --until plan --json          make nothing, one event per line

Ends with 0 only if every job succeeded. Ctrl-C cancels and cleans up; twice, it kills.`,
    )
    .action((dir: string, flags: RunFlags) => live(dir, flags, undefined));
}

/** What \`npm start\` shows: the same life, with what was set up before and what to do next. */
export function demoCommand(): Command {
  return lifeOptions(new Command("demo"))
    .argument("<dir>")
    .action((dir: string, flags: RunFlags) => live(dir, flags, JSON.parse(process.env["OUTPOST_SETUP"] ?? "[]")));
}

function lifeOptions(command: Command): Command {
  return command
    .option("--param <name=value>", "value of a coder_parameter, repeatable", collect, [] as string[])
    .option("--param-file <file>", "YAML or JSON file of parameter values")
    .option("--var <name=value>", "value of a template variable, repeatable", collect, [] as string[])
    .option("--var-file <file>", "YAML or JSON file of variable values")
    .option("--owner <name>", "owner of the workspace", defaultOwner())
    .option("--group <name>", "group of the owner, repeatable", collect, ["Everyone"])
    .option("--workspace <name>", "name of the workspace", "dev")
    .option("--tag <key=value>", "tag of the key and of the jobs, repeatable", collect, [] as string[])
    .option(
      "--external-auth <id=token>",
      "access token of the owner for a coder_external_auth, repeatable",
      collect,
      [] as string[],
    )
    .option("--until <job>", "end after import, plan (a dry run) or start", untilWord)
    .option("--keep", "do not stop and delete at the end; the state is written beside you")
    .option("--engine <path>", "Terraform or OpenTofu binary")
    .option("--json", "one event per line instead of a screen")
    .option("-v, --verbose", "show what init and debug levels say, too");
}

async function live(dir: string, flags: RunFlags, setUp: Array<[string, string]> | undefined): Promise<void> {
  const terminal = terminalOf(process.stdout, process.env);
  const show = flags.json
    ? (event: LifeEvent) => terminal.write(JSON.stringify(event))
    : screen(terminal, flags.verbose ?? false);
  if (setUp && !flags.json)
    terminal.write(`Outpost ${version}${setUp.length > 0 ? " · first run, setting up once" : ""}`);
  const folder = resolvePath(dir);
  const { archive } = await packTemplate(folder);
  const parameters = await readPairs("--param", flags.param, flags.paramFile);
  const variables = await readPairs("--var", flags.var, flags.varFile);
  const files = await templateFiles(folder);
  checkInputs(dir, files, { parameters, variables });
  const tags = localTags(flags.tag, files);

  const interrupt = new AbortController();
  await using local = await LocalSetting.open(
    { tags, engine: flags.engine ?? "", onDownload: progress(terminal) },
    interrupt.signal,
  );
  const onSignal = (signal: NodeJS.Signals) => {
    if (interrupt.signal.aborted) return local.kill();
    terminal.write(`${signal}: cancelling and cleaning up; once more kills`);
    interrupt.abort(new Error(signal));
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);

  show({
    kind: "ready",
    lines: [
      ...(setUp ?? []).map(([what, text]) => ({ what, text })),
      { what: "engine", text: local.engineText },
      { what: "template", text: dir },
      { what: "plane", text: local.planeText },
      { what: "agent", text: local.agentText },
    ],
  });
  if (!setUp && !flags.json && flags.until !== "import" && flags.until !== "plan") {
    terminal.write(
      `Makes REAL resources with the credentials of this shell; ${flags.keep ? "keeps them" : "destroys them at the end"}.`,
    );
    terminal.write("Only plan: --until plan     Keep: --keep     Cancel and clean up: Ctrl-C\n");
  }
  const life = new Life({ plane: local.plane, agent: local, describe: describe(terminal), clock: systemClock, show });
  const lived = life.run(
    {
      archive,
      templateName: basename(folder),
      workspaceName: flags.workspace,
      owner: flags.owner,
      groups: flags.group,
      tags,
      variables,
      parameters,
      externalAuth: await readPairs("--external-auth", flags.externalAuth, undefined),
      until: flags.until,
      keep: flags.keep ?? false,
    },
    interrupt.signal,
  );
  // A plane or an agent that ends takes the life with it: nothing would ever come of it.
  const result = await Promise.race([lived, local.failed]).catch((error: unknown) => {
    if (local.killed) return undefined;
    return asUsage(error);
  });
  if (!result) {
    const state = await local.leftState();
    const file = resolvePath(`outpost-${flags.workspace}.tfstate`);
    if (state) await writeFile(file, state, { mode: 0o600 });
    terminal.write(
      `killed: ${state ? `resources may be left; the state of what was made: ${file}` : "no state was left"}`,
    );
    process.exitCode = exitCode.interrupted;
    return;
  }
  const { leftState, interrupted, ...summary } = result;
  const stateFile = leftState && resolvePath(`outpost-${flags.workspace}.tfstate`);
  if (stateFile && leftState) await writeFile(stateFile, leftState, { mode: 0o600 });
  show({ kind: "finished", ...summary, ...(stateFile ? { stateFile } : {}) });
  if (setUp && !flags.json && result.succeeded) for (const line of next) terminal.write(line);
  process.exitCode = interrupted ? exitCode.interrupted : result.succeeded ? exitCode.ok : exitCode.failed;
}

/** What the control plane refuses of a request is what was asked for here. */
function asUsage(error: unknown): never {
  if (!(error instanceof RefusedError)) throw error;
  throw new OperatorError(error.message, {
    code: "OUT-INPUTS",
    cure: "outpost run DIR --until import shows parameters with their types and options",
    exit: exitCode.usage,
    cause: error,
  });
}

const next = [
  "",
  "Next",
  "  npx outpost run ./my-template                your own template, whole life, here",
  "  npx outpost doctor --url https://coder.example.com     what would stand in the way",
  "  npx outpost start --help                     connect a real organization",
];

function defaultOwner(): string {
  const name = userInfo()
    .username.toLowerCase()
    .replaceAll(/[^a-z0-9-]/g, "");
  return name || "me";
}

function untilWord(word: string): LifeRequest["until"] {
  if (word === "import" || word === "plan" || word === "start") return word;
  throw new InvalidArgumentError(`must be import, plan or start, not "${word}"`);
}

/** One line that grows is no line of a log: progress is a line per tenth. */
function progress(terminal: Terminal): (received: number, total: number | undefined) => void {
  let said = -1;
  return (received, total) => {
    const tenth = Math.floor((received / (total ?? 100_000_000)) * 10);
    if (tenth === said) return;
    said = tenth;
    terminal.write(
      `  engine     downloading Terraform: ${(received / 1e6).toFixed(0)}${total ? ` of ${(total / 1e6).toFixed(0)}` : ""} MB`,
    );
  };
}
