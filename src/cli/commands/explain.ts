import { hostname } from "node:os";
import { Command } from "commander";
import { completeTags, matchTags, type Tags, takesWords } from "../../agent/tags.ts";
import { settingsError } from "../../config/resolve.ts";
import { type StartSettings, startProblems, startSettings } from "../../config/start-settings.ts";
import { systemClock } from "../../kit/clock.ts";
import { exitCode } from "../../kit/errors.ts";
import { addSettings, readSettings } from "../command-settings.ts";
import { askKeyTags } from "../doctor/key-tags.ts";
import { terminalOf } from "../terminal.ts";
import { version } from "../version.ts";

/** `outpost explain`: will a job with these tags come here? */
export function explainCommand(): Command {
  const command = new Command("explain")
    .argument("[tags...]", "tags of the job, KEY=VALUE each; none for an untagged job")
    .description("Say whether a job with these tags would come to an agent with this key, or with these --tag.")
    .addHelpText(
      "after",
      `
Ends with 0 for yes and 1 for no.

Examples:
  CODER_PROVISIONER_DAEMON_KEY=… outpost explain region=eu gpu=a100 --url https://coder.example.com
  outpost explain region=eu --tag region=eu --tag gpu=a100`,
    );
  return addSettings(command, startSettings).action(async (words: string[]) => {
    const resolved = readSettings(command, startSettings, process.env);
    const hasKey = isKeyed(resolved.values);
    const problems = [...resolved.problems, ...startProblems(resolved)].filter(
      // Tags that are given need no control plane to ask.
      ({ place }) => hasKey || !/^CODER_(URL|PROVISIONER_DAEMON_KEY) /.test(place),
    );
    for (const word of words)
      if (!/^[^=]+=/.test(word)) problems.push({ place: `"${word}"`, text: "must be KEY=VALUE" });
    if (problems.length > 0) throw settingsError(problems);
    const { tags, holder } = await agentTags(resolved.values);
    const terminal = terminalOf(process.stdout, process.env);
    const match = matchTags(completeOwned(tags), completeOwned(pairs(words)));
    const job = words.length > 0 ? `a job with ${words.join(", ")}` : "an untagged job";
    terminal.write(
      match.takes ? `${terminal.green("yes")}  ${job} comes here` : `${terminal.red("no")}   ${match.why}`,
    );
    terminal.write(`takes ${takesWords(tags, holder)}`);
    if (!match.takes) process.exitCode = exitCode.failed;
  });
}

async function agentTags(start: StartSettings): Promise<{ tags: Tags; holder: string }> {
  if (!isKeyed(start)) return { tags: pairs(start.tags), holder: "the agent" };
  const surroundings = {
    environment: process.env,
    clock: systemClock,
    random: Math.random,
    version,
    hostName: hostname(),
  };
  return { tags: await askKeyTags(start, surroundings), holder: "the key" };
}

const isKeyed = ({ key, keyFile, keyCommand }: StartSettings) => key !== "" || keyFile !== "" || keyCommand !== "";

/** An owner that is given with scope=user stands for that user. */
const completeOwned = (tags: Tags): Tags => completeTags(tags, tags["owner"]);

function pairs(texts: readonly string[]): Tags {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf("=");
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}
