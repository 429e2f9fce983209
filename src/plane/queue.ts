import { prebuildsUser } from "../contract/identity.ts";
import type { Clock } from "../kit/clock.ts";
import type { Job, Tags } from "./rows.ts";
import type { Store } from "./store.ts";
import { tagsContain, tagsMatch, tagsText } from "./tags.ts";

/** Who waits for a job: what its connection said at its own handshake (spec/02 §1.5). */
export interface Waiter {
  readonly workerId: string;
  readonly organizationId: string;
  readonly provisioners: readonly string[];
  readonly tags: Tags;
}

interface Waiting extends Waiter {
  readonly group: string;
  readonly wake: () => void;
}

/** In the exact form a group that was not woken looks again by itself (spec/01 §4.14). */
const recheckMs = 30_000;

/**
 * Pending jobs and those who wait for them. A job is locked for one waiter in one turn of the event loop: nothing awaits
 * between finding and locking.
 */
export class Queue {
  readonly #waiting = new Set<Waiting>();

  constructor(
    readonly store: Store,
    readonly clock: Clock,
    readonly exact: boolean,
  ) {}

  /** Calls that wait now. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Waits for a job and locks it for the waiter; undefined once `signal` aborts first. Never rejects. */
  async acquire(waiter: Waiter, signal: AbortSignal): Promise<Job | undefined> {
    while (!signal.aborted) {
      const job = this.#lock(waiter);
      if (job) {
        if (this.exact) this.#wakeNextOf(groupOf(waiter));
        return job;
      }
      await this.#sleep(waiter, signal);
    }
    return undefined;
  }

  /** Tells the waiters of a job that became pending. */
  post(job: Job): void {
    const inOrganization = [...this.#waiting].filter((waiting) => waiting.organizationId === job.organizationId);
    if (!this.exact) {
      for (const waiting of inOrganization) waiting.wake();
      return;
    }
    // One group only, chosen without the exception for untagged jobs: the real server's weak spot (spec/02 §5.2).
    inOrganization
      .find(({ tags, provisioners }) => provisioners.includes(job.provisioner) && tagsContain(tags, job.tags))
      ?.wake();
  }

  #wakeNextOf(group: string): void {
    [...this.#waiting].find((waiting) => waiting.group === group)?.wake();
  }

  #lock(waiter: Waiter): Job | undefined {
    let best: Job | undefined;
    for (const job of this.store.jobs.all()) {
      if (job.startedAt === undefined && job.completedAt === undefined && fits(waiter, job) && isBefore(job, best)) {
        best = job;
      }
    }
    if (!best) return undefined;
    const now = this.clock.now();
    return this.store.jobs.update(best.id, { startedAt: now, updatedAt: now, workerId: waiter.workerId });
  }

  #sleep(waiter: Waiter, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(waiting);
        signal.removeEventListener("abort", wake);
        recheck?.[Symbol.dispose]();
        resolve();
      };
      const waiting = { ...waiter, group: groupOf(waiter), wake };
      const recheck = this.exact ? this.clock.after(recheckMs, wake) : undefined;
      this.#waiting.add(waiting);
      signal.addEventListener("abort", wake);
    });
  }
}

const fits = (waiter: Waiter, job: Job): boolean =>
  job.organizationId === waiter.organizationId &&
  waiter.provisioners.includes(job.provisioner) &&
  tagsMatch(waiter.tags, job.tags);

/** People before prebuilds, then the oldest; among equals the one that was made first (spec/02 §5.2). */
function isBefore(job: Job, other: Job | undefined): boolean {
  if (!other) return true;
  const prebuild = Number(job.initiatorId === prebuildsUser) - Number(other.initiatorId === prebuildsUser);
  return prebuild === 0 ? job.createdAt < other.createdAt : prebuild < 0;
}

const groupOf = ({ organizationId, provisioners, tags }: Waiter): string =>
  JSON.stringify([organizationId, [...provisioners].sort(), tagsText(tags)]);
