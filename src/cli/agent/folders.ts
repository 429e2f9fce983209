import { homedir, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { maxWorkFolderBytes } from "../../agent/work-folder.ts";
import { exitCode, messageOf, OperatorError } from "../../kit/errors.ts";
import { makePrivateFolder } from "../../kit/files.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface Folders {
  /** Engine and providers; may be lost. */
  cache: string;
  /** What must survive a restart. */
  state: string;
  /** Folders of running jobs. */
  work: string;
}

/** The folders as set, else where the user's own files of that kind go; systemd's variables count first. */
export function chooseFolders(set: Folders, environment: Environment): Folders {
  const home = environment["HOME"] || homedir();
  return {
    cache:
      set.cache ||
      join(environment["CACHE_DIRECTORY"] || environment["XDG_CACHE_HOME"] || join(home, ".cache"), "outpost"),
    state:
      set.state ||
      join(environment["STATE_DIRECTORY"] || environment["XDG_STATE_HOME"] || join(home, ".local", "state"), "outpost"),
    work: set.work || join(tmpdir(), `outpost-${userInfo().uid}`),
  };
}

/** Makes all three, private; what can't be made is an OperatorError that names the setting. */
export async function makeFolders(folders: Folders): Promise<void> {
  if (Buffer.byteLength(folders.work) > maxWorkFolderBytes)
    throw new OperatorError(`work folder "${folders.work}": its path is too long`, {
      code: "OUT-FOLDERS",
      reason: `providers make sockets inside, and the kernel takes short paths only: at most ${maxWorkFolderBytes} bytes`,
      cure: "choose a shorter one with --work-dir PATH",
      exit: exitCode.usage,
    });
  const settings = { cache: "--cache-dir", state: "--state-dir", work: "--work-dir" } as const;
  for (const [kind, path] of Object.entries(folders) as Array<[keyof Folders, string]>) {
    await makePrivateFolder(path).catch((error: unknown) => {
      throw new OperatorError(`make ${kind} folder "${path}": ${messageOf(error)}`, {
        code: "OUT-FOLDERS",
        cure: `choose another with ${settings[kind]} PATH`,
        exit: exitCode.usage,
        cause: error,
      });
    });
  }
}
