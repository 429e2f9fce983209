import { Command } from "commander";
import { settingsError } from "../../config/resolve.ts";
import { startProblems, startSettings } from "../../config/start-settings.ts";
import { addStartSettings, readStartSettings } from "../command-settings.ts";

/** `outpost start`: connects to a control plane and runs its jobs until a signal. */
export function startCommand(): Command {
  const command = new Command("start").description("Connect to a control plane and run its jobs.").addHelpText(
    "after",
    `
Example:
  CODER_URL=https://coder.example.com CODER_PROVISIONER_DAEMON_KEY=… outpost start --slots 4 --job-env 'AWS_*'

Signals: SIGTERM and SIGHUP finish running jobs, then end with 0; SIGINT interrupts them, with their state;
each further signal goes a step further (finish, interrupt, kill).`,
  );
  return addStartSettings(command, startSettings).action(async () => {
    const resolved = readStartSettings(command, startSettings, process.env);
    const problems = [...resolved.problems, ...startProblems(resolved)];
    if (problems.length > 0) throw settingsError(problems);
    const { serveAgent } = await import("../agent/serve.ts");
    await serveAgent(resolved.values, "outpost");
  });
}
