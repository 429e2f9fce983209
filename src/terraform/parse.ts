import { join } from "node:path";
import type { Parsed } from "../session/types.ts";
import { parseTemplate } from "../template/parse.ts";
import type { Bench } from "./bench.ts";
import { readPrivateFile } from "./state-file.ts";
import { maxTemplateFileBytes, readTemplateFiles } from "./template-files.ts";

/** Reads the template's source and its README; runs nothing (spec/03 §0.1 rule 9, spec/04 §7). */
export async function parse(bench: Bench): Promise<Parsed> {
  const { path } = bench.folder;
  const parsed = parseTemplate(await readTemplateFiles(path));
  const readme = await readPrivateFile(join(path, "README.md"), maxTemplateFileBytes);
  return { ...parsed, readme: readme.kind === "file" ? readme.bytes : new Uint8Array() };
}
