import { compareBytes } from "./value.ts";

/** A file of a template's root folder. */
export interface TemplateFile {
  name: string;
  bytes: Uint8Array;
}

/** Whether Terraform's loader reads a file of this name (spec/04 §7.1). */
export function isTemplateFile(name: string): boolean {
  if (name.startsWith(".") || name.endsWith("~") || name.includes("/")) return false;
  return !(name.startsWith("#") && name.endsWith("#")) && /\.tf(\.json)?$/.test(name);
}

const isOverride = (name: string) => /^(.*_)?override\.tf(\.json)?$/s.test(name);

/** The files that count, in the order in which they are read: by name, overrides last. */
export function inReadingOrder(files: readonly TemplateFile[]): TemplateFile[] {
  return files
    .filter((file) => isTemplateFile(file.name))
    .sort((a, b) => Number(isOverride(a.name)) - Number(isOverride(b.name)) || compareBytes(a.name, b.name));
}
