import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { operatorBlocks } from "../../engine/operator-config.ts";
import { exitCode, messageOf, OperatorError } from "../../kit/errors.ts";

/**
 * The operator's CLI configuration of the engine, read once at start: the file that TF_CLI_CONFIG_FILE names, else, where
 * jobs see what we see, the one in the home folder. Its installation, credentials and host blocks go into each job's own.
 */
export async function readOperatorConfig(
  environment: Readonly<Record<string, string | undefined>>,
  ambient: boolean,
): Promise<string> {
  const named = environment["TF_CLI_CONFIG_FILE"] || environment["TERRAFORM_CONFIG"];
  const file = named || (ambient && environment["HOME"] ? join(environment["HOME"], ".terraformrc") : undefined);
  if (!file || file === "/dev/null") return "";
  try {
    return operatorBlocks(await readFile(file, "utf8"), file);
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    // A file that is named and missing is a warning for the engine itself, too: it works without.
    if (missing) return "";
    throw new OperatorError(`read engine configuration "${file}": ${messageOf(error)}`, {
      code: "OUT-ENGINE-CONFIG",
      cure: "make it readable, or point TF_CLI_CONFIG_FILE at another",
      exit: exitCode.usage,
      cause: error,
    });
  }
}
