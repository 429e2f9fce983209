import { describe, expect, test } from "vitest";
import { exitCode } from "../../src/kit/errors.ts";
import { ProxyRefusal } from "../../src/link/connector.ts";
import { type DialContext, decide, offeredVersion } from "../../src/link/decision.ts";
import { describeBody, parseErrorBody } from "../../src/link/error-body.ts";
import { answerFailure, type DialFailure, failureOf, type KeyCheck, parseRetryAfter } from "../../src/link/failure.ts";

const before: DialContext = {
  hadSuccess: false,
  credential: "key",
  fingerprint: "sha256:3f9a…",
  url: "https://coder.example.com/",
  organization: "default",
};
const after: DialContext = { ...before, hadSuccess: true };

function status(code: number, options: { body?: unknown; keyCheck?: KeyCheck; headers?: object } = {}): DialFailure {
  const body = Buffer.from(JSON.stringify(options.body ?? { message: "no" }));
  const failure = answerFailure({ status: code, headers: { ...options.headers }, body }, 0);
  return options.keyCheck ? { ...failure, keyCheck: options.keyCheck } : failure;
}

/** `stop 77 OUT-KEY-UNKNOWN`, `retry`, `slow refused OUT-LICENCE`. */
function told(failure: DialFailure, context: DialContext): string {
  const verdict = decide(failure, context);
  if (verdict.do === "retry") return "retry";
  if (verdict.do === "stop") return `stop ${verdict.error.exit} ${verdict.error.code}`;
  return `slow ${verdict.refused ? "refused" : "unreachable"} ${verdict.error.code}`;
}

const versionRefusal = {
  message: "x",
  validations: [{ field: "version", detail: "server is at version 2.0, behind …" }],
};

describe("the table of spec/01 §1.6", () => {
  test.each<[string, DialFailure, string, string]>([
    ["400 version", status(400, { body: versionRefusal }), "stop 1 OUT-VERSION", "stop 1 OUT-VERSION"],
    ["400", status(400), "stop 1 OUT-HANDSHAKE", "stop 1 OUT-HANDSHAKE"],
    [
      "401 key refused",
      status(401, { keyCheck: "refused" }),
      "stop 77 OUT-KEY-UNKNOWN",
      "slow refused OUT-KEY-UNKNOWN",
    ],
    ["401 key accepted", status(401, { keyCheck: "accepted" }), "retry", "slow refused OUT-KEY-UNKNOWN"],
    ["401 unknown", status(401, { keyCheck: "unknown" }), "retry", "slow refused OUT-KEY-UNKNOWN"],
    ["403", status(403), "stop 77 OUT-LICENCE", "slow refused OUT-LICENCE"],
    ["404", status(404), "stop 1 OUT-NOT-CODER", "slow unreachable OUT-NOT-CODER"],
    [
      "301",
      status(301, { headers: { location: "https://x" } }),
      "stop 1 OUT-REDIRECT",
      "slow unreachable OUT-REDIRECT",
    ],
    ["307", status(307), "stop 1 OUT-REDIRECT", "slow unreachable OUT-REDIRECT"],
    ["408", status(408), "retry", "retry"],
    ["425", status(425), "retry", "retry"],
    ["429", status(429), "retry", "retry"],
    ["500", status(500), "retry", "retry"],
    ["503", status(503), "retry", "retry"],
    ["504", status(504), "retry", "retry"],
    ["200", status(200), "stop 1 OUT-NOT-CODER", "slow unreachable OUT-NOT-CODER"],
    ["426", status(426), "stop 1 OUT-NOT-CODER", "slow unreachable OUT-NOT-CODER"],
    ["501", status(501), "stop 1 OUT-NOT-CODER", "slow unreachable OUT-NOT-CODER"],
    ["certificate", { kind: "certificate", code: "CERT_HAS_EXPIRED", message: "m" }, "stop 1 OUT-TLS", "retry"],
    ["network", { kind: "network", message: "ECONNREFUSED" }, "retry", "retry"],
    ["proxy 407", { kind: "proxy", status: 407, message: "m" }, "stop 1 OUT-PROXY", "slow unreachable OUT-PROXY"],
    ["proxy 502", { kind: "proxy", status: 502, message: "m" }, "retry", "retry"],
  ])("01#17 01#18 02#3 %s", (_what, failure, first, later) => {
    expect(told(failure, before)).toBe(first);
    expect(told(failure, after)).toBe(later);
  });

  test("a refused PSK or token can't be confirmed: dialled again, slowly", () => {
    for (const credential of ["psk", "token"] as const) {
      expect(told(status(401), { ...before, credential })).toBe("slow refused OUT-KEY-UNKNOWN");
    }
  });

  test("a 404 with a token names the organization", () => {
    const verdict = decide(status(404), { ...before, credential: "token", organization: "raptix" });
    expect(verdict).toMatchObject({ do: "stop", error: { code: "OUT-ORGANIZATION", exit: exitCode.refused } });
    expect(verdict.do === "stop" && verdict.error.message).toContain("raptix");
  });

  test("01#20 429 with Retry-After", () => {
    expect(decide(status(429, { headers: { "retry-after": "7" } }), before)).toMatchObject({
      do: "retry",
      atLeastMs: 7000,
    });
  });

  test("01#15 a redirect names its target in message and cure", () => {
    const verdict = decide(status(307, { headers: { location: "https://right.example.com" } }), before);
    if (verdict.do !== "stop") throw new Error(verdict.do);
    expect(verdict.error.message).toContain("https://right.example.com");
    expect(verdict.error.cure).toContain("https://right.example.com");
  });

  test("every error that a person sees has a cause or a cure", () => {
    for (const code of [200, 301, 400, 401, 403, 404, 426]) {
      const verdict = decide(status(code, { keyCheck: "refused" }), before);
      if (verdict.do !== "stop") throw new Error(`${code}: ${verdict.do}`);
      expect(verdict.error.cure).toBeTruthy();
    }
  });
});

describe("offered versions", () => {
  const refusal = (detail: string) => ({ message: "", validations: [{ field: "version", detail }] });
  test("01#106 01#107 the server's version is read out of the refusal, major 1 only", () => {
    expect(offeredVersion(refusal("server is at version 1.4, behind requested minor version 1.18"))).toEqual({
      major: 1,
      minor: 4,
    });
    expect(offeredVersion(refusal("server is at version 2.0, behind requested major version"))).toBeUndefined();
    expect(offeredVersion(refusal("version 1.18 is no longer supported"))).toBeUndefined();
    expect(offeredVersion({ message: "server is at version 1.4", validations: [] })).toBeUndefined();
  });
});

describe("01#21 error bodies", () => {
  test.each<[string, string, string]>([
    ["empty", "", ""],
    ["HTML", "<html>\n<body>\tBad   Gateway</body></html>", "<html> <body> Bad Gateway</body></html>"],
    ["JSON", '{"message":"no","detail":"why","validations":[{"field":"tags","detail":"NUL"}]}', "no: why: tags: NUL"],
    ["cut JSON", '{"message":"no","deta', '{"message":"no","deta'],
    ["text before JSON", 'Upgrade required\n{"message":"no"}', "no"],
    ["text with a brace before JSON", 'odd {\n{"message":"no"}', "no"],
    ["array", "[1]", "[1]"],
    ["null fields", '{"message":null,"validations":null}', ""],
    ["odd types", '{"message":{"a":1},"detail":7,"validations":[null,3,{"field":1}]}', '{"a":1}: 7: 1: '],
    ["control characters", "a\u0000b\u001bc", "ab c"],
  ])("%s", (_what, text, expected) => {
    expect(describeBody(parseErrorBody(Buffer.from(text)))).toBe(expected);
  });

  test("a long body is shown in part", () => {
    expect(parseErrorBody(Buffer.alloc(100_000, "x")).message.length).toBeLessThan(300);
  });

  test("bytes that are no UTF-8 don't crash", () => {
    expect(() => parseErrorBody(Buffer.from([0xff, 0xfe, 0x7b, 0x80]))).not.toThrow();
  });
});

test("Retry-After: seconds, dates, bounded; anything else is nothing", () => {
  expect(parseRetryAfter("7", 0)).toBe(7000);
  expect(parseRetryAfter("Thu, 01 Jan 1970 00:00:09 GMT", 2000)).toBe(7000);
  expect(parseRetryAfter("Thu, 01 Jan 1970 00:00:01 GMT", 2000)).toBe(0);
  expect(parseRetryAfter("999999", 0)).toBe(3_600_000);
  expect(parseRetryAfter("soon", 0)).toBeUndefined();
  expect(parseRetryAfter(undefined, 0)).toBeUndefined();
});

test("errors of sockets are sorted", () => {
  const error = (code: string) => Object.assign(new Error(code), { code });
  expect(failureOf(error("ECONNREFUSED")).kind).toBe("network");
  expect(failureOf(error("EPROTO")).kind).toBe("network");
  expect(failureOf(error("SELF_SIGNED_CERT_IN_CHAIN")).kind).toBe("certificate");
  expect(failureOf(new ProxyRefusal(407, "HTTPS_PROXY", "proxy:3128"))).toMatchObject({ kind: "proxy", status: 407 });
  expect(failureOf(new AggregateError([error("A"), error("B")]))).toMatchObject({ message: "A, B" });
});
