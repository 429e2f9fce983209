import { spawnSync } from "node:child_process";
import { Command } from "commander";
import { describe, expect, test } from "vitest";
import { addSettings } from "../../src/cli/command-settings.ts";
import { completionCommand } from "../../src/cli/commands/completion.ts";
import { configCommand } from "../../src/cli/commands/config.ts";
import { provisionerCommands } from "../../src/cli/commands/provisioner.ts";
import { completionScript, type Shell, shells } from "../../src/cli/completion.ts";
import { startSettings } from "../../src/config/start-settings.ts";

function tree(): Command {
  const root = new Command("outpost").option("-V, --version", 'print the version; it\'s "ours" `here` $HOME');
  root.addCommand(addSettings(new Command("start"), startSettings));
  root.addCommand(new Command("demo"), { hidden: true });
  for (const command of provisionerCommands(async () => undefined)) root.addCommand(command);
  return root.addCommand(configCommand()).addCommand(completionCommand(async () => root));
}

const has = (shell: Shell) => spawnSync(shell, ["-c", "exit 0"]).status === 0;

describe("completion", () => {
  for (const shell of shells) {
    test.skipIf(!has(shell))(`the script parses in ${shell}`, () => {
      const { status, stderr } = spawnSync(shell, ["-n"], { input: completionScript(shell, tree()), encoding: "utf8" });
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    });

    test(`the script for ${shell} names every flag that is shown, and none that is hidden`, () => {
      const script = completionScript(shell, tree());
      for (const { flag, ignored } of Object.values(startSettings)) {
        const named = new RegExp(`(--|-l )${flag}\\b(?!-)`).test(script);
        expect([flag, named]).toEqual([flag, !ignored]);
      }
      expect(script).not.toContain("demo");
    });
  }

  /** What bash offers for a line whose last word is being written. */
  const offered = (...words: string[]) => {
    const quoted = words.map((word) => `'${word}'`).join(" ");
    const script = `${completionScript("bash", tree())}
COMP_WORDS=(outpost ${quoted}); COMP_CWORD=${words.length}; _outpost; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = spawnSync("bash", ["-c", script], { encoding: "utf8" });
    expect(stderr).toBe("");
    return stdout.split("\n").filter(Boolean);
  };

  test.skipIf(!has("bash")).each<[string[], string[]]>([
    [["s"], ["start"]],
    [
      ["config", ""],
      ["print", "schema", "--help", "-h"],
    ],
    [["config", "print", "--jso"], ["--json"]],
    [["start", "--slo"], ["--slots"]],
    [["start", "--name", "config", "--slo"], ["--slots"]],
    [
      ["start", "--isolation", ""],
      ["auto", "process", "none"],
    ],
    [["provisioners", "st"], ["start"]],
    [["completion", "f"], ["fish"]],
    [["start", "/etc/"], []],
  ])("bash offers for %j", (words, expected) => {
    expect(offered(...words)).toEqual(expected);
  });

  test("the command prints it; another shell is a usage error that names the three", async () => {
    const command = completionCommand(async () => tree())
      .exitOverride()
      .configureOutput({ writeErr: () => undefined });
    await expect(command.parseAsync(["tcsh"], { from: "user" })).rejects.toThrow(/bash, zsh, fish/);
  });
});
