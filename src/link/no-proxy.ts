import { BlockList, isIP } from "node:net";

/** Says whether a host goes around the proxy. `host` without brackets. */
export type Bypass = (host: string, port: number) => boolean;

/**
 * Go's reading of NO_PROXY: entries by comma, each `*`, a CIDR, an address, a domain (itself and all below it), or `.domain` and
 * `*.domain` (only what is below it), the last three with `:port` where wanted. localhost and loopback never use a proxy.
 */
export function parseNoProxy(text: string): Bypass {
  const rules = text.split(",").flatMap((entry) => parseRule(entry.trim().toLowerCase()));
  return (host, port) => {
    const bare = host.toLowerCase().replace(/\.$/, "");
    return bare === "localhost" || isLoopback(bare) || rules.some((rule) => rule(bare, port));
  };
}

function parseRule(entry: string): Bypass[] {
  if (entry === "") return [];
  if (entry === "*") return [() => true];
  const cidr = /^([0-9a-f.:]+)\/(\d{1,3})$/.exec(entry);
  if (cidr) return parseCidr(cidr[1] ?? "", Number(cidr[2]));
  const { host, port } = splitPort(entry);
  if (host === "") return [];
  const portFits = (other: number) => port === undefined || port === other;
  if (isIP(host) !== 0) {
    const same = blockList(host, isIP(host) === 4 ? 32 : 128);
    return [(other, otherPort) => portFits(otherPort) && same(other)];
  }
  const below = host.startsWith("*.") ? host.slice(1) : host.startsWith(".") ? host : `.${host}`;
  const itself = below.length > host.length;
  return [(other, otherPort) => portFits(otherPort) && (other.endsWith(below) || (itself && other === host))];
}

function parseCidr(address: string, prefix: number): Bypass[] {
  const family = isIP(address);
  if (family === 0 || prefix > (family === 4 ? 32 : 128)) return [];
  return [blockList(address, prefix)];
}

function blockList(address: string, prefix: number): (host: string) => boolean {
  const list = new BlockList();
  list.addSubnet(address, prefix, isIP(address) === 4 ? "ipv4" : "ipv6");
  return (host) => isIP(host) !== 0 && list.check(host, isIP(host) === 4 ? "ipv4" : "ipv6");
}

function splitPort(entry: string): { host: string; port?: number } {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(entry);
  if (match) return { host: match[1] ?? match[2] ?? "", port: Number(match[3]) };
  return { host: entry.replace(/^\[(.*)\]$/, "$1") };
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

function isLoopback(host: string): boolean {
  const family = isIP(host);
  return family !== 0 && loopback.check(host, family === 4 ? "ipv4" : "ipv6");
}
