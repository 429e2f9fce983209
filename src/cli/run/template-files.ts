import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { isTemplateFile, type TemplateFile } from "../../template/files.ts";

/** The source files of a template's root folder. */
export async function templateFiles(folder: string): Promise<TemplateFile[]> {
  const names = (await readdir(folder)).filter(isTemplateFile);
  return Promise.all(names.map(async (name) => ({ name, bytes: await readFile(join(folder, name)) })));
}
