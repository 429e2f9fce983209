import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { packModules } from "../archive/modules.ts";
import { type Module, ModuleSchema } from "../gen/provisioner_pb.ts";
import type { JobLog } from "./job-log.ts";
import { list, object, text } from "./members.ts";
import { readPrivateFile } from "./state-file.ts";

/** An index with an entry of 300 bytes for each of 100,000 modules is smaller. */
const maxIndexBytes = 32 * 1024 * 1024;

/** The modules that init used, in the order of its index, local ones included, the root left out (spec/03 §1.9). */
export async function usedModules(folder: string, log: JobLog): Promise<Module[]> {
  const index = await readPrivateFile(join(folder, ".terraform", "modules", "modules.json"), maxIndexBytes);
  if (index.kind === "missing") return [];
  try {
    if (index.kind === "unusable") throw new TypeError(index.why);
    const members = object(JSON.parse(new TextDecoder().decode(index.bytes)));
    return list(members["Modules"])
      .map(object)
      .map((entry) => ({ source: text(entry["Source"]), version: text(entry["Version"]), key: text(entry["Key"]) }))
      .filter(({ source }) => source !== "")
      .map((module) => create(ModuleSchema, module));
  } catch {
    log.warn('the list of modules is left out: ".terraform/modules/modules.json" can\'t be read');
    return [];
  }
}

/** The archive of the downloaded modules; empty where there are none. What is not in it is told, and builds download it. */
export async function moduleFiles(folder: string, log: JobLog, signal: AbortSignal): Promise<Uint8Array> {
  const { archive, skipped, problem } = await packModules(folder, {}, signal);
  if (problem !== undefined) log.warn(`modules are not kept for builds: ${problem}`);
  if (skipped.length > 0) log.warn(`modules too big to keep, each build downloads them: ${skipped.join(", ")}`);
  return archive;
}
