import type { TemplateVariable } from "../../src/gen/provisioner_pb.ts";
import type { TemplateFile } from "../../src/template/files.ts";

/** Files of a template's root folder out of their texts. */
export function templateFiles(texts: Record<string, string>): TemplateFile[] {
  return Object.entries(texts).map(([name, text]) => ({ name, bytes: Buffer.from(text) }));
}

/** As in the recorded cases: the proto's names, zero values left out. */
export function plainVariables(variables: readonly TemplateVariable[]): Record<string, unknown>[] {
  return variables.map(({ name, description, type, defaultValue, required, sensitive }) => {
    const all = { name, description, type, default_value: defaultValue, required, sensitive };
    return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== "" && value !== false));
  });
}
