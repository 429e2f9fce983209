import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { readStateFile } from "../../terraform/state-file.ts";

/**
 * The newest state that a job's worker left on disk when it died: read by the agent itself, the one exception to "the agent
 * never parses what a job made", with no link followed, a regular file only, and a size limit. Undefined where there is none.
 */
export async function readLeftState(workRoot: string): Promise<Uint8Array | undefined> {
  for (const session of await readdir(workRoot)) {
    if (!session.startsWith("Session")) continue;
    const state = await readStateFile(join(workRoot, session, "terraform.tfstate"));
    if (state) return state;
  }
  return undefined;
}
