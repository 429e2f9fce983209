import { createHash } from "node:crypto";
import { daemonNamePattern } from "../contract/identity.ts";
import { limits } from "../contract/limits.ts";
import { defaultOrganization } from "../contract/methods.ts";
import { exitCode, OperatorError } from "../kit/errors.ts";
import { Secret } from "../kit/secret.ts";

/** The one credential of a lane (spec/01 §1.4). */
export interface Credential {
  kind: "key" | "psk" | "token";
  secret: Secret;
}

/** What was configured; an empty text counts as absent. */
export interface IdentitySettings {
  key?: Secret | undefined;
  psk?: Secret | undefined;
  token?: Secret | undefined;
  /** Name or id; only with a user token. */
  organization?: string | undefined;
  name?: string | undefined;
  /** `key=value` each; not with a key. */
  tags?: readonly string[];
  /** Of this machine, for the default name. */
  hostName: string;
}

/** Who we are towards the control plane: the proof that the start rules hold. */
export interface Identity {
  credential: Credential;
  /** The organization segment of the URL; undefined with a user token whose organization must be looked up. */
  organization: string | undefined;
  name: string;
  /** Sent as they are, one `tag` parameter each. */
  tags: readonly string[];
  warnings: readonly string[];
}

/** The start rules that need no network, in the order of spec/02 §6.1; throws OperatorError with exit code 1 for the first that is broken. */
export function checkIdentity(settings: IdentitySettings): Identity {
  const warnings: string[] = [];
  const key = given(settings.key);
  const psk = given(settings.psk);
  const token = given(settings.token);
  const organization = settings.organization || undefined;
  const tags = settings.tags ?? [];
  if (!key && !psk && !token) {
    throw broken(
      "OUT-KEY-MISSING",
      "no provisioner key is configured",
      "set CODER_PROVISIONER_DAEMON_KEY or --key-file",
    );
  }
  if (organization && (key || psk)) {
    throw broken(
      "OUT-ORGANIZATION",
      `organization "${organization}" with a key or a pre-shared key: the key names it`,
      "leave --org out",
    );
  }
  if (key && psk) throw broken("OUT-KEY-PSK", "a key and a pre-shared key are both configured", "leave --psk out");
  if (key && tags.length > 0) {
    throw broken(
      "OUT-TAGS",
      `tags ${tags.join(", ")} with a key: the key has its own`,
      "leave --tag out, or make a key with these tags",
    );
  }
  for (const tag of tags) {
    if (!tag.includes("=")) throw broken("OUT-TAGS", `tag "${tag}": should be key=value`, "--tag key=value");
    if (tag.includes("\0")) throw broken("OUT-TAGS", `tag ${JSON.stringify(tag)}: holds a NUL byte`, "take it out");
  }
  const name = checkName(settings.name || defaultName(settings.hostName));
  if (key) {
    return { credential: checkKey(key, warnings), organization: defaultOrganization, name, tags: [], warnings };
  }
  if (psk) {
    // A pre-shared key has no user: a daemon of scope "user" would match nobody's jobs (spec/01 §1.9).
    const own = tags.filter((tag) => !tag.startsWith("scope="));
    const credential: Credential = { kind: "psk", secret: psk };
    return { credential, organization: defaultOrganization, name, tags: [...own, "scope=organization"], warnings };
  }
  return { credential: { kind: "token", secret: token as Secret }, organization, name, tags, warnings };
}

/** Host name up to the first dot in lower case, `localhost` where there is none (spec/01 §1.8). */
export function defaultName(hostName: string): string {
  return hostName.split(".", 1)[0]?.toLowerCase() || "localhost";
}

/** The first characters of the SHA-256 that the control plane stores of a key: enough to compare, useless to guess from. */
export function fingerprint(secret: Secret): string {
  return `sha256:${createHash("sha256").update(secret.reveal()).digest("hex").slice(0, 8)}…`;
}

function given(secret: Secret | undefined): Secret | undefined {
  return secret && secret.reveal().trim() !== "" ? secret : undefined;
}

function checkName(name: string): string {
  if (daemonNamePattern.test(name)) return name;
  const rule = "should be 2 to 63 ASCII letters, digits and inner hyphens";
  throw broken("OUT-NAME", `daemon name "${name}": ${rule}`, "--name build-01");
}

/** A key file ends in a line feed more often than not; blanks around a key are never part of it (spec/01 §1.7). */
function checkKey(configured: Secret, warnings: string[]): Credential {
  const key = configured.reveal().trim();
  if (key !== configured.reveal()) warnings.push("blanks or line ends around the provisioner key were cut");
  if (key.length !== limits.keyChars || !/^[\x21-\x7e]+$/.test(key)) {
    const what = key.length === limits.keyChars ? "holds a character that no key has" : `has ${key.length} characters`;
    throw new OperatorError(`provisioner key: ${what}: should be ${limits.keyChars} letters and digits`, {
      code: "OUT-KEY-LENGTH",
      reason: "it was cut short, or something else was put in its place",
      cure: "coder provisioner keys create NAME --org ORGANIZATION, and copy the whole line that it prints",
    });
  }
  return { kind: "key", secret: new Secret(key) };
}

function broken(code: string, message: string, cure: string): OperatorError {
  return new OperatorError(message, { code, cure, exit: exitCode.failed });
}
