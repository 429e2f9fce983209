import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { isTemplateFile, type TemplateFile } from "../template/files.ts";
import { readPrivateFile } from "./state-file.ts";

/** A template's file at its biggest (spec/03 §1.3). */
export const maxTemplateFileBytes = 10 * 1024 * 1024;

/** The configuration files of a session folder's root. */
export async function readTemplateFiles(folder: string): Promise<TemplateFile[]> {
  const files: TemplateFile[] = [];
  for (const name of (await readdir(folder)).filter(isTemplateFile)) {
    const file = await readPrivateFile(join(folder, name), maxTemplateFileBytes);
    if (file.kind === "file") files.push({ name, bytes: file.bytes });
  }
  return files;
}
