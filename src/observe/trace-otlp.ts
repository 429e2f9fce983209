/** A finished piece of work. Ids in lower-case hex; times in Unix milliseconds. */
export interface Span {
  traceId: string;
  spanId: string;
  parentSpanId?: string | undefined;
  traceState?: string | undefined;
  name: string;
  startMs: number;
  endMs: number;
  attributes: Readonly<Record<string, string | number | boolean>>;
  /** Why it failed; undefined when it did not. */
  error?: string | undefined;
}

/** Spans as the body of an OTLP/HTTP request in JSON: ids in hex, 64-bit numbers as text. */
export function encodeSpans(spans: readonly Span[], resource: Readonly<Record<string, string>>): string {
  return JSON.stringify({
    resourceSpans: [
      {
        resource: { attributes: attributesOf(resource) },
        scopeSpans: [{ scope: { name: "outpost" }, spans: spans.map(encodeSpan) }],
      },
    ],
  });
}

function encodeSpan(span: Span) {
  const { traceId, spanId, parentSpanId, traceState, name, startMs, endMs, attributes, error } = span;
  return {
    traceId,
    spanId,
    ...(parentSpanId ? { parentSpanId } : {}),
    ...(traceState ? { traceState } : {}),
    name,
    kind: internal,
    startTimeUnixNano: nanoseconds(startMs),
    endTimeUnixNano: nanoseconds(Math.max(startMs, endMs)),
    attributes: attributesOf(attributes),
    status: error === undefined ? {} : { code: failed, message: error },
  };
}

/** SPAN_KIND_INTERNAL and STATUS_CODE_ERROR. */
const internal = 1;
const failed = 2;

const nanoseconds = (ms: number) => String(BigInt(Math.round(ms * 1_000)) * 1_000n);

function attributesOf(attributes: Readonly<Record<string, string | number | boolean>>) {
  return Object.entries(attributes).map(([key, value]) => ({ key, value: anyValue(value) }));
}

function anyValue(value: string | number | boolean) {
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}
