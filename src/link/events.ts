import type { ApiVersion } from "../contract/versions.ts";
import type { OperatorError } from "../kit/errors.ts";
import type { KeyDetails } from "./rest.ts";

/** What a link tells its observer: facts for logs, metrics and health. */
export type LinkEvent =
  | { kind: "warning"; message: string }
  | { kind: "connected"; serverVersion: string | undefined; apiVersion: ApiVersion; tries: number; afterMs: number }
  /** The session ended; calls wait. `why` is undefined for an orderly end. */
  | { kind: "lost"; why: string | undefined; lastedMs: number }
  /** A dial failed. `again`: the reason is the same as last time, and was said. */
  | { kind: "dial-failed"; why: string; delayMs: number; again: boolean }
  /** A person must act, but the link goes on dialling, slowly: the control plane doesn't want us, or the proxy doesn't. `again` as above. */
  | { kind: "refused"; error: OperatorError; delayMs: number; again: boolean }
  /** The server asked us to go elsewhere (GoAway): a new connection is made while the old one drains. */
  | { kind: "going-away" }
  /** An acquire stream ended without a job. */
  | { kind: "acquire-failed"; why: string }
  | { kind: "key"; details: KeyDetails };

/** Where a link stands. Times in Unix milliseconds. */
export interface LinkState {
  /**
   *  - idle: not started
   *  - connecting: never connected, or lost; dialling by the normal curve
   *  - connected: calls go out
   *  - refused: not wanted; dialling once a minute
   *  - ended: stopped in order, or for good after an OperatorError
   */
  kind: "idle" | "connecting" | "connected" | "refused" | "ended";
  since: number;
  serverVersion?: string;
  apiVersion?: ApiVersion;
  keyDetails?: KeyDetails;
  /** Why the last dial failed or the last session ended. */
  lastError?: string;
}
