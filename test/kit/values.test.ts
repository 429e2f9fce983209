import { inspect } from "node:util";
import { expect, test } from "vitest";
import { messageOf, OperatorError, RefusedError, TooBigError } from "../../src/kit/errors.ts";
import { Secret } from "../../src/kit/secret.ts";
import { cleanText } from "../../src/kit/text.ts";

test("a secret prints, serialises and inspects as [secret]", () => {
  const secret = new Secret("hunter2");
  expect([`${secret}`, JSON.stringify({ secret }), inspect({ secret }), String(secret)].join()).not.toContain(
    "hunter2",
  );
  expect(secret.reveal()).toBe("hunter2");
});

test("01#115 invalid UTF-8 and U+0000 are replaced or removed", () => {
  expect(cleanText(Uint8Array.from([0x61, 0xff, 0x00, 0x62]))).toBe("a\ufffdb");
  expect(cleanText("a\ud800\0b")).toBe("a\ufffdb");
  expect(cleanText("plain é 😀")).toBe("plain é 😀");
});

test("errors are told apart by who must act, and keep their cause", () => {
  const cause = new Error("socket");
  const error = new OperatorError("what", { code: "OUT-X", reason: "why", cure: "how", cause });
  expect([error.name, error.code, error.reason, error.cure, error.exit, error.cause]).toEqual([
    "OperatorError",
    "OUT-X",
    "why",
    "how",
    1,
    cause,
  ]);
  expect(new RefusedError("no").name).toBe("RefusedError");
  expect(new TooBigError(5, 4, "CompleteJob").message).toBe("send CompleteJob: 5 bytes: at most 4 fit in one message");
  expect(messageOf("text")).toBe("text");
});
