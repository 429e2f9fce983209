import { writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { Command, Option } from "commander";
import { tarEnd, tarEntry } from "../../archive/tar-write.ts";
import { exitCode, messageOf, OperatorError } from "../../kit/errors.ts";
import { addAgentChoice, ask, chosenSocket } from "../agent/control-client.ts";

/** `outpost support`: one file to send to whoever helps. */
export function supportCommand(): Command {
  const command = new Command("support")
    .description("Write settings, status, versions and the last 1,000 log lines into one file; secrets are masked.")
    .addOption(new Option("--out <file>", "where to; must not exist").default("outpost-support.tar.gz"))
    .addHelpText(
      "after",
      `
Example:
  outpost support --out /tmp/outpost.tar.gz && tar -tzf /tmp/outpost.tar.gz

Names of owners, workspaces and hosts stay in it: look before you send it.`,
    );
  return addAgentChoice(command).action(async ({ out }: { out: string }) => {
    const { files } = await ask<{ files: Record<string, string> }>(
      chosenSocket(command, process.env),
      "GET",
      "/support",
    );
    const entries = Object.entries(files).map(([name, text]) =>
      tarEntry({ name: `outpost-support/${name}`, mode: 0o600, data: Buffer.from(text) }),
    );
    const bundle = await promisify(gzip)(Buffer.concat([...entries, tarEnd]));
    await writeFile(out, bundle, { mode: 0o600, flag: "wx" }).catch((error: unknown) => {
      throw new OperatorError(`write "${out}": ${messageOf(error)}`, {
        code: "OUT-FILE",
        cure: "choose another with --out FILE",
        exit: exitCode.usage,
        cause: error,
      });
    });
    process.stdout.write(`wrote ${out} (${bundle.length} bytes): ${Object.keys(files).join(", ")}\n`);
    process.stdout.write("secrets are masked, names are not: look before you send it\n");
  });
}
