import { randomBytes } from "node:crypto";
import { lstat, readFile, realpath, rm, utimes, writeFile } from "node:fs/promises";
import { join, sep } from "node:path";
import type { Clock } from "../../kit/clock.ts";
import { messageOf } from "../../kit/errors.ts";
import { makePrivateFolder } from "../../kit/files.ts";
import { type Lock, tryLock } from "../../kit/lock.ts";
import { type Attempt, cliConfigFor, nextAttempt } from "./attempts.ts";
import { cacheLayout, sourceName } from "./layout.ts";
import { dropEntry, linkPackage } from "./link.ts";
import { hashSetId, maxLockBytes, type ProviderLock, readLock, withHash } from "./lock-file.ts";
import { packageHash } from "./package-hash.ts";
import { listPackages, type PackageId, packagePath } from "./package-tree.ts";
import { promotePackage } from "./promote.ts";
import { type PackageRecord, recordFile } from "./record.ts";

export interface LeaseOptions {
  /** The provider cache's folder; undefined where there is none: then every `init` is Terraform's own. */
  folder: string | undefined;
  /** `linux_amd64` and the like: what the engine runs on. */
  platform: string;
  /** The operator's installation, credentials and host blocks, or "". */
  operatorBlocks: string;
  /** The job's working directory, with the template in it. */
  workFolder: string;
  /** Takes a line for the job's log. */
  say: (line: string) => void;
  clock: Clock;
}

/** How one run of `init` ended: `failure` has the text of its diagnostics, and is undefined when it worked. */
export interface InitRun {
  failure: string | undefined;
}

/**
 * A job's view of the provider cache, from before `init` to the end of its last command.
 *
 * Terraform gets a plugin cache of the job's own, filled with hard links of the shared store: it asks the operator's
 * sources (the registry, a mirror) for versions as ever, and takes from here the packages that it would download. It
 * never sees the store, so N jobs and several agents can't meet in it, and nothing there is rewritten while it is
 * executed. The links could stand in front as a filesystem mirror instead; but then versions that a registry or an operator's
 * mirror has withdrawn would still be chosen, `include` and `exclude` would be bypassed, and Terraform calls its packages
 * "unauthenticated". The price is that `providers` must be writable for `init`: a wall mounts each package in it
 * read-only, see `packages`.
 *
 *  - held: the folder exists, a kernel lock on the file beside it says that it is ours
 *  - disposed: both are gone. Who dies leaves them, and `trimStore` sweeps what nobody holds
 *
 * A cache that can't be used never fails a job: it says one line, and `init` runs without.
 */
export interface Lease extends AsyncDisposable {
  /** Absolute path of the job's plugin cache, which Terraform's links point into; undefined without a cache. */
  readonly folder: string | undefined;
  /** Absolute paths of the packages in it that are shared with other jobs: read-only for whatever the job runs. */
  readonly packages: readonly string[];
  /**
   * Runs `init` with a CLI configuration, which stays the job's for all its other commands. When the cache is to blame for
   * a failure it runs once more without it; when the sources can't be reached it runs once more with the cache alone, and
   * if that fails too, the first failure is the answer. Then packages that are new are taken into the store.
   */
  init<R extends InitRun>(run: (cliConfig: string) => Promise<R>, signal: AbortSignal): Promise<R>;
}

/** Makes a job's view of the cache. Rejects only when `signal` aborts. */
export async function openLease(options: LeaseOptions, signal: AbortSignal): Promise<Lease> {
  if (options.folder === undefined) return new NoCache(options);
  try {
    const lease = await JobCache.open(options.folder, options);
    try {
      await lease.fill(signal);
      return lease;
    } catch (error) {
      await lease[Symbol.asyncDispose]();
      throw error;
    }
  } catch (error) {
    signal.throwIfAborted();
    options.say(`The provider cache can't be used, so providers are downloaded: ${messageOf(error)}`);
    return new NoCache(options);
  }
}

class NoCache implements Lease {
  readonly folder = undefined;
  readonly packages: readonly string[] = [];
  constructor(private readonly options: LeaseOptions) {}

  init<R extends InitRun>(run: (cliConfig: string) => Promise<R>): Promise<R> {
    return run(cliConfigFor("without cache", undefined, this.options.operatorBlocks));
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** A package of the store that stands in the lease. */
interface Shared {
  entry: string;
  id: PackageId;
  record: PackageRecord;
}

class JobCache implements Lease {
  readonly folder: string;
  readonly #options: LeaseOptions;
  readonly #root: string;
  readonly #store: string;
  readonly #lock: Lock;
  /** By path below `folder`. */
  readonly #shared = new Map<string, Shared>();
  /** The template's lock file: its text, and what it says; undefined where we can't tell. */
  #lockText = "";
  #locks: Map<string, ProviderLock> | undefined = new Map();
  #temporaries = 0;

  private constructor(options: LeaseOptions, root: string, store: string, lock: Lock) {
    this.#options = options;
    this.#root = root;
    this.#store = store;
    this.#lock = lock;
    this.folder = join(root, "providers");
  }

  static async open(folder: string, options: LeaseOptions): Promise<JobCache> {
    const layout = cacheLayout(folder);
    await makePrivateFolder(layout.leases);
    const root = join(await realpath(layout.leases), randomBytes(8).toString("hex"));
    const lock = await tryLock(`${root}.lock`);
    // A sweeper may have taken the file between its making and its lock: then ours is a lock on nothing.
    if (!lock || !(await exists(`${root}.lock`))) {
      await lock?.[Symbol.asyncDispose]();
      return JobCache.open(folder, options);
    }
    const lease = new JobCache(options, root, join(layout.packages, sourceName(options.operatorBlocks)), lock);
    await makePrivateFolder(lease.folder);
    await makePrivateFolder(join(root, "new"));
    return lease;
  }

  get packages(): readonly string[] {
    return [...this.#shared.keys()].map((path) => join(this.folder, path));
  }

  /** Links what the template's lock file allows. */
  async fill(signal: AbortSignal): Promise<void> {
    await this.#readLockFile();
    if (!this.#locks) {
      this.#options.say("The template's lock file is not as Terraform writes it, so its providers are downloaded.");
      return;
    }
    for (const id of await listPackages(this.#store)) {
      signal.throwIfAborted();
      const lock = this.#locks.get(id.provider);
      if (id.platform !== this.#options.platform || (lock && lock.version !== id.version)) continue;
      const path = packagePath(id);
      const entry = join(this.#store, path);
      const record = await linkPackage(entry, join(this.folder, path), this.#temporary(), signal);
      if (!record) continue;
      if (lock && !allows(lock, record)) await rm(join(this.folder, path), { recursive: true, force: true });
      else this.#shared.set(path, { entry, id, record });
    }
  }

  async init<R extends InitRun>(run: (cliConfig: string) => Promise<R>, signal: AbortSignal): Promise<R> {
    const config = (attempt: Attempt) => cliConfigFor(attempt, this.folder, this.#options.operatorBlocks);
    await this.#prepare("cache");
    const first = await run(config("cache"));
    const next = first.failure === undefined ? undefined : nextAttempt(first.failure, "cache");
    if (!next || signal.aborted || (next.attempt === "offline" && this.#shared.size === 0)) {
      if (first.failure === undefined) await this.#settle(signal);
      return first;
    }
    if (next.attempt === "without cache") await this.#distrust(first.failure ?? "", signal);
    await this.#prepare(next.attempt);
    this.#options.say(next.say);
    const second = await run(config(next.attempt));
    if (second.failure === undefined) await this.#settle(signal);
    return second.failure !== undefined && next.attempt === "offline" ? first : second;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await rm(this.#root, { recursive: true, force: true });
      await rm(`${this.#root}.lock`, { force: true });
    } catch (error) {
      this.#options.say(`A folder of the provider cache stays until the next sweep: ${messageOf(error)}`);
    } finally {
      await this.#lock[Symbol.asyncDispose]();
    }
  }

  async #readLockFile(): Promise<void> {
    const file = join(this.#options.workFolder, lockFileName);
    const found = await lstat(file).catch(() => undefined);
    if (!found) return;
    if (!found.isFile() || found.size > maxLockBytes) {
      this.#locks = undefined;
      return;
    }
    this.#lockText = await readFile(file, "utf8");
    this.#locks = readLock(this.#lockText);
  }

  /**
   * The state from which each attempt starts: nothing that an earlier one installed (Terraform would unpack through a
   * link that it finds there, into the shared files), and the lock file with the hashes of the cached packages that it allows.
   */
  async #prepare(attempt: Attempt): Promise<void> {
    const { workFolder } = this.#options;
    await rm(join(workFolder, ".terraform", "providers"), { recursive: true, force: true });
    for (const id of await listPackages(this.folder)) {
      const path = packagePath(id);
      if (!this.#shared.has(path)) await rm(join(this.folder, path), { recursive: true, force: true });
    }
    let text = this.#lockText;
    for (const { id, record } of this.#shared.values()) {
      const lock = this.#locks?.get(id.provider);
      if (attempt !== "without cache" && lock && lock.hashes.length > 0 && !lock.hashes.includes(record.h1))
        text = withHash(text, id.provider, record.h1);
    }
    if (this.#lockText !== "") await writeFile(join(workFolder, lockFileName), text);
  }

  /** After `init`: stamps what was used, keeps what is new, gives back what was not used. */
  async #settle(signal: AbortSignal): Promise<void> {
    const installed = join(this.#options.workFolder, ".terraform", "providers");
    const lockText = await readFile(join(this.#options.workFolder, lockFileName), "utf8").catch(() => "");
    const locks = readLock(lockText);
    const used = new Set<string>();
    for (const id of await listPackages(installed)) {
      const path = packagePath(id);
      try {
        const from = await realpath(join(installed, path));
        const shared = this.#shared.get(path);
        if (shared && from === join(this.folder, path)) {
          used.add(path);
          const now = new Date(this.#options.clock.now());
          // It may have been evicted between our look at it and our links: those stay good.
          await utimes(join(shared.entry, recordFile), now, now).catch(() => undefined);
        } else {
          await this.#keep(id, from, locks?.get(id.provider), signal);
        }
      } catch (error) {
        if (signal.aborted) return;
        this.#options.say(`Provider "${id.provider}" could not be taken into the cache: ${messageOf(error)}`);
      }
    }
    for (const path of this.#shared.keys()) {
      if (used.has(path)) continue;
      this.#shared.delete(path);
      await rm(join(this.folder, path), { recursive: true, force: true }).catch(() => undefined);
    }
  }

  /** Takes a package into the store that this job's `init` has unpacked. A link that leads elsewhere is the operator's own mirror. */
  async #keep(id: PackageId, from: string, lock: ProviderLock | undefined, signal: AbortSignal): Promise<void> {
    const ours = [this.folder, await realpath(this.#options.workFolder)].some((folder) =>
      from.startsWith(folder + sep),
    );
    if (!ours || lock?.version !== id.version) return;
    const before = this.#locks?.get(id.provider)?.hashes ?? [];
    const entry = join(this.#store, packagePath(id));
    const accepted = before.length > 0 ? hashSetId(before) : undefined;
    await promotePackage({ from, entry, temporary: this.#temporary(), hashes: lock.hashes, accepted }, signal);
  }

  /** After a package was not accepted: looks at those that the failure names with all their bytes, and drops what is damaged. */
  async #distrust(failure: string, signal: AbortSignal): Promise<void> {
    for (const [path, { entry, id, record }] of this.#shared) {
      if (!failure.includes(id.provider.replace(/^registry\.(terraform\.io|opentofu\.org)\//, ""))) continue;
      const paths = record.files.map((file) => file.path);
      const hash = await packageHash(join(this.folder, path), paths, signal).catch(() => undefined);
      if (hash !== record.h1) await dropEntry(entry, this.#temporary());
    }
  }

  #temporary(): string {
    return join(this.#root, "new", `${this.#temporaries++}`);
  }
}

const lockFileName = ".terraform.lock.hcl";

/** Whether a job with this lock may get this package. */
function allows(lock: ProviderLock, { h1, accepted }: PackageRecord): boolean {
  return lock.hashes.length === 0 || lock.hashes.includes(h1) || accepted.includes(hashSetId(lock.hashes));
}

const exists = (path: string) =>
  lstat(path).then(
    () => true,
    () => false,
  );
