import { exitCode, OperatorError } from "../kit/errors.ts";

/** Where spans go. Headers may hold a collector's token: they are shown by `reveal` only. */
export interface TraceSettings {
  endpoint: URL;
  headers: { reveal(): Readonly<Record<string, string>> };
  timeoutMs: number;
  /** Who sends: service.name and whatever the operator adds. */
  resource: Readonly<Record<string, string>>;
}

const defaultTimeoutMs = 10_000;

/**
 * Reads OpenTelemetry's own variables: endpoint, headers, timeout, service name, resource attributes, and the two switches.
 * Undefined where no endpoint is set. Throws OperatorError for an endpoint that is no http(s) URL. Only HTTP with JSON is spoken.
 */
export function traceSettings(environment: Readonly<Record<string, string | undefined>>): TraceSettings | undefined {
  const { OTEL_SDK_DISABLED: disabled, OTEL_TRACES_EXPORTER: exporter } = environment;
  if (disabled?.toLowerCase() === "true" || exporter === "none") return undefined;
  const both = (name: string) =>
    environment[`OTEL_EXPORTER_OTLP_TRACES_${name}`] || environment[`OTEL_EXPORTER_OTLP_${name}`];
  const own = environment["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
  const shared = environment["OTEL_EXPORTER_OTLP_ENDPOINT"];
  if (!own && !shared) return undefined;
  const endpoint = own
    ? endpointOf("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", own)
    : endpointOf("OTEL_EXPORTER_OTLP_ENDPOINT", shared ?? "", "v1/traces");
  const headers = pairs(both("HEADERS") ?? "");
  const timeoutMs = Number(both("TIMEOUT"));
  const attributes = pairs(environment["OTEL_RESOURCE_ATTRIBUTES"] ?? "");
  const service = environment["OTEL_SERVICE_NAME"] || attributes["service.name"] || "outpost";
  return {
    endpoint,
    headers: { reveal: () => headers },
    timeoutMs: timeoutMs > 0 ? timeoutMs : defaultTimeoutMs,
    resource: { ...attributes, "service.name": service },
  };
}

/** The shared endpoint is a base; that of traces stands for itself. */
function endpointOf(variable: string, value: string, path?: string): URL {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new OperatorError(`read ${variable} "${value}": must be a URL such as http://collector:4318`, {
      code: "OUT-TRACE-ENDPOINT",
      cure: "correct it, or set OTEL_TRACES_EXPORTER=none",
      exit: exitCode.usage,
    });
  }
  if (path) url.pathname = `${url.pathname.replace(/\/$/, "")}/${path}`;
  return url;
}

/** `key=value,key2=value2` with percent-encoded values; what is no pair is left out. */
function pairs(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split(",").flatMap((part) => {
      const at = part.indexOf("=");
      const key = part.slice(0, Math.max(0, at)).trim();
      return key ? [[key, decoded(part.slice(at + 1).trim())]] : [];
    }),
  );
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
