import { homedir } from "node:os";
import { join } from "node:path";
import { exitCode, OperatorError } from "../kit/errors.ts";
import type { Problem, Resolved } from "./resolve.ts";
import { withDefault } from "./setting.ts";
import { startProblems, startSettings } from "./start-settings.ts";

/**
 * The settings of the spellings that people know from Coder, with Coder's defaults: templates find the environment that they
 * had, logs are for people and hold the jobs' lines, and the cache is where it was (spec/02 §6.1).
 */
export function dropInSettings(environment: Readonly<Record<string, string | undefined>>): typeof startSettings {
  const { logHuman } = startSettings;
  return {
    ...startSettings,
    cacheFolder: withDefault(startSettings.cacheFolder, coderCache(environment)),
    credentials: withDefault(startSettings.credentials, "ambient"),
    jobLogs: withDefault(startSettings.jobLogs, "all"),
    logFormat: withDefault(startSettings.logFormat, "human"),
    // Empty is none here, as with Coder; elsewhere it is as if it were not given.
    logHuman: withDefault(
      { ...logHuman, read: (texts) => (texts[0] === "" ? "/dev/null" : logHuman.read(texts)) },
      "/dev/stderr",
    ),
  };
}

function coderCache(environment: Readonly<Record<string, string | undefined>>): string {
  const user = environment["XDG_CACHE_HOME"] || join(environment["HOME"] || homedir(), ".cache");
  return join(environment["CACHE_DIRECTORY"] || user, "coder");
}

/** All problems in the order in which Coder looks: values, rules, then the form of tags and of the name (spec/02 §6.1). */
export function dropInProblems(resolved: Resolved<typeof startSettings>): Problem[] {
  const of = (...flags: string[]) => resolved.problems.filter(({ setting = "" }) => flags.includes(setting));
  const late = [...of("tag"), ...of("name")];
  return [...resolved.problems.filter((problem) => !late.includes(problem)), ...startProblems(resolved), ...late];
}

/** All problems on one line, with the exit code that Coder has for every error at start. */
export function dropInSettingsError(problems: readonly Problem[]): OperatorError {
  const text = problems.map((problem) => `${problem.place}: ${problem.text}`).join("; also ");
  return new OperatorError(text, { code: "OUT-SETTINGS", exit: exitCode.failed });
}
