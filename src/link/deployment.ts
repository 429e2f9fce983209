import { OperatorError } from "../kit/errors.ts";

/** Where the control plane is: scheme, host and port, and nothing else (spec/01 §1.1). */
export interface Deployment {
  /** Origin with `http:` or `https:`; the path is `/`. */
  readonly origin: URL;
  readonly secure: boolean;
  /** What was cut from the configured text, for a person to read. */
  readonly warnings: readonly string[];
}

const schemes: Record<string, string> = { "http:": "http:", "ws:": "http:", "https:": "https:", "wss:": "https:" };

/** Reads the deployment URL as configured; throws OperatorError OUT-URL for what is none. `ws` and `wss` mean `http` and `https`. */
export function parseDeployment(text: string): Deployment {
  const trimmed = text.trim();
  if (trimmed === "") throw badUrl("no deployment URL is configured", "it is empty", "--url https://coder.example.com");
  const warnings: string[] = [];
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) ? trimmed : `https://${trimmed}`;
  if (full !== trimmed) warnings.push(`deployment URL "${trimmed}" has no scheme: https is assumed`);
  const url = URL.canParse(full) ? new URL(full) : undefined;
  const scheme = url && schemes[url.protocol];
  if (!url || !scheme || url.hostname === "") {
    throw badUrl(`deployment URL "${trimmed}"`, "it is no http or https URL", "--url https://coder.example.com");
  }
  if (url.username !== "" || url.password !== "") {
    throw badUrl(`deployment URL for host "${url.host}"`, "it holds a user name or password", "take them out");
  }
  // Not by assigning `protocol`: the default port of the old scheme must go with it.
  const origin = new URL(`${scheme}//${url.host}/`);
  const cut = `${url.pathname}${url.search}${url.hash}`;
  if (cut !== "/" && cut !== "")
    warnings.push(`"${cut}" of the deployment URL is ignored: the API is at ${origin.href}`);
  return { origin, secure: scheme === "https:", warnings };
}

function badUrl(what: string, reason: string, cure: string): OperatorError {
  return new OperatorError(`${what}: should be like https://coder.example.com`, { code: "OUT-URL", reason, cure });
}
