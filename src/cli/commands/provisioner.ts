import { Command } from "commander";
import { dropInProblems, dropInSettings, dropInSettingsError } from "../../config/drop-in.ts";
import type { StartSettings } from "../../config/start-settings.ts";
import { exitCode, OperatorError } from "../../kit/errors.ts";
import { addStartSettings, readStartSettings } from "../command-settings.ts";

/** Runs the agent until its end; `dropIn` is true: Coder's spellings were used. */
type Start = (settings: StartSettings, dropIn: true) => Promise<void>;

/**
 * `outpost provisioner start` and `outpost provisionerd start`: Coder's spellings, for unit files and charts that name
 * another binary and nothing else. Every error at start ends with 1, and a reason on one line (spec/02 §6.1).
 */
export function provisionerCommands(start: Start): Command[] {
  const group = (name: string) =>
    new Command(name)
      .description("Start as coder provisioner start does: the same flags, variables and defaults.")
      .addHelpText("after", `\nExample:\n  ${example(name)}`)
      .addCommand(startCommand(name, start));
  return [group("provisioner").alias("provisioners"), group("provisionerd")];
}

const example = (name: string) =>
  `CODER_URL=https://coder.example.com CODER_PROVISIONER_DAEMON_KEY=… outpost ${name} start`;

function startCommand(name: string, start: Start): Command {
  const table = dropInSettings(process.env);
  const command = new Command("start").description("Connect to a control plane and run its jobs.").addHelpText(
    "after",
    `
Example:
  ${example(name)}

Differs from outpost start: jobs see this process's environment, logs are for people and hold the jobs' lines,
the cache is Coder's, and every error at start ends with code 1.`,
  );
  return addStartSettings(command, table).action(async () => {
    const resolved = readStartSettings(command, table, process.env);
    const problems = dropInProblems(resolved);
    if (problems.length > 0) throw dropInSettingsError(problems);
    try {
      await start(resolved.values, true);
    } catch (error) {
      throw error instanceof OperatorError ? withCode1(error) : error;
    }
  });
}

function withCode1(error: OperatorError): OperatorError {
  const { message, code, reason, cure } = error;
  const details = { code, exit: exitCode.failed, cause: error };
  return new OperatorError(message, { ...details, ...(reason ? { reason } : {}), ...(cure ? { cure } : {}) });
}
