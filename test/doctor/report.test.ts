import { expect, test } from "vitest";
import type { Check } from "../../src/cli/doctor/finding.ts";
import { checkLines, reportJson, summary } from "../../src/cli/doctor/report.ts";

const plain = (text: string) => text;
const look = { red: plain, green: plain, yellow: plain, dim: plain, columns: 60 };

const checks: Check[] = [
  { group: "Control plane", name: "TLS", status: "ok", text: "61 days left" },
  {
    group: "This machine",
    name: "registry",
    status: "fail",
    text: "registry.terraform.io: 403 from a proxy",
    code: "OUT-REGISTRY",
    reason: "it says no",
    cure: "allow it in the proxy",
  },
  { group: "This machine", name: "memory", status: "warn", text: "little", code: "OUT-MEMORY", cure: "--slots 1" },
  { group: "Control plane", name: "upgrade", status: "skip", text: "only --connect can prove it" },
];

test("a finding is a line, broken at blanks; its code ends the first, cause and cure follow", () => {
  expect(checks.map((check) => checkLines(check, look))).toEqual([
    ["  ok    TLS            61 days left"],
    [
      "  FAIL  registry       registry.terraform.io:  [OUT-REGISTRY]",
      "                       403 from a proxy",
      "        cause: it says no",
      "        cure: allow it in the proxy",
    ],
    ["  warn  memory         little                   [OUT-MEMORY]", "        cure: --slots 1"],
    ["  skip  upgrade        only --connect can prove it"],
  ]);
});

test("the summary counts; programs get one object", () => {
  expect(summary(checks)).toBe("1 ok, 1 warning, 1 failure, 1 skipped.");
  expect(summary(checks.slice(0, 1))).toBe("1 ok, 0 warnings, 0 failures.");
  const report = JSON.parse(reportJson("1.0.0", "https://coder.example.com", checks));
  expect(report).toMatchObject({
    version: "1.0.0",
    url: "https://coder.example.com",
    passed: false,
    counts: { ok: 1, warn: 1, fail: 1, skip: 1 },
  });
  expect(report.checks).toEqual(checks);
});
