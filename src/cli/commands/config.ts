import { Command } from "commander";
import { shownSettings } from "../../config/print.ts";
import { settingsError } from "../../config/resolve.ts";
import { fileSchema } from "../../config/schema.ts";
import { startSettings } from "../../config/start-settings.ts";
import { addStartSettings, readStartSettings } from "../command-settings.ts";

/** `outpost config`: what the settings are, and what a settings file may hold. */
export function configCommand(): Command {
  return new Command("config")
    .description("Show the settings, and the form of the settings file.")
    .addHelpText("after", "\nExample:\n  outpost config print --config outpost.yaml")
    .addCommand(printCommand())
    .addCommand(schemaCommand());
}

function printCommand(): Command {
  const command = new Command("print")
    .description("Print the value of each setting as outpost start would take it, and where it came from.")
    .option("--json", "as JSON")
    .addHelpText("after", "\nExample:\n  OUTPOST_SLOTS=4 outpost config print --config outpost.yaml --json");
  return addStartSettings(command, startSettings).action(() => {
    const resolved = readStartSettings(command, startSettings, process.env);
    const settings = shownSettings(startSettings, resolved);
    if (command.opts()["json"]) {
      process.stdout.write(`${JSON.stringify({ settings, problems: resolved.problems }, undefined, 2)}\n`);
    } else {
      const rows = settings.map(({ name, value, source }) => [name, [value].flat().join(", "), source]);
      const width = (column: number) => Math.min(40, Math.max(...rows.map((row) => row[column]?.length ?? 0)));
      const [names, values] = [width(0), width(1)];
      for (const [name = "", value = "", source = ""] of rows)
        process.stdout.write(`${name.padEnd(names)}  ${value.padEnd(values)}  ${source}\n`);
    }
    if (resolved.problems.length > 0) throw settingsError(resolved.problems);
  });
}

function schemaCommand(): Command {
  return new Command("schema")
    .description("Print the JSON Schema of the settings file.")
    .addHelpText(
      "after",
      `
Example:
  outpost config schema >outpost.schema.json
and as the first line of outpost.yaml, for editors:
  # yaml-language-server: $schema=outpost.schema.json`,
    )
    .action(() => {
      process.stdout.write(`${JSON.stringify(fileSchema(startSettings), undefined, 2)}\n`);
    });
}
