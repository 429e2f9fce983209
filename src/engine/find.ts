import { constants } from "node:fs";
import { access, rm, stat } from "node:fs/promises";
import { delimiter, isAbsolute, join, resolve } from "node:path";
import type { Clock } from "../kit/clock.ts";
import { exitCode, messageOf, OperatorError, TransientError } from "../kit/errors.ts";
import { cachedEngine, type DownloadOptions, downloadEngine, exists, type Release } from "./download.ts";
import { type Pins, pinnedTerraform, releasePlatform } from "./pins.ts";
import { EngineProbe } from "./probe.ts";
import { type Flavor, requireSupported, warningOf } from "./version.ts";

/** The binary that runs jobs. */
export interface Engine {
  /** Absolute. */
  path: string;
  version: string;
  flavor: Flavor;
  source: "setting" | "PATH" | "cache" | "download";
  /** A sentence for the operator, where there is one. */
  warning: string | undefined;
}

export interface FindEngineOptions {
  /** A path that somebody chose: then nothing else is looked at. */
  setting?: string | undefined;
  /** Value of PATH. */
  pathVariable: string;
  /** Our own; jobs can't write there. */
  cacheFolder: string;
  /** Undefined: nothing is downloaded. */
  download: DownloadOptions | undefined;
  clock: Clock;
  /** The agent's own, so that each binary is asked once; a new one by default. */
  probe?: EngineProbe;
  /** What is downloaded and on what machine; for tests. */
  pins?: Pins;
  platform?: string;
}

/**
 * Finds the engine: the setting; `terraform`, then `tofu` in PATH; our cache; a verified download (spec/03 §2.2, §2.3). One
 * that does not answer or is too old counts as none. Throws an OperatorError (OUT-NO-ENGINE, exit 78) that says what was
 * looked for, where, and how to get one; OUT-ENGINE-HASH where a download was not what it should be.
 */
export async function findEngine(options: FindEngineOptions, signal: AbortSignal): Promise<Engine> {
  signal.throwIfAborted();
  const { setting, cacheFolder, download, clock } = options;
  const probe = options.probe ?? new EngineProbe(clock, options.pathVariable);
  const use = async (path: string, source: Engine["source"]): Promise<Engine> => {
    const found = await probe.version(path, signal);
    requireSupported(found.version);
    return { path, ...found, source, warning: warningOf(found) };
  };
  const tried: string[] = [];
  const attempt = async (path: string, source: Engine["source"]): Promise<Engine | undefined> => {
    try {
      return await use(path, source);
    } catch (error) {
      signal.throwIfAborted();
      tried.push(`${path}: ${messageOf(error)}`);
      return undefined;
    }
  };

  if (setting) {
    const engine = await attempt(resolve(setting), "setting");
    if (engine) return engine;
    throw noEngine(`use engine "${setting}": it can't run jobs`, tried);
  }
  for (const name of ["terraform", "tofu"]) {
    const path = await lookUp(name, options.pathVariable);
    const engine = path && (await attempt(path, "PATH"));
    if (engine) return engine;
    if (!path) tried.push(`${name}: not in PATH`);
  }
  const { pins = pinnedTerraform, platform = releasePlatform(process.platform, process.arch) } = options;
  const release: Release = { pins, platform, cacheFolder };
  const cached = cachedEngine(release);
  if (await exists(cached)) {
    const engine = await attempt(cached, "cache");
    if (engine) return engine;
  } else {
    tried.push(`${cached}: not there`);
  }
  if (!download) tried.push("download: switched off");
  else if (!pins.zips[platform]) tried.push(`download: no pinned release for ${platform}`);
  else {
    try {
      // One that is there and unusable would only be found again.
      await rm(cached, { force: true });
      return await use(await downloadEngine(release, download, clock, signal), "download");
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof OperatorError && error.code === "OUT-ENGINE-HASH") throw error;
      tried.push(error instanceof TransientError ? messageOf(error) : `download: ${messageOf(error)}`);
    }
  }
  throw noEngine("find engine: no Terraform or OpenTofu that can run jobs", tried);
}

function noEngine(what: string, tried: string[]): OperatorError {
  return new OperatorError(what, {
    code: "OUT-NO-ENGINE",
    reason: tried.join("; "),
    cure:
      "install Terraform or OpenTofu 1.1.0 or newer into PATH, or name one with --engine PATH, " +
      "or allow the download with --engine-download (and --engine-mirror URL where the internet is closed)",
    exit: exitCode.unfit,
  });
}

/** The first program of that name in PATH. Relative parts don't count: who controls the current folder is nobody's choice. */
async function lookUp(name: string, pathVariable: string): Promise<string | undefined> {
  for (const folder of pathVariable.split(delimiter)) {
    if (!isAbsolute(folder)) continue;
    const path = join(folder, name);
    const isProgram = await access(path, constants.X_OK).then(
      async () => (await stat(path)).isFile(),
      () => false,
    );
    if (isProgram) return path;
  }
  return undefined;
}
