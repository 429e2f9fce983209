import type { IncomingHttpHeaders } from "node:http";
import { messageOf } from "../kit/errors.ts";
import { ProxyRefusal } from "./connector.ts";
import { type ErrorBody, parseErrorBody } from "./error-body.ts";

/** Why a dial failed, sorted where it was met. */
export type DialFailure =
  | { kind: "status"; status: number; body: ErrorBody; location?: string; retryAfterMs?: number; keyCheck?: KeyCheck }
  /** The certificate could not be verified: no later attempt can differ before somebody acts. */
  | { kind: "certificate"; code: string; message: string }
  | { kind: "proxy"; status: number; message: string }
  /** DNS, TCP, TLS, a time limit, a broken answer. */
  | { kind: "network"; message: string };

/** What the key-details call said about a key that the handshake refused (spec/01 §1.7). */
export type KeyCheck = "refused" | "accepted" | "unknown";

/** Longest wait that a server may ask for by Retry-After: nobody wants an agent that sleeps a day for a typing error. */
const maxRetryAfterMs = 3_600_000;

/** Sorts what a socket, TLS or a proxy threw. */
export function failureOf(error: unknown): DialFailure {
  if (error instanceof ProxyRefusal) return { kind: "proxy", status: error.status, message: error.message };
  const code = (error as { code?: unknown } | null)?.code;
  const message = describe(error);
  if (typeof code === "string" && certificateCodes.has(code)) return { kind: "certificate", code, message };
  return { kind: "network", message };
}

/** Sorts an HTTP answer that is no success. */
export function answerFailure(
  answer: { status: number; headers: IncomingHttpHeaders; body: Uint8Array },
  nowMs: number,
): DialFailure & { kind: "status" } {
  const { location } = answer.headers;
  const retryAfterMs = parseRetryAfter(answer.headers["retry-after"], nowMs);
  return {
    kind: "status",
    status: answer.status,
    body: parseErrorBody(answer.body),
    ...(location === undefined ? {} : { location }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

/** Statuses that say nothing about the request: another time, another answer (spec/01 §1.6). */
export function passesWithTime(status: number): boolean {
  return status === 408 || status === 425 || status === 429 || (status >= 500 && status !== 501);
}

/** Seconds or an HTTP date; undefined for anything else. At most an hour. */
export function parseRetryAfter(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined;
  const seconds = /^\s*(\d{1,9})\s*$/.exec(text)?.[1];
  const waitMs = seconds === undefined ? Date.parse(text) - nowMs : Number(seconds) * 1000;
  return Number.isNaN(waitMs) ? undefined : Math.min(maxRetryAfterMs, Math.max(0, waitMs));
}

/** Node hides the reasons of a failed connect to several addresses inside an AggregateError without a text. */
function describe(error: unknown): string {
  if (error instanceof AggregateError) return [...new Set(error.errors.map(messageOf))].join(", ");
  return messageOf(error);
}

/** OpenSSL's verification errors as Node names them; other TLS errors may pass with time (spec/01 §1.6). */
const certificateCodes = new Set([
  "CERT_CHAIN_TOO_LONG",
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "CERT_REJECTED",
  "CERT_REVOKED",
  "CERT_SIGNATURE_FAILURE",
  "CERT_UNTRUSTED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "HOSTNAME_MISMATCH",
  "INVALID_CA",
  "INVALID_PURPOSE",
  "PATH_LENGTH_EXCEEDED",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY",
  "UNABLE_TO_DECRYPT_CERT_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);
