import { exitCode, OperatorError } from "../kit/errors.ts";

/** Blocks of an engine's CLI configuration that each job's own configuration takes over; all else is ours to decide. */
const taken = new Set(["provider_installation", "credentials", "host"]);

/** A larger file is no CLI configuration. */
const maxChars = 1_048_576;

/**
 * The blocks of a CLI configuration file (`.terraformrc`) that say where providers come from and with which credentials
 * registries are asked, as they stand. Settings such as `plugin_cache_dir` or `disable_checkpoint` stay behind.
 * A file that can't be read as blocks is an OperatorError that names the line.
 */
export function operatorBlocks(source: string, file: string): string {
  const fail = (offset: number, what: string): never => {
    const line = source.slice(0, offset).split("\n").length;
    throw new OperatorError(`read engine configuration "${file}", line ${line}: ${what}`, {
      code: "OUT-ENGINE-CONFIG",
      cure: "mend the file, or point TF_CLI_CONFIG_FILE at another",
      exit: exitCode.usage,
    });
  };
  if (source.length > maxChars) fail(0, `more than ${maxChars} characters`);
  const blocks: string[] = [];
  const token = /\s+|#[^\n]*|\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:[^"\\]|\\[\s\S])*"|[\w.-]+|[{}[\]=,]/y;
  let depth = 0;
  let start = -1;
  let name = "";
  let statement = true;
  for (let at = 0; at < source.length; ) {
    token.lastIndex = at;
    const match = token.exec(source)?.[0];
    if (match === undefined) return fail(at, `unexpected "${source[at]}"`);
    const end = at + match.length;
    const blank = /^(\s|#|\/[/*])/.test(match);
    if (!blank && depth === 0 && statement && /^["\w]/.test(match)) {
      name = match.replaceAll('"', "");
      start = at;
      statement = false;
    }
    if (match === "{" || match === "[") depth++;
    if (match === "}" || match === "]") {
      if (--depth < 0) fail(at, `"${match}" closes nothing`);
      if (depth === 0) {
        if (match === "}" && taken.has(name)) blocks.push(source.slice(start, end));
        statement = true;
      }
    }
    // An attribute of the top level ends with its line.
    if (depth === 0 && !statement && /\n/.test(match) && blank) statement = true;
    at = end;
  }
  if (depth > 0) fail(source.length, "a block is not closed");
  return blocks.map((block) => `${block}\n`).join("\n");
}
