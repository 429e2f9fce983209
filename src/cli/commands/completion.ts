import { Argument, Command } from "commander";
import { completionScript, type Shell, shells } from "../completion.ts";

/** `outpost completion SHELL`; `root` gives the whole tree, with every command loaded. */
export function completionCommand(root: () => Promise<Command>): Command {
  return new Command("completion")
    .description("Print a script that completes commands and flags.")
    .addArgument(new Argument("<shell>").choices(shells))
    .addHelpText(
      "after",
      `
Examples:
  source <(outpost completion bash)
  outpost completion zsh >"\${fpath[1]}/_outpost"
  outpost completion fish >~/.config/fish/completions/outpost.fish`,
    )
    .action(async (shell: Shell) => {
      process.stdout.write(completionScript(shell, await root()));
    });
}
