import { constants } from "node:fs";
import { access, readFile, statfs } from "node:fs/promises";
import { totalmem } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { usableMemory } from "../../agent/engine-tuning.ts";
import { jobEnvironment } from "../../agent/job-environment.ts";
import { isStateFolderTaken, stateFolderHolder } from "../../agent/state-lock.ts";
import type { StartSettings } from "../../config/start-settings.ts";
import { type Engine, findEngine } from "../../engine/find.ts";
import { pinnedTerraform } from "../../engine/pins.ts";
import { flavorNames } from "../../engine/version.ts";
import { OperatorError } from "../../kit/errors.ts";
import { get } from "../../link/http.ts";
import { chooseProxy } from "../../link/proxy.ts";
import { readTrust } from "../../link/trust.ts";
import { checkDiskSpace } from "../../terraform/provider-cache/disk-space.ts";
import type { Folders } from "../agent/folders.ts";
import { readOperatorConfig } from "../agent/operator-engine.ts";
import { type Examination, type Found, failureFinding } from "./examination.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";
import { networkWords } from "./reach.ts";
import { checkSources, providerSources } from "./registry.ts";
import type { Surroundings } from "./surroundings.ts";

const group = "This machine";

/** Looks at what jobs need here. Nothing is made or changed. */
export async function examineMachine(
  examination: Examination,
  start: StartSettings,
  surroundings: Surroundings,
  folders: Folders,
): Promise<void> {
  const { environment, clock } = surroundings;
  const check = <Out>(name: string, run: (signal: AbortSignal) => Promise<Found<Out>>) =>
    examination.check({ group, name, behind: true }, (_, signal) => run(signal));

  const engine = await check("engine", (signal) => checkEngine(start, surroundings, folders.cache, signal));
  await check("registry", async (signal) => {
    const blocks = await readOperatorConfig(environment, start.credentials === "ambient");
    const trust = await trustOf(start, surroundings);
    return checkSources(providerSources(blocks, engine?.flavor ?? "terraform"), { trust, environment, clock }, signal);
  });
  await check("folders", () => checkFolders(folders, environment["PATH"] ?? ""));
  await check("isolation", () => checkIsolation(start, environment["PATH"] ?? ""));
  await check("memory", () => checkMemory(start.slots));
  await check("jobs may see", async () => seesFinding(start, environment));
}

const trustOf = (start: StartSettings, { environment }: Surroundings) => {
  const { caFile, extraCaFile, certFile, certKeyFile: keyFile } = start;
  return readTrust({ caFile, extraCaFile, certFile, keyFile }, environment);
};

/** The engine that `start` would use; nothing is downloaded, but the mirror is asked where that would be next. */
async function checkEngine(
  start: StartSettings,
  surroundings: Surroundings,
  cacheFolder: string,
  signal: AbortSignal,
): Promise<Found<Engine>> {
  const { environment, clock } = surroundings;
  try {
    const pathVariable = environment["PATH"] ?? "";
    const options = { setting: start.engine, pathVariable, cacheFolder, download: undefined, clock };
    const engine = await findEngine(options, signal);
    const text = `${flavorNames[engine.flavor]} ${engine.version}, ${engine.path}`;
    if (!engine.warning) return { ...ok(text), value: engine };
    return { ...warn(`${text}: ${engine.warning}`, "OUT-NEW-ENGINE", "try a job of each template"), value: engine };
  } catch (error) {
    if (!(error instanceof OperatorError) || start.engine || !start.engineDownload) throw error;
    const mirror = new URL(start.engineMirror);
    const { context } = await trustOf(start, surroundings);
    const connector = { context, proxy: chooseProxy(mirror, environment), secure: mirror.protocol === "https:" };
    const url = new URL(`${start.engineMirror.replace(/\/+$/, "")}/terraform/${pinnedTerraform.version}/`);
    try {
      const { status } = await get(url, { connector, headers: {}, maxBytes: 1, clock }, signal);
      // A plain store of files has no listing of a folder, and says 403 or 404 there.
      if (status < 500 && status !== 407)
        return ok(`none yet: start downloads Terraform ${pinnedTerraform.version} from ${mirror.host}`);
      return failureFinding(withReason(error, `${mirror.host} answered ${status}`));
    } catch (cause) {
      signal.throwIfAborted();
      return failureFinding(withReason(error, `download from ${mirror.host}: ${networkWords(cause)}`));
    }
  }
}

function withReason(error: OperatorError, more: string): OperatorError {
  const { code, cure = "", exit } = error;
  const reason = (error.reason ?? "").replace("download: switched off", more);
  return new OperatorError(error.message, { code, cure, exit, reason, cause: error });
}

/** As before a job: below this nothing can be written, and below the other a large provider doesn't fit. */
const leastFreeBytes = 64 * 1024 ** 2;
const wantedFreeBytes = 1024 ** 3;

const folderFlags: Record<keyof Folders, string> = { state: "--state-dir", cache: "--cache-dir", work: "--work-dir" };

async function checkFolders(folders: Folders, pathVariable: string): Promise<Finding> {
  if (!(await inPath("flock", pathVariable)))
    return fail("no flock in PATH: folders can't be locked", "OUT-FOLDERS", "install util-linux");
  const words: string[] = [];
  let little: Finding | undefined;
  for (const kind of ["state", "cache", "work"] as const) {
    const path = folders[kind];
    const there = await nearest(path);
    const cure = `make it this user's (uid ${process.getuid?.()}), or choose another with ${folderFlags[kind]} PATH`;
    const problem = await access(there, constants.R_OK | constants.W_OK | constants.X_OK).then(
      () => undefined,
      (error: NodeJS.ErrnoException) => error.code,
    );
    if (problem) return fail(`${kind} folder "${path}": can't be written: ${problem} at ${there}`, "OUT-FOLDERS", cure);
    const room = `make room, or choose another with ${folderFlags[kind]} PATH`;
    const none = await checkDiskSpace(there, leastFreeBytes);
    if (none) return fail(`${kind} folder: ${none}`, "OUT-DISK", room);
    const tight = await checkDiskSpace(there, wantedFreeBytes);
    if (tight) little ??= warn(`${kind} folder: ${tight}`, "OUT-DISK", room);
    words.push(`${kind} ${await freeText(there)}`);
  }
  if (little) return little;
  const taken = await isStateFolderTaken(folders.state);
  const who = taken ? `an agent runs here (${await stateFolderHolder(folders.state)})` : "no other agent";
  return ok(`${words.join(", ")}; ${who}`);
}

/** The folder itself, or the nearest above it that exists: there it will be made. */
async function nearest(path: string): Promise<string> {
  const exists = await access(path).then(
    () => true,
    // A folder that may not be looked into is there, and is the problem.
    (error: NodeJS.ErrnoException) => error.code !== "ENOENT",
  );
  const above = dirname(path);
  return exists || above === path ? path : nearest(above);
}

async function freeText(folder: string): Promise<string> {
  const { bavail, bsize } = await statfs(folder);
  return `${((bavail * bsize) / 1024 ** 3).toFixed(1)} GiB free`;
}

/** What stands between jobs, and what this machine has for more. */
async function checkIsolation({ isolation }: StartSettings, pathVariable: string): Promise<Finding> {
  const apart = "run one agent for each group of people that may not see each other's credentials";
  if (isolation === "none") return warn("none: jobs run inside the agent", "OUT-ISOLATION", "leave --isolation out");
  const lacks: string[] = [];
  if (!(await inPath("bwrap", pathVariable))) lacks.push("bwrap in PATH");
  const namespaces = await sysText("/proc/sys/user/max_user_namespaces");
  const forbidden = await sysText("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
  if (namespaces === "0") lacks.push("user namespaces");
  if (forbidden === "1") lacks.push("user namespaces that AppArmor allows");
  const modules = await sysText("/sys/kernel/security/lsm");
  if (!modules?.split(",").includes("landlock")) lacks.push("landlock in the kernel");
  const text = "process: a worker of the same user for each job, no sandbox";
  const reason = lacks.length > 0 ? { reason: `for more, this machine lacks: ${lacks.join(", ")}` } : {};
  return { ...warn(text, "OUT-ISOLATION", apart), ...reason };
}

async function inPath(name: string, pathVariable: string): Promise<boolean> {
  for (const folder of pathVariable.split(delimiter)) {
    if (folder === "") continue;
    const found = await access(join(folder, name), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return true;
  }
  return false;
}

const sysText = (path: string): Promise<string | undefined> =>
  readFile(path, "utf8").then(
    (text) => text.trim(),
    () => undefined,
  );

/** Terraform with one large provider takes some hundred MiB. */
const perSlotBytes = 512 * 1024 ** 2;

async function checkMemory(slots: number): Promise<Finding> {
  const constrained = process.constrainedMemory();
  const usable = usableMemory(constrained, totalmem());
  const kind = constrained > 0 && constrained <= totalmem() ? "limit" : "machine";
  const text = `${kind} ${(usable / 1024 ** 3).toFixed(1)} GiB for ${slots} ${slots === 1 ? "slot" : "slots"}`;
  if (usable / slots < perSlotBytes) {
    const fitting = Math.max(1, Math.floor(usable / perSlotBytes));
    return warn(`${text}: less than 0.5 GiB each`, "OUT-MEMORY", `--slots ${fitting}, or a higher limit`);
  }
  // The container sees its own group as the root of the tree.
  if ((await sysText("/sys/fs/cgroup/memory.oom.group")) === "1") {
    const cure = "leave room: fewer slots or a higher limit";
    return warn(`${text}; out of memory ends the whole container, every job with it`, "OUT-OOM-GROUP", cure);
  }
  return ok(text);
}

function seesFinding(start: StartSettings, environment: Surroundings["environment"]): Finding {
  const secrets = [start.key, start.psk, start.token];
  const { passed } = jobEnvironment(start.credentials, start.jobEnvironment, environment, secrets);
  const names = [
    ...passed,
    ...start.jobFiles.map((file) => file.slice(0, file.indexOf("="))),
    ...(start.jobCommand ? ["what --job-command prints"] : []),
  ];
  return ok(`${start.credentials}: ${names.length > 0 ? names.join(", ") : "nothing"}; never: the key`);
}
