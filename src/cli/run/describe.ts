import type { Describe } from "../../local/life.ts";
import { resourceTree, templateTree } from "../show/tree.ts";
import type { Terminal } from "../terminal.ts";

/** How a local life shows what its jobs found. */
export function describe(terminal: Terminal): Describe {
  return {
    version: ({ parameters, presets, variables, workspaceTags }) =>
      templateTree(
        { parameters, presets, variables: variables.map(({ variable }) => variable), tags: workspaceTags },
        terminal,
      ),
    resources: (resources) => resourceTree(resources, terminal),
  };
}
