import { expect, test } from "vitest";
import { commandLine } from "../support/command-line.ts";

const commands = [
  ...[
    "run",
    "start",
    "doctor",
    "explain",
    "status",
    "jobs",
    "logs",
    "drain",
    "resume",
    "support",
    "plane",
    "completion",
  ],
  ...["keys create", "keys list", "keys rotate", "keys delete", "config print", "config schema"],
  ...["inspect graph", "inspect plan", "inspect parse", "provisioner start", "provisionerd start"],
];

test.each(commands)("outpost %s --help has an example", async (command) => {
  const { stdout, code } = await commandLine(...command.split(" "), "--help");
  expect(code).toBe(0);
  expect(stdout).toMatch(/^(Examples?:| {2}curl )/m);
});
