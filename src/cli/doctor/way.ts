import type { StartSettings } from "../../config/start-settings.ts";
import type { Connector } from "../../link/connector.ts";
import { type Deployment, parseDeployment } from "../../link/deployment.ts";
import { failureOf } from "../../link/failure.ts";
import { chooseProxy, type Environment } from "../../link/proxy.ts";
import { readTrust } from "../../link/trust.ts";
import { certificateFinding } from "./certificate.ts";
import type { Found } from "./examination.ts";
import { fail, ok, warn } from "./finding.ts";
import { lookUp, openTunnel, peerCertificate, wayFinding } from "./reach.ts";
import { plainFinding } from "./server.ts";

/** The way to the control plane: what every request needs. */
export interface Way {
  deployment: Deployment;
  connector: Connector;
  /** Files in which the root of its certificate may stand, the most special first. */
  rootFiles: readonly string[];
}

/** Reads the settings that concern the way. Throws OperatorError for what can't be used. */
export async function findWay(start: StartSettings, env: Environment): Promise<Found<Way> & { value: Way }> {
  const deployment = parseDeployment(start.url);
  const { caFile, extraCaFile, certFile, certKeyFile: keyFile } = start;
  const { context } = await readTrust({ caFile, extraCaFile, certFile, keyFile }, env);
  const connector = { context, proxy: chooseProxy(deployment.origin, env), secure: deployment.secure };
  const files = [extraCaFile, caFile, env["SSL_CERT_FILE"], env["NODE_EXTRA_CA_CERTS"]];
  const value = {
    deployment,
    connector,
    rootFiles: files.filter((file) => file !== undefined && file !== "") as string[],
  };
  const { href } = deployment.origin;
  const warning = deployment.warnings.join("; ");
  return { ...(warning ? warn(warning, "OUT-URL", `--url ${href}`) : ok(href)), value };
}

/** Has the host an address, or the proxy, where one is in between? */
export async function checkResolves(way: Way): Promise<Found<Way>> {
  const { proxy } = way.connector;
  const host = (proxy?.url ?? way.deployment.origin).hostname;
  const found = await lookUp(host);
  if ("error" in found) {
    const [what, place] = proxy ? [`proxy "${host}"`, proxy.variable] : [`host "${host}"`, "--url"];
    const cure = `mend ${place}, or this machine's resolver: getent hosts ${host}`;
    return fail(`${what} has no address: ${found.error}`, "OUT-DNS", cure);
  }
  const through = proxy ? `through proxy ${proxy.url.host} of ${proxy.variable}: ` : "";
  return { ...ok(`${through}${found.slice(0, 3).join(", ")}`), value: way };
}

/** Does the proxy open a tunnel to the host? */
export async function checkProxy(way: Way, signal: AbortSignal): Promise<Found<Way>> {
  const { deployment, connector } = way;
  const { proxy } = connector;
  if (!proxy) return { ...ok("none for this host"), value: way };
  try {
    await openTunnel(deployment.origin, connector, signal);
    return { ...ok(`${proxy.url.host} lets us through to ${deployment.origin.host}`), value: way };
  } catch (error) {
    signal.throwIfAborted();
    if (failureOf(error).kind === "proxy") return wayFinding(error, deployment.origin.href, proxy);
    const what = `proxy ${proxy.url.host} of ${proxy.variable}: ${(error as Error).message}`;
    return fail(what, "OUT-PROXY", `see that a proxy runs there; or put ${deployment.origin.hostname} into NO_PROXY`);
  }
}

/** Is the server who it says it is, and for how long? */
export async function checkTls(way: Way, nowMs: number, signal: AbortSignal): Promise<Found<Way>> {
  const { deployment, connector, rootFiles } = way;
  if (!deployment.secure) return { ...plainFinding(deployment, connector), value: way };
  try {
    const certificate = await peerCertificate(deployment.origin, connector, signal);
    return { ...(await certificateFinding(certificate, rootFiles, nowMs)), value: way };
  } catch (error) {
    signal.throwIfAborted();
    return wayFinding(error, deployment.origin.href, connector.proxy);
  }
}

/** What was cut from the configured URL: deployments below a path don't exist (spec/01 §1.1). */
export function pathOf(url: string): string {
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(url) ? url : `https://${url}`;
  const path = URL.canParse(full) ? new URL(full).pathname : "/";
  return path === "/" ? "" : path;
}
