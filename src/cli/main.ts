import { Command, CommanderError } from "commander";
import { type ExitCode, exitCode, OperatorError } from "../kit/errors.ts";
import { errorLines, terminalOf } from "./terminal.ts";
import { version } from "./version.ts";

/** Commands are loaded when they are called: the heavy packages of one cost another nothing. */
const commands: Record<string, () => Promise<Command>> = {
  run: async () => (await import("./commands/run.ts")).runCommand(),
  start: async () => (await import("./commands/start.ts")).startCommand(),
  doctor: async () => (await import("./commands/doctor.ts")).doctorCommand(),
  explain: async () => (await import("./commands/explain.ts")).explainCommand(),
  status: async () => (await import("./commands/status.ts")).statusCommand(),
  jobs: async () => (await import("./commands/jobs.ts")).jobsCommand(),
  logs: async () => (await import("./commands/logs.ts")).logsCommand(),
  drain: async () => (await import("./commands/drain.ts")).drainCommand(),
  resume: async () => (await import("./commands/resume.ts")).resumeCommand(),
  support: async () => (await import("./commands/support.ts")).supportCommand(),
  keys: async () => (await import("./commands/keys.ts")).keysCommand(),
  config: async () => (await import("./commands/config.ts")).configCommand(),
  inspect: async () => (await import("./commands/inspect.ts")).inspectCommand(),
  plane: async () => (await import("./commands/plane.ts")).planeCommand(),
  provisioner: () => dropIn("provisioner"),
  provisionerd: () => dropIn("provisionerd"),
  completion: async () => (await import("./commands/completion.ts")).completionCommand(() => program([])),
  demo: async () => (await import("./commands/run.ts")).demoCommand(),
};
const aliases: Record<string, string> = { provisioners: "provisioner" };
const hidden = new Set(["demo", "provisionerd"]);

/** Coder's spellings; errors of theirs end with 1 (spec/02 §6.1). */
async function dropIn(name: "provisioner" | "provisionerd"): Promise<Command> {
  const { provisionerCommands } = await import("./commands/provisioner.ts");
  const [provisioner, provisionerd] = provisionerCommands(async (settings) => {
    const { serveAgent } = await import("./agent/serve.ts");
    await serveAgent(settings, "coder");
  });
  return (name === "provisioner" ? provisioner : provisionerd) as Command;
}

/** Runs one command line and answers the exit code. */
export async function main(argv: readonly string[]): Promise<ExitCode | number> {
  const terminal = terminalOf(process.stderr, process.env);
  try {
    await (await program(argv)).parseAsync([...argv], { from: "user" });
    return Number(process.exitCode ?? exitCode.ok);
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return exitCode.ok;
      return /^provisioner/.test(wantedCommand(argv) ?? "") ? exitCode.failed : exitCode.usage;
    }
    if (error instanceof OperatorError) {
      for (const line of errorLines(error, terminal)) terminal.write(line);
      return error.exit;
    }
    terminal.write(`error: this is a bug in Outpost ${version}: please report it with the lines below`);
    terminal.write(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return exitCode.bug;
  }
}

async function program(argv: readonly string[]): Promise<Command> {
  const root = new Command("outpost")
    .description(
      "Isolated provisioner agent for Coder: runs Terraform jobs next to your cloud credentials, and never loses the state.",
    )
    .version(version, "-V, --version", "print the version")
    .exitOverride()
    .showHelpAfterError("try: outpost --help")
    .addHelpText(
      "after",
      `
Examples:
  outpost run ./my-template                    a template's whole life, here, with an embedded control plane
  outpost start --url https://coder.example.com    connect an organization (key in CODER_PROVISIONER_DAEMON_KEY)
  outpost plane                                a control plane to play with`,
    );
  const wanted = wantedCommand(argv);
  const names = wanted !== undefined && wanted in commands ? [wanted] : Object.keys(commands);
  for (const name of names) {
    const command = await commands[name]?.();
    if (command) root.addCommand(inherit(command), { hidden: hidden.has(name) });
  }
  return root;
}

/** The first word that is no flag, under its own name. */
function wantedCommand(argv: readonly string[]): string | undefined {
  const word = argv.find((candidate) => !candidate.startsWith("-"));
  return word && (aliases[word] ?? word);
}

/** Every command of the tree reports usage errors the same way: by throwing, never by ending the process. */
function inherit(command: Command, path = `outpost ${command.name()}`): Command {
  command.exitOverride().showHelpAfterError(`try: ${path} --help`);
  for (const child of command.commands) inherit(child, `${path} ${child.name()}`);
  return command;
}
