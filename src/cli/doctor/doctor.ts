import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { defaultName } from "../../link/identity.ts";
import { chooseFolders } from "../agent/folders.ts";
import { examineControlPlane } from "./control-plane.ts";
import { Examination } from "./examination.ts";
import type { Check } from "./finding.ts";
import { examineMachine } from "./machine.ts";
import type { DoctorSettings, Surroundings } from "./surroundings.ts";

/** Runs every check, tells each as it is done, and returns them all. Changes nothing here, and without `connect` nothing there. */
export async function examine(
  settings: DoctorSettings,
  surroundings: Surroundings,
  onCheck: (check: Check) => void,
): Promise<readonly Check[]> {
  const { start } = settings;
  const folders = chooseFolders(
    { cache: start.cacheFolder, state: start.stateFolder, work: start.workFolder },
    surroundings.environment,
  );
  const kept = (await readFile(join(folders.state, "name"), "utf8").catch(() => "")).trim();
  const name = start.name || kept || defaultName(surroundings.hostName);
  using examination = new Examination(surroundings.clock, onCheck);
  await examineControlPlane(examination, settings, surroundings, { name, stateFolder: folders.state });
  await examineMachine(examination, start, surroundings, folders);
  return examination.checks;
}
