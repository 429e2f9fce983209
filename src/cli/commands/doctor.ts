import { hostname } from "node:os";
import { Command } from "commander";
import { settingsError } from "../../config/resolve.ts";
import { startProblems, startSettings } from "../../config/start-settings.ts";
import { systemClock } from "../../kit/clock.ts";
import { exitCode } from "../../kit/errors.ts";
import { addStartSettings, readStartSettings } from "../command-settings.ts";
import { examine } from "../doctor/doctor.ts";
import type { Check } from "../doctor/finding.ts";
import { checkLines, countOf, reportJson, summary } from "../doctor/report.ts";
import { type Terminal, terminalOf } from "../terminal.ts";
import { version } from "../version.ts";

/** `outpost doctor`: what stands between this machine and a running job. */
export function doctorCommand(): Command {
  const command = new Command("doctor")
    .description("Check the control plane, the key and this machine, with the settings of start.")
    .option("--pre", "before there is a key: leave out what needs one")
    .option("--connect", "make a real connection, which is seen at the control plane")
    .option("--json", "one object for programs")
    .addHelpText(
      "after",
      `
Ends with 0, or with 1 when a check failed. Without --connect nothing is written at the control plane.

Examples:
  outpost doctor --pre --url https://coder.example.com
  CODER_PROVISIONER_DAEMON_KEY=… outpost doctor --url https://coder.example.com`,
    );
  return addStartSettings(command, startSettings).action(async () => {
    const resolved = readStartSettings(command, startSettings, process.env);
    const { pre = false, connect = false, json = false } = command.opts<{ pre?: true; connect?: true; json?: true }>();
    const problems = [...resolved.problems, ...startProblems(resolved)].filter(
      // Before there is a key there may be no URL either.
      ({ place }) => !pre || !/^CODER_(URL|PROVISIONER_DAEMON_KEY) /.test(place),
    );
    if (problems.length > 0) throw settingsError(problems);
    const settings = { start: resolved.values, pre, connect };
    const surroundings = {
      environment: process.env,
      clock: systemClock,
      random: Math.random,
      version,
      hostName: hostname(),
    };
    const terminal = terminalOf(process.stdout, process.env);
    const checks = await examine(settings, surroundings, json ? () => undefined : printer(terminal));
    if (json) terminal.write(reportJson(version, settings.start.url, checks));
    else terminal.write(`${summary(checks)}  More: --json, --connect, docs/troubleshooting.md`);
    if (countOf(checks).fail > 0) process.exitCode = exitCode.failed;
  });
}

/** Each check as it is done, with a heading where a new half begins. */
function printer(terminal: Terminal): (check: Check) => void {
  let group = "";
  return (check) => {
    if (check.group !== group) terminal.write(terminal.bold(check.group));
    group = check.group;
    for (const line of checkLines(check, terminal)) terminal.write(line);
  };
}
