import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { exitCode, OperatorError } from "../kit/errors.ts";
import { writeFileAtomic } from "../kit/files.ts";

export interface NameSources {
  /** The setting; "" when not set. */
  setting: string;
  /** Where the name is kept. */
  stateFolder: string;
  hostName: string;
  /** True in a container, whose host name goes with it. */
  container: boolean;
}

export interface ChosenName {
  name: string;
  source: "setting" | "kept" | "host";
  /** Said once at start: a name that will change costs recovery (spec/02 §5.13). */
  warning?: string;
}

const pattern = /^(?=.{2,63}$)[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*$/;

/**
 * The name of this agent: the setting, else the one that was kept, else the host name up to its first dot in lower case,
 * kept from then on. A stable name is what makes recovery possible: the worker id hangs on it (spec/02 §5.1).
 */
export async function chooseName(sources: NameSources): Promise<ChosenName> {
  if (sources.setting) return { name: sources.setting, source: "setting" };
  const file = join(sources.stateFolder, "name");
  const kept = (await readFile(file, "utf8").catch(() => "")).trim();
  if (pattern.test(kept)) return { name: kept, source: "kept" };
  const name = (sources.hostName.split(".")[0] || "localhost").toLowerCase();
  if (!pattern.test(name))
    throw new OperatorError(`name of this agent, "${name}": not a valid name`, {
      code: "OUT-NAME",
      reason: "the host name is not 2 to 63 letters, digits and inner hyphens",
      cure: "set CODER_PROVISIONER_DAEMON_NAME",
      exit: exitCode.usage,
    });
  await mkdir(sources.stateFolder, { recursive: true, mode: 0o700 });
  await writeFileAtomic(file, `${name}\n`);
  return { name, source: "host", ...(sources.container ? { warning: containerWarning(name) } : {}) };
}

const containerWarning = (name: string) =>
  `the name "${name}" is this container's and changes with it: a job that was running can't be recovered by the next container; set CODER_PROVISIONER_DAEMON_NAME, or keep the state folder on a volume`;
