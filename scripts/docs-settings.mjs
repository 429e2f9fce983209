// Writes docs/settings.md out of the table of settings. --check: fails when it is not what would be written.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tsImport } from "tsx/esm/api";
import { root } from "./setup.mjs";

const { settingGroups } = await tsImport("../src/config/start-settings.ts", import.meta.url);
const { ignoredSettings } = await tsImport("../src/config/tables/ignored.ts", import.meta.url);
const { dropInSettings } = await tsImport("../src/config/drop-in.ts", import.meta.url);

const cell = (text) => text.replaceAll("|", "\\|");
const code = (text) => (text ? `\`${cell(text)}\`` : "");
const flagOf = ({ flag, short, argument }) =>
  `${short ? `\`-${short}\`, ` : ""}${code(`--${flag}${argument ? ` ${argument}` : ""}`)}`;
const variables = ({ env }) => env.map(code).join("<br>");
const dropIn = dropInSettings({ HOME: "~" });

const groups = settingGroups.flatMap(({ title, table }) => [
  "",
  `## ${title}`,
  "",
  "| flag | variables | default | meaning |",
  "| --- | --- | --- | --- |",
  ...Object.entries(table).map(([key, setting]) => {
    const theirs = dropIn[key].defaultText;
    const differs = theirs === setting.defaultText ? "" : `${setting.defaultText ? "; " : ""}Coder's: ${code(theirs)}`;
    return `| ${flagOf(setting)} | ${variables(setting)} | ${code(setting.defaultText)}${differs} | ${cell(setting.help)} |`;
  }),
]);
const text = `# Settings

Written by \`node scripts/docs-settings.mjs\`. \`outpost config print\` shows each value and where it came from.

- A flag comes before a variable, a variable before the file, the file before the default. Where two variables are named, the
  first that is set counts. An empty variable counts as not set. Variables with the prefix \`HOMEBREW_\` are not read.
- Flags of lists may be repeated; each, and the variable, is one list parted by commas (\`a=1,"b=x,y"\`). Flags and the variable
  add up. The file's list counts only where neither is given.
- The file (\`--config FILE\`) is YAML; its keys are the names of the flags without dashes, lists are lists of texts. \`outpost
  config schema\` prints its JSON Schema for editors. \`--config\` itself can't stand in it.
- All that is wrong is told at once, each with its place: flag, variable, or file, line and column.
- Durations are written \`90s\`, \`10m\`, \`1h30m\`, \`250ms\`; \`0\` is off.

"Coder's" is the default of \`outpost provisioner start\` and \`outpost provisionerd start\`, the spellings for people who come from
Coder's daemon: they take the same flags and variables, and every error at start ends with code 1 and one line.

\`\`\`yaml
url: https://coder.example.com
key-file: /run/outpost/key
slots: 4
job-env: [AWS_REGION, AWS_ROLE_ARN]
job-timeout: 2h
\`\`\`
${groups.join("\n")}

## Accepted and ignored

Coder has these; they change nothing here.

| flag | variable |
| --- | --- |
${Object.values(ignoredSettings)
  .map((setting) => `| ${flagOf(setting)} | ${variables(setting)} |`)
  .join("\n")}
`;

const target = join(root, "docs/settings.md");
if (process.argv.includes("--check")) {
  let before = "";
  try {
    before = readFileSync(target, "utf8");
  } catch {
    // Missing is not current.
  }
  if (before !== text) {
    console.error("docs/settings.md is not current: run node scripts/docs-settings.mjs");
    process.exit(1);
  }
} else writeFileSync(target, text);
