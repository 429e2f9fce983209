import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { parseSettingsFile, readSettingsFile } from "../../src/config/file.ts";
import { resolve } from "../../src/config/resolve.ts";
import { fileSchema } from "../../src/config/schema.ts";
import { startSettings } from "../../src/config/start-settings.ts";
import { valid } from "../support/json-schema.ts";

const read = (
  text: string,
  flags: Record<string, string | string[]> = {},
  environment: Record<string, string> = {},
) => {
  const file = parseSettingsFile("o.yaml", text, startSettings);
  const resolved = resolve(startSettings, flags, environment, file.values);
  return { ...resolved, problems: [...file.problems, ...resolved.problems] };
};
const told = (text: string) => read(text).problems.map((problem) => `${problem.place}: ${problem.text}`);

describe("what the file says", () => {
  test("texts, numbers, switches, durations and lists", () => {
    const { values, problems } = read(`
url: https://coder.example.com
slots: 4
verbose: true
job-timeout: 2h
silence-timeout: 0
tag: ["a=1", 'b=2,3', 'c="q"']
isolation: none
`);
    expect(problems).toEqual([]);
    expect(values).toMatchObject({
      url: "https://coder.example.com",
      slots: 4,
      verbose: true,
      jobTimeout: 7_200_000,
      silenceTimeout: 0,
      tags: ["a=1", "b=2,3", 'c="q"'],
      isolation: "none",
    });
  });

  test("a flag beats a variable beats the file beats the default", () => {
    const variable = { CODER_PROVISIONER_DAEMON_NAME: "from-variable" };
    expect(read("name: from-file", { name: "from-flag" }, variable).values.name).toBe("from-flag");
    expect(read("name: from-file", {}, variable).values.name).toBe("from-variable");
    const { values, sources } = read("slots: 2\nname: from-file");
    expect([values.name, sources.name]).toEqual(["from-file", "file o.yaml:2:7"]);
    expect([values.isolation, sources.isolation]).toEqual(["auto", "default"]);
  });

  test("the file's list counts only where neither flag nor variable is given", () => {
    expect(read("job-env: [A]", {}, { OUTPOST_JOB_ENV: "B" }).values.jobEnvironment).toEqual(["B"]);
    expect(read("job-env: [A]", { "job-env": ["C"] }).values.jobEnvironment).toEqual(["C"]);
    expect(read("job-env: [A]").values.jobEnvironment).toEqual(["A"]);
    const both = read("job-env: [A]", { "job-env": ["C"] }, { OUTPOST_JOB_ENV: "B" });
    expect([both.values.jobEnvironment, both.sources.jobEnvironment]).toEqual([
      ["C", "B"],
      "flag and variable OUTPOST_JOB_ENV",
    ]);
  });

  test("an empty file and aliases", () => {
    expect(read("# nothing yet\n").problems).toEqual([]);
    expect(read("work-dir: &here /x\nstate-dir: *here").values).toMatchObject({ workFolder: "/x", stateFolder: "/x" });
  });
});

describe("what is wrong with a file, with line and column", () => {
  test("everything at once, each with the nearest name", () => {
    const text =
      "slot: 4\nslots: many\nname: 12\ntag: [a=1, b]\nheatbeat: 4s\nheader: s3cret\njob-env: [A, 3]\nheartbeat: soon";
    expect(told(text)).toEqual([
      'o.yaml:1:1: no setting has the name "slot"; did you mean "slots"?',
      "o.yaml:2:8 slots: must be a number",
      'o.yaml:3:7 name: must be a text: put it in quotes, "12"',
      'o.yaml:5:1: no setting has the name "heatbeat"; did you mean "heartbeat"?',
      'o.yaml:6:9 header: must be a list of texts, such as ["name=value"]',
      'o.yaml:7:14 job-env: must be a list of texts, such as ["name"]',
      'o.yaml:4:12 tag "b": must be KEY=VALUE',
      'o.yaml:8:12 heartbeat "soon": must be a duration such as 90s, 10m or 1h30m',
    ]);
  });

  test.each([
    ["slots: 1\nslots: 2", /^o\.yaml:2:1: Map keys must be unique/],
    ["slots: 1\n  name: x", /^o\.yaml:[12]:\d+: /],
    ["tag: [a", /^o\.yaml:1:\d+: /],
    ["- slots", /^o\.yaml:1:1: must be settings such as slots: 4$/],
    ["slots:", /^o\.yaml:1:\d+ slots: must have one value$/],
    ["slots: [1, 2]", /^o\.yaml:1:8 slots: must have one value$/],
    ["slots: 65", /^o\.yaml:1:8 slots "65": must be a whole number from 1 to 64$/],
    ["verbose: yes", /^o\.yaml:1:10 verbose: must be true or false$/],
    ["isolation: vm", /^o\.yaml:1:12 isolation "vm": must be one of/],
    ["config: x.yaml", /^o\.yaml:1:1: no setting has the name "config"/],
    ["[a]: 1", /^o\.yaml:1:1: no setting has the name ""$/],
    ["name: *nowhere", /^o\.yaml:1:7 name: must have one value$/],
    ["? name", /^o\.yaml:1:3 name: must have one value$/],
    ["psk: 12345", /^o\.yaml:1:6 psk: must be a text: put it in quotes$/],
  ])("%j", (text, problem) => {
    const problems = told(text);
    expect(problems[0]).toMatch(problem);
  });

  test("a name that is near to none has no advice", () => {
    expect(told("zzzzzz: 1")).toEqual(['o.yaml:1:1: no setting has the name "zzzzzz"']);
  });

  test("a file that is absent, or no file, is one problem that names it", () => {
    const folder = mkdtempSync(join(tmpdir(), "outpost-settings-"));
    try {
      for (const path of [join(folder, "none.yaml"), folder]) {
        const { problems } = readSettingsFile(path, startSettings);
        expect(problems).toMatchObject([{ place: path, text: expect.stringMatching(/^can't be read: /) }]);
      }
      const big = join(folder, "big.yaml");
      writeFileSync(big, `# ${"x".repeat(1_048_576)}`);
      expect(readSettingsFile(big, startSettings).problems[0]?.text).toContain("at most 1048576");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("no text whatever throws", () => {
    fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => Array.isArray(told(text))));
    const bits = fc.constantFrom(
      "slots",
      "tag",
      ":",
      " ",
      "\n",
      "- ",
      "[",
      "]",
      "{",
      "}",
      "&a",
      "*a",
      "!!x",
      "? ",
      "1",
      "x=y",
      "|",
      "<<",
    );
    fc.assert(fc.property(fc.array(bits, { maxLength: 12 }), (words) => Array.isArray(told(words.join("")))));
  });
});

describe("the schema", () => {
  const schema = fileSchema(startSettings);

  test("accepts what the file accepts", () => {
    const value = (setting: (typeof startSettings)[keyof typeof startSettings]): fc.Arbitrary<unknown> => {
      const { type, enum: words, anyOf } = (setting.schema ?? {}) as Record<string, unknown>;
      const own = words
        ? fc.constantFrom(...(words as string[]))
        : type === "integer"
          ? fc.constantFrom(0, 1, 2, 64)
          : anyOf
            ? fc.constantFrom("90s", "1h30m", "0", 0, "1.5m")
            : fc.constantFrom("a-b", "https://x.example", "127.0.0.1:1");
      return fc.oneof(
        own,
        fc.boolean(),
        fc.constantFrom("x=1", 7, null),
        fc.array(fc.constantFrom("a=1", "b"), { maxLength: 2 }),
      );
    };
    const settings = Object.values(startSettings);
    const one = fc.constantFrom(...settings).chain((setting) => value(setting).map((v) => ({ [setting.flag]: v })));
    let accepted = 0;
    fc.assert(
      fc.property(one, (content) => {
        if (read(JSON.stringify(content)).problems.length > 0) return true;
        accepted++;
        return valid(schema, content);
      }),
      { numRuns: 2_000 },
    );
    expect(accepted).toBeGreaterThan(200);
  });

  test.each([
    "slot: 4",
    "slots: many",
    "slots: 65",
    "verbose: 1",
    "tag: a=1",
    "isolation: vm",
    "heartbeat: soon",
    "key: 1",
  ])("refuses %s, as the file does", (text) => {
    expect(valid(schema, parse(text))).toBe(false);
    expect(told(text)).toHaveLength(1);
  });

  test("says every setting but those that have no place in a file", () => {
    const names = Object.keys(schema["properties"] as object);
    expect(names).toContain("key-file");
    for (const absent of ["config", "poll-interval", "experiments"]) expect(names).not.toContain(absent);
  });
});
