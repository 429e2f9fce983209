import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { VariableValue } from "../gen/provisioner_pb.ts";
import { JobError } from "../kit/errors.ts";
import { parseNative } from "../template/bodies.ts";
import { ContentReader } from "../template/content.ts";
import { Diagnostics } from "../template/diagnostics.ts";
import { readJson } from "../template/json-reader.ts";
import { Source } from "../template/source.ts";
import { readPrivateFile } from "./state-file.ts";

/** A larger file of values is left to the engine. */
const maxBytes = 10 * 1024 * 1024;

/**
 * Throws a JobError where a values file of the template assigns a sensitive variable of the request. Sensitive values go by
 * the environment, which such a file would beat, so the job would run with the template's value and nobody would know.
 */
export async function refuseShadowed(folder: string, variables: readonly VariableValue[]): Promise<void> {
  const sensitive = new Set(variables.filter((variable) => variable.sensitive).map(({ name }) => name));
  if (sensitive.size === 0) return;
  for (const name of (await readdir(folder)).filter(isValuesFile).sort()) {
    const file = await readPrivateFile(join(folder, name), maxBytes);
    if (file.kind !== "file") continue;
    const taken = assignedNames(name, file.bytes).find((variable) => sensitive.has(variable));
    if (taken === undefined) continue;
    throw new JobError(
      `set sensitive variable "${taken}": the template's "${name}" assigns it: the file must not, for its value would win`,
    );
  }
}

/** Files that the engine reads values from by itself. */
const isValuesFile = (name: string) => /^terraform\.tfvars(\.json)?$|\.auto\.tfvars(\.json)?$/.test(name);

/** Names that a values file assigns, as far as it can be read; the engine tells what is wrong with the rest. */
export function assignedNames(name: string, bytes: Uint8Array): string[] {
  const source = new Source(name, bytes);
  const ignored = new Diagnostics();
  const body = name.endsWith(".json")
    ? ({ kind: "json", value: readJson(source, ignored) } as const)
    : parseNative(source, ignored);
  return new ContentReader(source, ignored).justAttributes(body).map((attribute) => attribute.name);
}
