import { stages } from "../contract/stages.ts";
import { LogLevel } from "../gen/provisioner_pb.ts";
import { messageOf } from "../kit/errors.ts";
import type { BuildJob } from "./job.ts";
import type { Pipeline } from "./pipeline.ts";

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const none = new Uint8Array();

/**
 * The archive of modules that the import left at the control plane; empty when there is none, or when it can't be had:
 * Init then fetches the modules itself, so that no build fails for its cache (W25). An interrupt is thrown.
 */
export async function cachedModules(job: BuildJob, { controlPlane, steps, updates }: Pipeline): Promise<Uint8Array> {
  const fileId = job.metadata.templateVersionModulesFile;
  // A server that can't be asked sends no id; if one did, calling an unknown method would cost a stream (spec/01 §5.5).
  if (!fileId || !controlPlane.features.downloadFile) return none;
  const without = (why: string) => {
    updates.say(LogLevel.WARN, stages.settingUp, `cached modules: ${why}: they are fetched from their sources instead`);
    return none;
  };
  if (!uuid.test(fileId)) return without(`file id "${fileId}": it must be a UUID`);
  return await steps.run("download", stages.settingUp, async (signal) => {
    try {
      return await controlPlane.downloadModuleFiles(fileId, signal);
    } catch (error) {
      signal.throwIfAborted();
      return without(messageOf(error));
    }
  });
}
