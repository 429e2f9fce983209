import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { versionRefusal } from "../../src/plane/api-version.ts";
import { Chance, isUuid, secureRandom, sha256 } from "../../src/plane/chance.ts";
import { jobStatus } from "../../src/plane/rows.ts";
import { foldWorkspaceTags } from "../../src/plane/workspace-tags.ts";

const server = { major: 1, minor: 18 };

describe("01#108 versions", () => {
  test.each([
    ["1.19", "server is at version 1.18, behind requested minor version 1.19"],
    ["2.0", "server is at version 1.18, behind requested major version 2.0"],
    ["0.9", "version 0.9 is no longer supported"],
    ["1", /^invalid.*: 1$/],
    ["1.2.3", /^invalid.*: 1\.2\.3$/],
    ["a.b", /^invalid.*: a\.b$/],
    ["1.", /^invalid.*: 1\.$/],
  ])("01#108 %s is refused with its text", (requested, text) => {
    expect(versionRefusal(server, requested)).toMatch(text);
  });

  test("01#108 1.0 to 1.18 are accepted", () => {
    for (let minor = 0; minor <= 18; minor++) expect(versionRefusal(server, `1.${minor}`)).toBeUndefined();
  });
});

test("01#31 the hash of the key of forty-three letters A is the vector", () => {
  expect(sha256("A".repeat(43))).toBe("0f007385b6f9d4b7eeb2748605afe1a984a0a3bfa3f014d09e2a784ce9e5cd1a");
});

test("ids are UUIDs, keys have 43 letters and digits, session tokens 10 and 22", () => {
  const chance = new Chance(secureRandom);
  for (let round = 0; round < 100; round++) {
    const id = chance.uuid();
    expect(isUuid(id) && id === id.toLowerCase()).toBe(true);
    expect(chance.word(43)).toMatch(/^[0-9A-Za-z]{43}$/);
    expect(chance.sessionToken()).toMatch(/^[0-9A-Za-z]{10}-[0-9A-Za-z]{22}$/);
  }
});

test("the status is the table of spec/02 §5.12", () => {
  const at = 1;
  expect(jobStatus({ completedAt: at, error: "x", canceledAt: at })).toBe("failed");
  expect(jobStatus({ completedAt: at, canceledAt: at, startedAt: at })).toBe("canceled");
  expect(jobStatus({ completedAt: at, startedAt: at })).toBe("succeeded");
  expect(jobStatus({ completedAt: at, error: "" })).toBe("succeeded");
  expect(jobStatus({ error: "x" })).toBe("failed");
  expect(jobStatus({ canceledAt: at, startedAt: at })).toBe("canceling");
  expect(jobStatus({})).toBe("pending");
  expect(jobStatus({ startedAt: at })).toBe("running");
});

describe("workspace tags", () => {
  test.each([
    ['"developers"', "developers"],
    ['"a\\"b\\n\\u00e9"', 'a"b\né'],
    ['"$${x}"', "${x}"],
    ["12", "12"],
    ["1.50", "1.5"],
    ["1234567890123", "1234567890000"],
    ["true", "true"],
  ])("%s folds to its value", (source, value) => {
    expect(foldWorkspaceTags({ t: source })).toEqual({ t: value });
  });

  test.each([
    "var.x",
    '"${var.x}"',
    '"a" == "b"',
    "<<-EOT\n  a\n  EOT",
    "null",
    '("par")',
    '"\\q"',
    '"%{ if true }x%{ endif }"',
  ])("%s fails and the text names the tag", (source) => {
    expect(() => foldWorkspaceTags({ cluster: source })).toThrow(/"cluster"/);
  });

  test("a key that is an expression fails", () => {
    expect(() => foldWorkspaceTags({ "c-${var.r}": '"4"' })).toThrow("c-${var.r}");
    expect(() => foldWorkspaceTags({ "(var.region)": '"3"' })).toThrow("(var.region)");
  });

  test("any text, quoted as the language quotes it, comes back", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const quoted = `"${text
          .replace(/[\\"]/g, "\\$&")
          .replace(/[$%](?=\{)/g, "$&$&")
          .replaceAll("\n", "\\n")}"`;
        expect(foldWorkspaceTags({ t: quoted })["t"]).toBe(text);
      }),
    );
  });
});
