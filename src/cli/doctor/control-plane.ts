import { isStateFolderTaken, stateFolderHolder } from "../../agent/state-lock.ts";
import { OperatorError, TransientError } from "../../kit/errors.ts";
import type { Dialer } from "../../link/dialer.ts";
import { mergeHeaders } from "../../link/http.ts";
import {
  anonymous,
  checkCredential,
  checkUpgrade,
  licenceFinding,
  type Probed,
  probe,
  tagsFinding,
} from "./credential.ts";
import { makeDialer, readIdentity } from "./dialer.ts";
import { type Examination, type Found, failureFinding } from "./examination.ts";
import { skip } from "./finding.ts";
import { isNetworkError, wayFinding } from "./reach.ts";
import { checksVersions, clockFinding, protocolFinding, type Server, serverFinding } from "./server.ts";
import type { DoctorSettings, Surroundings } from "./surroundings.ts";
import { checkProxy, checkResolves, checkTls, findWay, pathOf, type Way } from "./way.ts";

const group = "Control plane";
/** Build information has some hundred bytes, and a web page tells what it is in its first. */
const maxBytes = 65_536;

/** What stands behind the first answer. */
interface Talk {
  way: Way;
  server: Server;
  clock: { header: string | undefined; nowMs: number };
}

/**
 * Looks at the control plane, from its name up to the key. Nothing is written there: the handshake that asks for licence and
 * key is refused before. Only `connect` makes a real connection.
 */
export async function examineControlPlane(
  examination: Examination,
  settings: DoctorSettings,
  surroundings: Surroundings,
  agent: { name: string; stateFolder: string },
): Promise<void> {
  const { start, pre } = settings;
  const { clock, environment } = surroundings;
  const check = <In, Out>(
    name: string,
    behind: In | undefined,
    run: (input: In, signal: AbortSignal) => Promise<Found<Out>>,
    skipText?: string,
  ) => {
    const sorted = async (input: In, signal: AbortSignal): Promise<Found<Out>> => {
      try {
        return await run(input, signal);
      } catch (error) {
        // A bug stays one; what the network did is a finding of whichever check met it.
        if (signal.aborted || !isNetworkError(error)) throw error;
        return wayFinding(error, start.url, undefined);
      }
    };
    return examination.check({ group, name, behind, ...(skipText ? { skipText } : {}) }, sorted);
  };

  const url = start.url || undefined;
  const found = await check("url", url, () => findWay(start, environment), "no --url is given");
  const resolved = await check("resolves", found, checkResolves);
  const passed = resolved?.connector.proxy ? await check("proxy", resolved, checkProxy) : resolved;
  const way = await check("TLS", passed, (way, signal) => checkTls(way, clock.now(), signal));
  const talk = await check("is Coder", way, (way, signal) => ask(way, settings, surroundings, signal));
  await check("clock", talk, async ({ clock }) => clockFinding(clock.header, clock.nowMs));
  const spoken = await check("protocol", talk, async (talk) => ({ ...protocolFinding(talk.server), value: talk }));

  const identity = pre
    ? anonymous
    : await examination
        .within((signal) => readIdentity(start, surroundings, agent.name, signal))
        .catch((error: unknown) => lateKey(error));
  const usable = identity instanceof OperatorError ? anonymous : identity;
  const dialer = spoken && makeDialer(spoken.way, usable, start, surroundings);
  let probed: Probed;
  await check("licence", spoken, async ({ server }, signal) => {
    if (!checksVersions(server)) return skip(`${server.version}: only --connect can ask it`);
    await dialer?.prepare(signal);
    probed = { failure: await probe(dialer as Dialer, server, signal) };
    return licenceFinding(probed.failure, dialer as Dialer);
  });
  const skipText = pre ? "--pre: no key is needed yet" : undefined;
  const known = await check(
    usable.credential.kind,
    pre ? undefined : dialer,
    async (dialer, signal) =>
      identity instanceof OperatorError ? failureFinding(identity) : checkCredential(dialer, probed, signal),
    skipText,
  );
  await check("tags", known, async (known) => tagsFinding(known), skipText);
  const connectable = settings.connect ? known : undefined;
  await check(
    "upgrade",
    connectable,
    async (_known, signal) => {
      if (!(await isStateFolderTaken(agent.stateFolder))) return checkUpgrade(dialer as Dialer, signal);
      const holder = await stateFolderHolder(agent.stateFolder);
      return skip(`an agent of this name runs here (${holder}): a second connection would take its row`);
    },
    settings.connect ? skipText : "only --connect can prove it",
  );
}

/** A command that prints the key must do so in the time of a check. */
function lateKey(error: unknown): OperatorError {
  if (!(error instanceof TransientError)) throw error;
  const cure = "let --key-command print the key at once";
  return new OperatorError(`read the key: ${error.message}`, { code: "OUT-KEY-SOURCE", cure, cause: error });
}

/** The first words with the server: without any credential. */
async function ask(
  way: Way,
  settings: DoctorSettings,
  surroundings: Surroundings,
  signal: AbortSignal,
): Promise<Found<Talk>> {
  const { clock } = surroundings;
  const dialer = makeDialer(way, anonymous, settings.start, surroundings);
  await dialer.prepare(signal);
  const began = clock.monotonic();
  const headers = mergeHeaders({ "User-Agent": dialer.agent }, dialer.extra);
  const answer = await dialer.fetch("/api/v2/buildinfo", { headers, maxBytes }, signal);
  const nowMs = clock.now();
  const place = { deployment: way.deployment, path: pathOf(settings.start.url) };
  const { value: server, ...finding } = serverFinding(answer, place, { tookMs: clock.monotonic() - began, nowMs });
  return { ...finding, ...(server ? { value: { way, server, clock: { header: answer.headers.date, nowMs } } } : {}) };
}
