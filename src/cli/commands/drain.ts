import { Command, Option } from "commander";
import { exitCode } from "../../kit/errors.ts";
import type { Snapshot } from "../../observe/snapshot.ts";
import { addAgentChoice, ask, chosenSocket } from "../agent/control-client.ts";

/** `outpost drain`: no new jobs until `outpost resume`. */
export function drainCommand(): Command {
  const command = new Command("drain")
    .description("Take no new jobs until `outpost resume`; running jobs go on. The agent stays connected.")
    .addOption(new Option("--wait", "return when no job runs any more"))
    .addHelpText("after", "\nExample:\n  outpost drain --wait && systemctl restart outpost");
  return addAgentChoice(command).action(async ({ wait }: { wait?: boolean }) => {
    const socket = chosenSocket(command, process.env);
    const say = (text: string) => void process.stdout.write(`${text}\n`);
    await ask(socket, "POST", "/drain");
    const { running } = await ask<Snapshot>(socket, "GET", "/status");
    const count = running.length === 1 ? "1 job" : `${running.length} jobs`;
    say(`no new jobs; ${count} running. Back: outpost resume`);
    if (!wait || running.length === 0) return;
    const result = await ask<{ drained: boolean; why?: string }>(socket, "POST", "/drain", {
      body: { wait },
      patient: true,
    });
    say(result.drained ? "drained: no job runs" : `not drained: ${result.why}`);
    if (!result.drained) process.exitCode = exitCode.failed;
  });
}
