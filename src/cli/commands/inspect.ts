import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { Command, Option } from "commander";
import { LogLevel } from "../../gen/provisioner_pb.ts";
import { convertPlan, convertState } from "../../graph/convert.ts";
import { GraphError } from "../../graph/errors.ts";
import { limits } from "../../graph/limits.ts";
import { planFacts } from "../../graph/plan-facts.ts";
import { printGraph } from "../../graph/print.ts";
import { exitCode } from "../../kit/errors.ts";
import { cleanText } from "../../kit/text.ts";
import { TemplateError } from "../../template/diagnostics.ts";
import { isTemplateFile, type TemplateFile } from "../../template/files.ts";
import { parseTemplate } from "../../template/parse.ts";
import { readInput, unreadable } from "../show/input-file.ts";
import { messageJson } from "../show/message-json.ts";
import { harmless } from "../show/text.ts";
import { templateTree } from "../show/tree.ts";
import { terminalOf } from "../terminal.ts";

interface Flags {
  pretty?: boolean;
}
interface GraphFlags extends Flags {
  plan?: string;
  state?: string;
  dot: string;
}

/** What a step of a job answers, as JSON and as lines for people. */
interface Answer {
  json: unknown;
  lines: () => readonly string[];
}

/** `outpost inspect`: what a job would report of a plan, a state or a template, without running anything. */
export function inspectCommand(): Command {
  return new Command("inspect")
    .description("Show what a job would report of a plan, a state or a template, without running anything.")
    .addCommand(graphCommand())
    .addCommand(planCommand())
    .addCommand(parseCommand())
    .addHelpText("after", "\nExample:\n  outpost inspect parse ./my-template --pretty");
}

const pretty = () => new Option("--pretty", "a tree for people instead of JSON");

function graphCommand(): Command {
  return new Command("graph")
    .description("Resources, agents, apps, parameters and presets out of a plan or a state and its graph.")
    .addOption(new Option("--plan <file>", "output of: terraform show -json PLANFILE").conflicts("state"))
    .option("--state <file>", "output of: terraform show -json")
    .requiredOption("--dot <file>", "output of: terraform graph -type=plan")
    .addOption(pretty())
    .addHelpText(
      "after",
      `
Example:
  terraform plan -out plan && terraform show -json plan > plan.json
  terraform graph -type=plan > plan.dot
  outpost inspect graph --plan plan.json --dot plan.dot --pretty`,
    )
    .action(async (flags: GraphFlags, command: Command) => {
      const path = flags.plan ?? flags.state;
      if (path === undefined) return command.error("error: give --plan FILE or --state FILE");
      const document = await readInput(path, limits.documentBytes);
      const dot = cleanText(await readInput(flags.dot, limits.dotChars));
      const convert = flags.plan === undefined ? convertState : convertPlan;
      answer(flags, () => {
        const facts = convert(document, dot, note);
        const tree = () => templateTree(facts, stdoutOptions());
        return { json: printGraph(facts), lines: () => orNothing(tree(), "no resources, no parameters") };
      });
    });
}

function planCommand(): Command {
  return new Command("plan")
    .description("Daily cost, tasks and replacements out of a plan, and the lines that a build would log about them.")
    .argument("<file>", "output of: terraform show -json PLANFILE")
    .addOption(pretty())
    .addHelpText(
      "after",
      "\nExample:\n  terraform show -json plan > plan.json && outpost inspect plan plan.json --pretty",
    )
    .action(async (path: string, flags: Flags) => {
      const document = await readInput(path, limits.documentBytes);
      answer(flags, () => {
        const { dailyCost, aiTaskCount, resourceReplacements, replacementLog } = planFacts(document);
        const replacements = resourceReplacements.map((one) => messageJson({ ...one }));
        const logs = replacementLog.map(({ level, output }) => ({ level: LogLevel[level], output }));
        return {
          json: { ...messageJson({ dailyCost, aiTaskCount }), resource_replacements: replacements, logs },
          lines: () => [
            `daily cost  ${dailyCost}`,
            `AI tasks    ${aiTaskCount}`,
            ...replacementLog.map(({ output }) => harmlessLine(output)),
          ],
        };
      });
    });
}

function parseCommand(): Command {
  return new Command("parse")
    .description("Variables, workspace tags and README out of a template's source.")
    .argument("<dir>", "folder of the template")
    .addOption(pretty())
    .addHelpText("after", "\nExample:\n  outpost inspect parse ./my-template --pretty")
    .action(async (dir: string, flags: Flags) => {
      const { files, readme } = await readTemplate(dir);
      answer(
        flags,
        () => {
          const { templateVariables: variables, workspaceTags: tags } = parseTemplate(files);
          const json = { template_variables: variables.map((one) => messageJson({ ...one })), workspace_tags: tags };
          const tree = () => templateTree({ variables, tags }, stdoutOptions());
          return { json: { ...json, readme }, lines: () => orNothing(tree(), "no variables, no workspace tags") };
        },
        { readme },
      );
    });
}

/** No file of a template that travels is longer (spec/04 §7.3). */
const templateFileBytes = 10 * 1024 * 1024;

async function readTemplate(folder: string): Promise<{ files: TemplateFile[]; readme: string }> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    throw unreadable(folder, error);
  });
  // A pipe would be waited for without end.
  const names = entries.filter((entry) => entry.isFile() || entry.isSymbolicLink()).map(({ name }) => name);
  const read = async (name: string) => ({ name, bytes: await readInput(join(folder, name), templateFileBytes) });
  const files: TemplateFile[] = [];
  for (const name of names.filter(isTemplateFile)) files.push(await read(name));
  // A README that cannot be read is none (spec/04 §7.3).
  const readme = names.includes("README.md") ? await read("README.md").catch(() => undefined) : undefined;
  return { files, readme: new TextDecoder().decode(readme?.bytes) };
}

/** Prints what `work` finds out; a template that cannot be read or converted is told on both streams and ends with 1. */
function answer(flags: Flags, work: () => Answer, besideError: Record<string, unknown> = {}): void {
  try {
    const { json, lines } = work();
    print(flags.pretty ? lines() : [JSON.stringify(json, null, 2)]);
  } catch (error) {
    if (!(error instanceof GraphError || error instanceof TemplateError)) throw error;
    const { category, message } = error;
    print([JSON.stringify({ error: { category, message }, ...besideError }, null, 2)]);
    const terminal = terminalOf(process.stderr, process.env);
    const [first = "", ...more] = message.split("\n");
    terminal.write(`${terminal.red("error:")} ${terminal.bold(harmlessLine(first))}`);
    for (const line of more) terminal.write(harmlessLine(line));
    process.exitCode = exitCode.failed;
  }
}

const orNothing = (lines: readonly string[], nothing: string) => (lines.length > 0 ? lines : [nothing]);

const print = (lines: readonly string[]) => void process.stdout.write(lines.map((line) => `${line}\n`).join(""));

const stdoutOptions = () => terminalOf(process.stdout, process.env);

/** Keeps the indentation, which says what belongs to what. */
function harmlessLine(line: string): string {
  const indentation = /^ */.exec(line)?.[0] ?? "";
  return indentation + harmless(line, { unicode: true });
}

function note(level: LogLevel, text: string): void {
  process.stderr.write(`${LogLevel[level]?.toLowerCase()}: ${harmlessLine(text)}\n`);
}
