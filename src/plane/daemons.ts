import { type Daemon, jobStatus, type Tags } from "./rows.ts";
import type { World } from "./world.ts";

/** What a handshake says about its daemon. */
export interface Registration {
  readonly organizationId: string;
  readonly name: string;
  readonly provisioners: readonly string[];
  /** Complete. */
  readonly tags: Tags;
  readonly version: string;
  readonly apiVersion: string;
  /** Absent without a key. */
  readonly keyId: string | undefined;
}

/** A connected daemon is seen this often; unseen for the second it shows as offline, for the third its row goes (spec/02 §0). */
const seenEveryMs = 60_000;
const offlineAfterMs = 90_000;
const forgottenAfterMs = 7 * 24 * 3_600_000;

/** The row of organization, name and owner: its id and creation stay, all else is overwritten (spec/01 §1.8). */
export function upsertDaemon(world: World, registration: Registration): Daemon {
  const { daemons } = world.store;
  const now = world.clock.now();
  for (const { id } of daemons.filter((row) => now - row.lastSeenAt > forgottenAfterMs)) daemons.delete(id);
  const owner = (registration.tags["owner"] ?? "").toLowerCase();
  const known = daemons.find(
    (row) =>
      row.organizationId === registration.organizationId && row.name === registration.name && row.owner === owner,
  );
  const row = { ...registration, owner, lastSeenAt: now };
  return known ? daemons.update(known.id, row) : daemons.insert({ id: world.chance.uuid(), createdAt: now, ...row });
}

/** Keeps a connected daemon "seen" until `signal` aborts: a sign of a live connection and nothing more (spec/02 §1.5). */
export async function keepSeen(world: World, daemonId: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    await world.clock.sleep(seenEveryMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    if (world.store.daemons.get(daemonId)) world.store.daemons.update(daemonId, { lastSeenAt: world.clock.now() });
  }
}

/** One line of the list of daemons. */
export interface DaemonLine {
  readonly daemon: Daemon;
  readonly status: "offline" | "idle" | "busy";
  /** The running job, when busy. */
  readonly jobId?: string;
}

/** An organization's daemons: one line per running job, or one for a daemon without any (spec/02 §1.5). */
export function listDaemons(world: World, organizationId: string): DaemonLine[] {
  const running = new Map<string, string[]>();
  for (const job of world.store.jobs.all()) {
    if (job.workerId === undefined || !["running", "canceling"].includes(jobStatus(job))) continue;
    running.set(job.workerId, [...(running.get(job.workerId) ?? []), job.id]);
  }
  const now = world.clock.now();
  return world.store.daemons
    .filter((row) => row.organizationId === organizationId)
    .flatMap((daemon): DaemonLine[] => {
      if (now - daemon.lastSeenAt > offlineAfterMs) return [{ daemon, status: "offline" }];
      const jobs = running.get(daemon.id) ?? [];
      return jobs.length === 0
        ? [{ daemon, status: "idle" }]
        : jobs.map((jobId) => ({ daemon, status: "busy", jobId }));
    });
}
