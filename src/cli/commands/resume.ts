import { Command } from "commander";
import { addAgentChoice, ask, chosenSocket } from "../agent/control-client.ts";

/** `outpost resume`: takes jobs again after `outpost drain`. */
export function resumeCommand(): Command {
  const command = new Command("resume")
    .description("Take jobs again after `outpost drain`.")
    .addHelpText("after", "\nExample:\n  outpost resume");
  return addAgentChoice(command).action(async () => {
    await ask(chosenSocket(command, process.env), "POST", "/resume");
    process.stdout.write("takes jobs again\n");
  });
}
