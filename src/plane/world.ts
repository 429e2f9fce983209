import type { ApiVersion } from "../contract/versions.ts";
import type { Clock } from "../kit/clock.ts";
import { RefusedError } from "../kit/errors.ts";
import type { Chance } from "./chance.ts";
import type { Pulse } from "./pulse.ts";
import type { Queue } from "./queue.ts";
import type { Store, Table } from "./store.ts";

/** What the rules of the plane work with. */
export interface World {
  readonly store: Store;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly queue: Queue;
  /** Rings whenever a job changes or gets a log line. */
  readonly jobChanged: Pulse;
  /** The version that the plane poses as. */
  readonly apiVersion: ApiVersion;
  /** Behave as the real server also where it is worse (spec/02 §5.14). */
  readonly exact: boolean;
  /** Ids of external auth providers that this deployment knows. */
  readonly externalAuthProviders: Set<string>;
  /** Every id counts as known. */
  readonly anyExternalAuth: boolean;
  /** Where agents and workspaces reach the plane. */
  readonly url: string;
}

/** The row, or a RefusedError that names what is missing. */
export function mustGet<Row extends { readonly id: string }>(
  table: Table<Row>,
  id: string | undefined,
  what: string,
): Row {
  const row = id === undefined ? undefined : table.get(id);
  if (!row) throw new RefusedError(`get ${what} "${id ?? ""}": no rows in result set`);
  return row;
}
