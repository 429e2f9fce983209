import { randomBytes } from "node:crypto";
import { lstat, realpath, rm, utimes } from "node:fs/promises";
import { join, sep } from "node:path";
import type { Clock } from "../../kit/clock.ts";
import { messageOf } from "../../kit/errors.ts";
import { makePrivateFolder } from "../../kit/files.ts";
import { type Lock, tryLock } from "../../kit/lock.ts";
import { type Attempt, cliConfigFor, nextAttempt } from "./attempts.ts";
import { cacheLayout, sourceName } from "./layout.ts";
import { dropEntry, linkPackage } from "./link.ts";
import type { ProviderLock } from "./lock-file.ts";
import { packageHash } from "./package-hash.ts";
import { listPackages, type PackageId, packagePath } from "./package-tree.ts";
import { promotePackage } from "./promote.ts";
import { type PackageRecord, recordFile } from "./record.ts";
import { TemplateLock } from "./template-lock.ts";

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
 * A job's view of the provider cache, from before `init` to the end of its last command. One for each `init`.
 *
 * Terraform gets a plugin cache of the job's own, filled with hard links of the shared store: it asks the operator's
 * sources (the registry, a mirror) for versions as ever, and takes from here the packages that it would download. It
 * never sees the store, so N jobs and several agents can't meet in it, and nothing there is rewritten while it is
 * executed. The links could stand in front as a filesystem mirror instead; but then versions that a registry or an
 * operator's mirror has withdrawn would still be chosen, `include` and `exclude` would be bypassed, and Terraform calls
 * its packages "unauthenticated". The price is that `folder` must be writable for `init`.
 *
 *  - held: the folder exists, a kernel lock on the file beside it says that it is ours
 *  - disposed: both are gone. Who dies leaves them, and `trimStore` sweeps what nobody holds
 *
 * A cache that can't be used never fails a job: it says one line, and `init` runs without.
 *
 * Not defended here: what runs as the same user can write through a link, or into the store itself. Behind a wall,
 * mount `folder` writable and each of `packages` read-only over it.
 */
export interface Lease extends AsyncDisposable {
  /** Absolute path of the job's plugin cache, which Terraform's links point into; undefined without a cache. */
  readonly folder: string | undefined;
  /** Absolute paths of the packages in it that are shared with other jobs: read-only for whatever the job runs. */
  readonly packages: readonly string[];
  /**
   * Runs `init` with a CLI configuration, which stays the job's for all its other commands. When the cache is to blame
   * for a failure it runs once more without it; when the sources can't be reached it runs once more with the cache
   * alone, and if that fails too, the first failure is the answer. Then packages that are new are taken into the store.
   */
  init<R extends InitRun>(run: (cliConfig: string) => Promise<R>, signal: AbortSignal): Promise<R>;
}

/** Makes a job's view of the cache. Rejects only when `signal` aborts. */
export async function openLease(options: LeaseOptions, signal: AbortSignal): Promise<Lease> {
  if (options.folder === undefined) return new NoCache(options);
  // Terraform takes providers from here before it asks anyone: what a template brings must not become other jobs'.
  if (await exists(join(options.workFolder, "terraform.d", "plugins"))) {
    options.say("The template brings providers of its own, so the provider cache is not used.");
    return new NoCache(options);
  }
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
  readonly #template: TemplateLock;
  #temporaries = 0;

  private constructor(options: LeaseOptions, root: string, store: string, lock: Lock, template: TemplateLock) {
    this.#options = options;
    this.#root = root;
    this.#store = store;
    this.#lock = lock;
    this.#template = template;
    this.folder = join(root, "providers");
  }

  static async open(folder: string, options: LeaseOptions): Promise<JobCache> {
    const template = await TemplateLock.read(options.workFolder);
    const layout = cacheLayout(folder);
    await makePrivateFolder(layout.leases);
    const { root, lock } = await claim(await realpath(layout.leases));
    const store = join(layout.packages, sourceName(options.operatorBlocks));
    const lease = new JobCache(options, root, store, lock, template);
    try {
      await makePrivateFolder(lease.folder);
      await makePrivateFolder(join(root, "new"));
      return lease;
    } catch (error) {
      await lease[Symbol.asyncDispose]();
      throw error;
    }
  }

  get packages(): readonly string[] {
    return [...this.#shared.keys()].map((path) => join(this.folder, path));
  }

  /** Links what the template's lock file allows. */
  async fill(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!this.#template.locks)
      this.#options.say("The template's lock file is not as Terraform writes it, so its providers are downloaded.");
    for (const id of await listPackages(this.#store)) {
      signal.throwIfAborted();
      if (id.platform !== this.#options.platform || !this.#template.names(id)) continue;
      const path = packagePath(id);
      const entry = join(this.#store, path);
      const target = join(this.folder, path);
      const record = await linkPackage(entry, target, this.#temporary(), signal);
      if (record && this.#template.allows(id, record)) this.#shared.set(path, { entry, id, record });
      else await rm(target, { recursive: true, force: true });
    }
  }

  async init<R extends InitRun>(run: (cliConfig: string) => Promise<R>, signal: AbortSignal): Promise<R> {
    const first = await this.#try("cache", run);
    if (first.failure === undefined) {
      await this.#settle(signal);
      return first;
    }
    const next = nextAttempt(first.failure, "cache");
    if (!next || signal.aborted || (next.attempt === "offline" && this.#shared.size === 0)) return first;
    if (next.attempt === "without cache") await this.#distrust(first.failure, signal);
    if (signal.aborted) return first;
    this.#options.say(next.say);
    const second = await this.#try(next.attempt, run);
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

  /**
   * One attempt. Nothing that an earlier one installed may be there: Terraform would unpack through a link that it
   * finds, into the shared files.
   */
  async #try<R>(attempt: Attempt, run: (cliConfig: string) => Promise<R>): Promise<R> {
    await rm(this.#installed, { recursive: true, force: true });
    for (const id of await listPackages(this.folder)) {
      const path = packagePath(id);
      if (!this.#shared.has(path)) await rm(join(this.folder, path), { recursive: true, force: true });
    }
    await this.#template.write(attempt === "without cache" ? [] : this.#shared.values());
    return await run(cliConfigFor(attempt, this.folder, this.#options.operatorBlocks));
  }

  /** After `init`: stamps what was used, keeps what is new, gives back what was not used. */
  async #settle(signal: AbortSignal): Promise<void> {
    const lockFile = await TemplateLock.read(this.#options.workFolder).catch(() => undefined);
    const used = new Set<string>();
    for (const id of await listPackages(this.#installed)) {
      const path = packagePath(id);
      try {
        const from = await realpath(join(this.#installed, path));
        const shared = this.#shared.get(path);
        if (shared && from === join(this.folder, path)) {
          used.add(path);
          const now = new Date(this.#options.clock.now());
          // It may have been evicted between our look at it and our links: those stay good.
          await utimes(join(shared.entry, recordFile), now, now).catch(() => undefined);
        } else {
          await this.#keep(id, from, lockFile?.locks?.get(id.provider), signal);
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

  /**
   * Takes a package into the store that this job's `init` has unpacked. A link that leads elsewhere is somebody's
   * mirror.
   */
  async #keep(id: PackageId, from: string, lock: ProviderLock | undefined, signal: AbortSignal): Promise<void> {
    const places = [this.folder, await realpath(this.#installed)];
    if (lock?.version !== id.version || !places.some((place) => from.startsWith(place + sep))) return;
    const promotion = {
      from,
      entry: join(this.#store, packagePath(id)),
      temporary: this.#temporary(),
      hashes: lock.hashes,
      accepted: this.#template.hashSet(id),
    };
    await promotePackage(promotion, signal);
  }

  /**
   * After a package was not accepted: looks at those that the failure names with all their bytes, and drops what is
   * damaged.
   */
  async #distrust(failure: string, signal: AbortSignal): Promise<void> {
    for (const [path, { entry, id, record }] of this.#shared) {
      if (!failure.includes(id.provider.replace(/^registry\.(terraform\.io|opentofu\.org)\//, ""))) continue;
      const paths = record.files.map((file) => file.path);
      const hash = await packageHash(join(this.folder, path), paths, signal).catch(() => undefined);
      if (hash !== record.h1 && !signal.aborted) await dropEntry(entry, this.#temporary());
    }
  }

  get #installed(): string {
    return join(this.#options.workFolder, ".terraform", "providers");
  }

  #temporary(): string {
    return join(this.#root, "new", `${this.#temporaries++}`);
  }
}

/** A name among the leases that is ours: its lock file is locked before its folder exists. */
async function claim(leases: string): Promise<{ root: string; lock: Lock }> {
  for (let tries = 3; tries > 0; tries--) {
    const root = join(leases, randomBytes(8).toString("hex"));
    const lock = await tryLock(`${root}.lock`);
    // A sweeper may have taken the file between its making and its lock: then ours is a lock on nothing.
    if (lock && (await exists(`${root}.lock`))) return { root, lock };
    await lock?.[Symbol.asyncDispose]();
  }
  throw new Error(`claim a folder in "${leases}": each lock file was taken away at once`);
}

const exists = (path: string) =>
  lstat(path).then(
    () => true,
    () => false,
  );
