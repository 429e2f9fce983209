import { exitCode, OperatorError } from "../kit/errors.ts";
import { parseNoProxy } from "./no-proxy.ts";

/** The agent's environment, handed in. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The proxy for one address. */
export interface ProxyChoice {
  url: URL;
  /** The variable that names it, for messages. */
  variable: string;
}

/**
 * The proxy that Go's rules give for `target` (spec/01 §1.10): HTTPS_PROXY for https and wss, HTTP_PROXY for http and ws, upper
 * case before lower case; never for localhost, loopback or what NO_PROXY names. Throws OperatorError OUT-PROXY for one that
 * can't be used, and names its variable.
 */
export function chooseProxy(target: URL, env: Environment): ProxyChoice | undefined {
  const secure = target.protocol === "https:" || target.protocol === "wss:";
  const found = firstSet(env, secure ? ["HTTPS_PROXY", "https_proxy"] : ["HTTP_PROXY", "http_proxy"]);
  if (!found) return undefined;
  // In a CGI program HTTP_PROXY is a header of the request ("Proxy:"): Go refuses it there, and so do we.
  if (!secure && found.name === "HTTP_PROXY" && env["REQUEST_METHOD"]) return undefined;
  const bypass = parseNoProxy(firstSet(env, ["NO_PROXY", "no_proxy"])?.value ?? "");
  const port = Number(target.port) || (secure ? 443 : 80);
  if (bypass(target.hostname.replace(/^\[(.*)\]$/, "$1"), port)) return undefined;
  return { url: parseProxy(found.name, found.value), variable: found.name };
}

function parseProxy(variable: string, value: string): URL {
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // The value itself is not shown: it may hold a password.
  if (!url || url.hostname === "") throw unusable(variable, "it is no URL");
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw unusable(
      variable,
      `it names a ${url.protocol.slice(0, -1)} proxy, and only http and https ones are supported`,
    );
  }
  return url;
}

function unusable(variable: string, reason: string): OperatorError {
  const cure = `set ${variable}=http://HOST:PORT, or unset it and put the control plane's host into NO_PROXY`;
  return new OperatorError(`proxy in ${variable}: can't be used`, {
    code: "OUT-PROXY",
    reason,
    cure,
    exit: exitCode.usage,
  });
}

function firstSet(env: Environment, names: readonly string[]): { name: string; value: string } | undefined {
  for (const name of names) {
    const value = env[name]?.trim();
    if (value) return { name, value };
  }
  return undefined;
}
