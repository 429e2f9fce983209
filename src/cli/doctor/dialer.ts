import { keySource } from "../../agent/key-source.ts";
import type { StartSettings } from "../../config/start-settings.ts";
import { OperatorError } from "../../kit/errors.ts";
import { Secret } from "../../kit/secret.ts";
import { Dialer } from "../../link/dialer.ts";
import { parseHeaders } from "../../link/header-command.ts";
import { checkIdentity, type Identity } from "../../link/identity.ts";
import { platformName, type Surroundings } from "./surroundings.ts";
import type { Way } from "./way.ts";

/** A dialer with the headers of the settings; nothing is dialled yet. */
export function makeDialer(way: Way, identity: Identity, start: StartSettings, surroundings: Surroundings): Dialer {
  const { clock, random, environment, version } = surroundings;
  return new Dialer({
    deployment: way.deployment,
    identity,
    connector: way.connector,
    headers: parseHeaders(start.headers, "--header"),
    headerCommand: start.headerCommand || undefined,
    env: environment,
    version,
    platform: platformName(),
    timing: { clock, random },
    log: () => undefined,
  });
}

/** Who the agent would be, or what is wrong with that: a bad key must not hide what is known about the server. */
export async function readIdentity(
  start: StartSettings,
  { environment, clock, random, hostName }: Surroundings,
  name: string,
  signal: AbortSignal,
): Promise<Identity | OperatorError> {
  const secret = (value: string) => (value ? new Secret(value) : undefined);
  const { psk, token, organization, tags } = start;
  const source = { key: start.key, file: start.keyFile, command: start.keyCommand };
  try {
    const key = await keySource(source, { environment, clock, random })?.read(signal);
    return checkIdentity({ key, psk: secret(psk), token: secret(token), organization, name, tags, hostName });
  } catch (error) {
    if (error instanceof OperatorError) return error;
    throw error;
  }
}
