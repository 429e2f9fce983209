import type { ApiVersion } from "../contract/versions.ts";
import type { Clock } from "../kit/clock.ts";
import type { ReaperTimes } from "./reaper.ts";

/** Settings of a plane; each may be absent. */
export interface PlaneOptions {
  /** Address to listen on; 127.0.0.1. */
  readonly host?: string;
  /** Port; 0 for any free one. */
  readonly port?: number;
  /** Name of the default organization; `default`. */
  readonly organization?: string;
  /** The URL that jobs and build information name, where it is not the listening address. */
  readonly accessUrl?: string;
  /** PEM texts. With a CA, clients must show a certificate of it. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string };
  readonly clock?: Clock;
  /** [0, 1); the system's secure generator when absent. Ids, keys and tokens come from it. */
  readonly random?: () => number;
  /** The server version to pose as; the newest (spec/01 §5.4). */
  readonly apiVersion?: ApiVersion;
  /** Leave the API version out of buildinfo, as releases before 2.15 do; so by itself at 1.0. */
  readonly hideApiVersion?: boolean;
  /** Behave as the real server also where a better way is allowed (spec/02 §5.14). */
  readonly coderdExact?: boolean;
  readonly reaper?: Partial<ReaperTimes>;
  /** The pre-shared key; none. */
  readonly psk?: string;
  /** Does the licence include external daemons? true. */
  readonly entitled?: boolean;
  /** Ids of external auth providers that this deployment knows; none. */
  readonly externalAuthProviders?: readonly string[];
  /** Every external auth provider that a template names counts as configured. */
  readonly anyExternalAuth?: boolean;
  /** Serve init scripts; true. */
  readonly initScript?: boolean;
  /** Product version in headers and buildinfo, with a leading `v`. */
  readonly buildVersion?: string;
  /** Calls per minute, address and path; 512, 0 for no limit (spec/01 §1.5). */
  readonly rateLimitPerMinute?: number;
}
