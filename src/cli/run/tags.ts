import { exitCode, OperatorError } from "../../kit/errors.ts";
import { foldWorkspaceTags } from "../../plane/workspace-tags.ts";
import type { TemplateFile } from "../../template/files.ts";
import { parseTemplate } from "../../template/parse.ts";

/**
 * Tags of the local key and of the template's jobs: those that are asked for and those that the template gives its
 * workspaces, so that the one agent there is may take every job. Tags that are no constants are left to the build, which
 * names them.
 */
export function localTags(flags: readonly string[], files: readonly TemplateFile[]): Record<string, string> {
  const asked = flags.map((flag): [string, string] => {
    const at = flag.indexOf("=");
    if (at < 1)
      throw new OperatorError(`--tag "${flag}": must be KEY=VALUE`, { code: "OUT-INPUTS", exit: exitCode.usage });
    return [flag.slice(0, at), flag.slice(at + 1)];
  });
  let ofTemplate: Record<string, string> = {};
  try {
    ofTemplate = { ...foldWorkspaceTags(parseTemplate(files).workspaceTags) };
  } catch {
    // The import, or the build, says what is wrong in its own words.
  }
  return { ...ofTemplate, ...Object.fromEntries(asked) };
}
