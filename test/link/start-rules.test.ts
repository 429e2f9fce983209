import { describe, expect, test } from "vitest";
import { OperatorError } from "../../src/kit/errors.ts";
import { Secret } from "../../src/kit/secret.ts";
import { parseDeployment } from "../../src/link/deployment.ts";
import { checkIdentity, defaultName, fingerprint, type IdentitySettings } from "../../src/link/identity.ts";

const key = new Secret("k".repeat(43));
const psk = new Secret("shared");
const token = new Secret("0123456789-0123456789012345678901");

function check(settings: Partial<IdentitySettings>) {
  return checkIdentity({ hostName: "build.example.com", ...settings });
}

function refusal(settings: Partial<IdentitySettings>): OperatorError {
  try {
    check(settings);
  } catch (error) {
    if (error instanceof OperatorError) return error;
    throw error;
  }
  throw new Error("was accepted");
}

describe("deployment URL", () => {
  test.each([
    ["https://coder.example.com", "https://coder.example.com/", true],
    ["wss://coder.example.com:8443/", "https://coder.example.com:8443/", true],
    ["ws://10.0.0.1:3000", "http://10.0.0.1:3000/", false],
    [" http://[::1]:3000\n", "http://[::1]:3000/", false],
    ["wss://coder.example.com:443", "https://coder.example.com/", true],
  ])("%j", (text, origin, secure) => {
    const deployment = parseDeployment(text);
    expect(deployment.origin.href).toBe(origin);
    expect(deployment.secure).toBe(secure);
    expect(deployment.warnings).toEqual([]);
  });

  test("01#2 a path, query and hash are cut with a warning", () => {
    const deployment = parseDeployment("https://example.com/coder/?a=b#c");
    expect(deployment.origin.href).toBe("https://example.com/");
    expect(deployment.warnings).toHaveLength(1);
    expect(deployment.warnings[0]).toContain("/coder/?a=b#c");
  });

  test("a host alone means https, and says so", () => {
    const deployment = parseDeployment("coder.example.com");
    expect(deployment.origin.href).toBe("https://coder.example.com/");
    expect(deployment.warnings[0]).toContain("https");
  });

  test.each(["", "  ", "ftp://example.com", "https://", "https://user:secret@example.com"])("%j is refused", (text) => {
    expect(() => parseDeployment(text)).toThrow(expect.objectContaining({ code: "OUT-URL" }));
    expect(() => parseDeployment(text)).not.toThrow(/secret/);
  });
});

describe("02#83 start rules, each with exit code 1 and one line", () => {
  test.each<[string, Partial<IdentitySettings>, RegExp]>([
    ["no credential", {}, /no provisioner key/],
    ["blank key", { key: new Secret(" \n") }, /no provisioner key/],
    ["organization with a key", { key, organization: "raptix" }, /raptix/],
    ["organization with a PSK", { psk, organization: "raptix" }, /raptix/],
    ["key with PSK", { key, psk }, /pre-shared/],
    ["key with tags", { key, tags: ["a=b"] }, /a=b/],
    ["tag without =", { psk, tags: ["ab"] }, /"ab"/],
    ["bad name", { key, name: "a_b" }, /"a_b"/],
    ["bad default name", { key, hostName: "x" }, /"x"/],
  ])("%s", (_what, settings, words) => {
    const error = refusal(settings);
    expect(error.exit).toBe(1);
    expect(error.message).toMatch(words);
    expect(error.message).not.toContain("\n");
  });

  test("the first broken rule is the one that is told", () => {
    expect(refusal({ key, psk, organization: "o", tags: ["a"] }).message).toContain("organization");
    expect(refusal({ key, psk, tags: ["a"] }).message).toContain("pre-shared");
    expect(refusal({ key, tags: ["a"], name: "_" }).message).toContain("tags");
  });

  test("01#4 tags together with a key are an error of the start; without tags none are sent", () => {
    expect(refusal({ key, tags: ["env=prod"] }).code).toBe("OUT-TAGS");
    expect(check({ key }).tags).toEqual([]);
  });
});

describe("01#9 names", () => {
  test.each(["a", "a".repeat(64), "a_b", "a.b", "-ab", "ab-", "ä1", "a b", ""])("%j is refused", (name) => {
    // An empty name is no name: the default takes its place, and here that one is bad.
    expect(refusal({ key, name, hostName: "-" }).code).toBe("OUT-NAME");
  });

  test.each(["ab", "a".repeat(63), "a--b", "A-1"])("%j is accepted", (name) => {
    expect(check({ key, name }).name).toBe(name);
  });
});

test("01#10 the default name is the host name's first label in lower case", () => {
  expect(check({ key, hostName: "Build-07.Example.com" }).name).toBe("build-07");
  expect(defaultName("")).toBe("localhost");
});

describe("keys", () => {
  test("blanks and line ends around a key are cut with a warning", () => {
    const { credential, warnings } = check({ key: new Secret(`  ${key.reveal()}\r\n`) });
    expect(credential.secret.reveal()).toBe(key.reveal());
    expect(warnings).toHaveLength(1);
    expect(check({ key }).warnings).toEqual([]);
  });

  test.each([42, 44])("a key of %d characters is refused, and the length is told, not the key", (length) => {
    const error = refusal({ key: new Secret("q".repeat(length)) });
    expect(error.code).toBe("OUT-KEY-LENGTH");
    expect(error.message).toContain(`${length} characters`);
    expect(`${error.message} ${error.reason} ${error.cure}`).not.toContain("qqq");
  });

  test("a line end inside a key is refused", () => {
    expect(refusal({ key: new Secret(`${"a".repeat(21)}\n${"b".repeat(21)}`) }).code).toBe("OUT-KEY-LENGTH");
  });

  test("the fingerprint is the beginning of the stored hash", () => {
    expect(fingerprint(new Secret("A".repeat(43)))).toBe("sha256:0f007385…");
  });
});

describe("01#5 tags of a PSK or a token", () => {
  test("a PSK sends its tags, and always the scope of an organization", () => {
    expect(check({ psk, tags: ["a=b=c", "scope=user"] }).tags).toEqual(["a=b=c", "scope=organization"]);
  });

  test("a token sends its tags as they are, to its organization", () => {
    const identity = check({ token, organization: "raptix", tags: ["scope=user"] });
    expect(identity).toMatchObject({ tags: ["scope=user"], organization: "raptix" });
  });
});

test("a token beside a key is left out: it lies about in every workspace", () => {
  expect(check({ key, token }).credential.kind).toBe("key");
});
