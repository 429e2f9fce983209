import { readFile } from "node:fs/promises";
export async function readStateFile(path: string): Promise<Uint8Array | undefined> {
  return readFile(path).catch(() => undefined);
}
