import type { StartSettings } from "../../config/start-settings.ts";
import { flavorNames } from "../../engine/version.ts";
import type { Log } from "../../observe/log.ts";
import { terminalOf } from "../terminal.ts";
import { version } from "../version.ts";
import type { AgentFacts } from "./facts.ts";

/** What an operator wants to see first: who we are, what we run, what jobs see, how to stop. */
export function sayStart(log: Log, settings: StartSettings, facts: AgentFacts): void {
  const { name, engine, folders, credentials } = facts;
  const names = [...credentials.environment.passed, ...credentials.files];
  const sees = names.length > 0 ? names.join(", ") : "nothing";
  const lines: Array<[string, string]> = [
    ["control plane", settings.url],
    [
      "identity",
      `${name.name}  (${{ setting: "as set", kept: "kept in the state folder", host: "the host name, kept from now on" }[name.source]})`,
    ],
    ["slots", String(settings.slots)],
    ["engine", `${flavorNames[engine.flavor]} ${engine.version}  ${engine.path}  (${engine.source})`],
    [
      "isolation",
      facts.isolation === "none"
        ? "none: jobs run inside the agent"
        : "process: a worker of the same user for each job, no sandbox yet",
    ],
    ["jobs may see", `${settings.credentials}: ${sees}`],
    ["state folder", folders.state],
    ["health", settings.health],
  ];
  const terminal = terminalOf(process.stderr, process.env);
  if (terminal.interactive && settings.logFormat !== "json") {
    terminal.write(`Outpost ${version} (${process.platform}/${process.arch})`);
    for (const [what, text] of lines) terminal.write(`  ${what.padEnd(14)} ${text}`);
  } else {
    log.write(
      "info",
      "agent",
      `outpost ${version} starting`,
      Object.fromEntries(lines.map(([what, text]) => [what.replaceAll(" ", "_"), text])),
    );
  }
  if (name.warning) log.write("warn", "agent", name.warning);
  if (engine.warning) log.write("warn", "agent", engine.warning);
}
