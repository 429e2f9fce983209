import { describe, expect, test } from "vitest";
import { resolve } from "../../src/config/resolve.ts";
import { csvRecord } from "../../src/config/setting.ts";
import { startProblems, startSettings } from "../../src/config/start-settings.ts";

const start = (flags: Record<string, string | string[]>, environment: Record<string, string> = {}) => {
  const resolved = resolve(startSettings, flags, environment);
  return { ...resolved, all: [...resolved.problems, ...startProblems(resolved)] };
};
const key = "k".repeat(43);

describe("where a value comes from", () => {
  test("a flag beats a variable beats the default", () => {
    expect(start({ name: "flag-name" }, { CODER_PROVISIONER_DAEMON_NAME: "env-name" }).values.name).toBe("flag-name");
    expect(start({}, { CODER_PROVISIONER_DAEMON_NAME: "env-name" }).values.name).toBe("env-name");
    expect(start({}).values.slots).toBe(1);
  });

  test("our own variable beats Coder's, and an empty one counts as not set", () => {
    const { values, sources } = start({}, { OUTPOST_URL: "https://a.example", CODER_URL: "https://b.example" });
    expect(values.url).toBe("https://a.example");
    expect(sources.url).toBe("variable OUTPOST_URL");
    expect(start({}, { OUTPOST_URL: "", CODER_URL: "https://b.example" }).values.url).toBe("https://b.example");
  });

  test("lists add up over flags and the variable, each one CSV record", () => {
    const { values } = start(
      { tag: ["a=1", 'b="2,3",c=4'.replace('b="2,3"', '"b=2,3"')] },
      { CODER_PROVISIONERD_TAGS: "d=5,e=6" },
    );
    expect(values.tags).toEqual(["a=1", "b=2,3", "c=4", "d=5", "e=6"]);
  });
});

describe("what is wrong is said all at once", () => {
  test("every problem has its place and what should be", () => {
    const { all } = start(
      { slots: "many", "health-address": "nowhere" },
      { CODER_URL: "not a url", OUTPOST_HEARTBEAT: "soon" },
    );
    expect(all.map((problem) => problem.place).sort()).toEqual([
      '--health-address "nowhere"',
      '--slots "many"',
      "CODER_PROVISIONER_DAEMON_KEY (--key)",
      'CODER_URL "not a url"',
      'OUTPOST_HEARTBEAT "soon"',
    ]);
    expect(all.find((problem) => problem.place.startsWith("--slots"))?.text).toBe(
      "must be a whole number from 1 to 64",
    );
  });

  test("01#4 tags together with a key are an error at start", () => {
    const { all } = start({ url: "https://c.example", tag: ["a=1"] }, { CODER_PROVISIONER_DAEMON_KEY: key });
    expect(all).toEqual([
      { place: "--tag", text: "not with a key: the key's own tags count; make a key with these tags" },
    ]);
  });

  test("two credentials, an organization with a key, half a client certificate", () => {
    const { all } = start(
      { url: "https://c.example", psk: "p", org: "o", "client-tls-key-file": "/k" },
      { CODER_PROVISIONER_DAEMON_KEY: key },
    );
    expect(all.map((problem) => problem.place)).toEqual([
      "--org",
      "--key, --psk",
      "--client-tls-cert-file, --client-tls-key-file",
    ]);
  });

  test("01#9 names of 1 or 64 characters, or with _, ., leading or trailing -, are refused; 2 and 63 are accepted", () => {
    const refused = ["a", "a".repeat(64), "a_b", "a.b", "-ab", "ab-"];
    const accepted = ["ab", "a".repeat(63), "a-b", "A--9"];
    for (const name of refused) expect(start({ name }).problems, name).toHaveLength(1);
    for (const name of accepted) expect(start({ name }).problems, name).toHaveLength(0);
  });

  test("no problem shows a secret", () => {
    const resolved = resolve(
      {
        key: {
          ...startSettings.key,
          read: (texts) => {
            if (texts.length > 0) throw new Error("bad");
            return "";
          },
        },
      },
      { key: "s3cret-value" },
      {},
    );
    expect(JSON.stringify(resolved.problems)).not.toContain("s3cret-value");
  });
});

describe("forms of values", () => {
  test("durations in Go's form", () => {
    const ms = (text: string) => start({ "job-timeout": text }).values.jobTimeout;
    expect([ms("90s"), ms("1h30m"), ms("250ms"), ms("1.5m"), ms("0")]).toEqual([90_000, 5_400_000, 250, 90_000, 0]);
    expect(start({ "job-timeout": "5" }).problems).toHaveLength(1);
  });

  test("CSV records with quotes", () => {
    expect(csvRecord('a=1,"b=x,y","c=""q"""')).toEqual(["a=1", "b=x,y", 'c="q"']);
    expect(csvRecord("")).toEqual([]);
    expect(csvRecord("a,")).toEqual(["a", ""]);
    expect(() => csvRecord('"open')).toThrow(/quotes in pairs/);
  });
});
