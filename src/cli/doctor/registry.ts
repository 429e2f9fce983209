import { access } from "node:fs/promises";
import type { Flavor } from "../../engine/version.ts";
import type { Clock } from "../../kit/clock.ts";
import { messageOf } from "../../kit/errors.ts";
import { get } from "../../link/http.ts";
import { chooseProxy, type Environment } from "../../link/proxy.ts";
import type { Trust } from "../../link/trust.ts";
import { type Finding, fail, ok } from "./finding.ts";
import { networkWords } from "./reach.ts";

/** Where engines get providers from. */
export type ProviderSource =
  | { kind: "mirror"; url: string }
  | { kind: "folder"; path: string }
  /** A registry, found by service discovery at this host. */
  | { kind: "registry"; host: string };

const registries: Record<Flavor, string> = { terraform: "registry.terraform.io", opentofu: "registry.opentofu.org" };

/**
 * The sources that the operator's blocks name (`provider_installation`); without any, the flavor's own registry. Include and
 * exclude patterns are not weighed: each source that is named must be there.
 */
export function providerSources(blocks: string, flavor: Flavor): ProviderSource[] {
  const text = blocks.replaceAll(/#[^\n]*|\/\*[\s\S]*?\*\//g, "");
  const registry: ProviderSource = { kind: "registry", host: registries[flavor] };
  if (!/provider_installation\s*\{/.test(text)) return [registry];
  const sources: ProviderSource[] = [];
  for (const [, url = ""] of text.matchAll(/network_mirror\s*\{[^}]*?\burl\s*=\s*"([^"]*)"/g))
    sources.push({ kind: "mirror", url });
  for (const [, path = ""] of text.matchAll(/filesystem_mirror\s*\{[^}]*?\bpath\s*=\s*"([^"]*)"/g))
    sources.push({ kind: "folder", path });
  if (/\bdirect\s*\{/.test(text)) sources.push(registry);
  return sources;
}

/** Can each source be reached from here, the way a job's engine would? */
export async function checkSources(
  sources: readonly ProviderSource[],
  way: { trust: Trust; environment: Environment; clock: Clock },
  signal: AbortSignal,
): Promise<Finding> {
  const reached: string[] = [];
  for (const source of sources) {
    const [name, problem] = await look(source, way, signal);
    if (problem) {
      const cure =
        source.kind === "registry"
          ? "allow it in the proxy or firewall, or name a network_mirror in the file of TF_CLI_CONFIG_FILE"
          : "mend provider_installation in the file of TF_CLI_CONFIG_FILE, or bring the mirror back";
      return fail(`${name}: ${problem}`, "OUT-REGISTRY", cure);
    }
    reached.push(name);
  }
  return ok(reached.length > 0 ? reached.join(", ") : "none: providers of the engine only");
}

async function look(
  source: ProviderSource,
  { trust, environment, clock }: { trust: Trust; environment: Environment; clock: Clock },
  signal: AbortSignal,
): Promise<[name: string, problem?: string]> {
  if (source.kind === "folder") {
    const name = `mirror in folder ${source.path}`;
    return access(source.path).then(
      () => [name],
      (error: NodeJS.ErrnoException) => [name, error.code ?? messageOf(error)],
    );
  }
  const isRegistry = source.kind === "registry";
  const text = isRegistry ? `https://${source.host}/.well-known/terraform.json` : source.url;
  const name = isRegistry ? source.host : `mirror ${source.url}`;
  if (!URL.canParse(text)) return [name, "no URL"];
  const url = new URL(text);
  const proxy = chooseProxy(url, environment);
  const connector = { context: trust.context, proxy, secure: url.protocol === "https:" };
  const through = proxy ? `, through proxy ${proxy.url.host} of ${proxy.variable}` : "";
  try {
    const { status, body } = await get(url, { connector, headers: {}, maxBytes: 65_536, clock }, signal);
    // A mirror has nothing to show at its root: any answer but a refusal proves that it is there.
    if (status >= 500 || [401, 403, 407].includes(status)) return [`${name}${through}`, `answered ${status}`];
    if (isRegistry && (status !== 200 || !body.includes("providers.v1")))
      return [`${name}${through}`, `answered ${status}, and not as a registry of providers`];
    return [`${name}${through}`];
  } catch (error) {
    signal.throwIfAborted();
    return [`${name}${through}`, networkWords(error)];
  }
}
