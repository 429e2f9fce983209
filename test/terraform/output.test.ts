import fc from "fast-check";
import { expect, test } from "vitest";
import { LogLevel } from "../../src/gen/provisioner_pb.ts";
import { LineSplitter } from "../../src/terraform/lines.ts";
import { parseRecord, stderrEntries, stdoutEntries } from "../../src/terraform/records.ts";
import { initInputOf, planInputOf, World } from "./world.ts";

const show = (entries: { level: LogLevel; output: string }[]) =>
  entries.map(({ level, output }) => `${LogLevel[level]} ${output}`);
const stdout = (line: string) => show(stdoutEntries(line, parseRecord(line)));
const record = (level: string, message: string, more: object = {}) =>
  JSON.stringify({ "@level": level, "@message": message, ...more });

test("03#67 a JSON line is one entry with its level and message, line feeds kept", () => {
  expect(stdout(record("warn", "a\nb\n", { type: "log", unknown: [1] }))).toEqual(["WARN a\nb\n"]);
  expect(["trace", "DEBUG", "Info", "WARNING", "error"].flatMap((level) => stdout(record(level, "m")))).toEqual([
    "TRACE m",
    "DEBUG m",
    "INFO m",
    "WARN m",
    "ERROR m",
  ]);
});

test("03#68 a plain line is INFO unchanged; white space is dropped; what is no record is plain text", () => {
  expect(stdout("  Successfully configured\t")).toEqual(["INFO   Successfully configured\t"]);
  expect(stdout("")).toEqual([]);
  expect(stdout(" \t ")).toEqual([]);
  for (const line of ["[1]", "17", '"text"', '{"@level":1}', '{"@level":"info"} trailing', "{", '{"hook":[]}']) {
    expect(stdout(line)).toEqual([`INFO ${line}`]);
  }
  for (const line of ["{}", "null"]) expect(stdout(line)).toEqual(['WARN unknown log level: ""', "INFO "]);
});

test("03#69 plain stderr is ERROR; of JSON stderr trace is dropped, info becomes DEBUG, warn and error stay", () => {
  expect(show(stderrEntries("Error: x"))).toEqual(["ERROR Error: x"]);
  expect(show(stderrEntries("  "))).toEqual([]);
  expect(
    ["trace", "debug", "info", "warn", "error"].flatMap((level) => show(stderrEntries(record(level, "m")))),
  ).toEqual(["DEBUG m", "DEBUG m", "WARN m", "ERROR m"]);
});

test("03#70 an unknown level adds one WARN and INFO is used", () => {
  expect(stdout(record("loud", "m"))).toEqual(['WARN unknown log level: "loud"', "INFO m"]);
  expect(stdout(record("constructor", "m"))).toEqual(['WARN unknown log level: "constructor"', "INFO m"]);
});

const diagnostic = (more: object) =>
  stdout(record("error", "Error: no", { diagnostic: { severity: "error", ...more } }));

test("03#71 diagnostics are shown with place, code, values and detail", () => {
  const range = { filename: "main.tf", start: { line: 230, column: 3 }, end: { line: 230 } };
  const inResource = {
    range,
    snippet: { context: 'resource "docker_container" "workspace"', code: "  name = x", start_line: 230, values: [] },
    detail: "This is not expected.",
  };
  expect(diagnostic(inResource)).toEqual([
    "ERROR Error: no",
    'ERROR on main.tf line 230, in resource "docker_container" "workspace":',
    "ERROR   230:   name = x",
    "ERROR ",
    "ERROR This is not expected.",
  ]);
  const check = {
    range: { ...range, start: { line: 18 } },
    snippet: {
      context: null,
      code: 'variable "step1_do_project_id" {\n  default = 1',
      start_line: 18,
      values: [
        { traversal: "var.z", statement: "is 1" },
        { traversal: "var.step1_do_project_id", statement: 'is "magic-project-id"' },
      ],
    },
    detail: "Invalid project ID.\n\nThis was checked.",
  };
  expect(diagnostic(check).slice(1)).toEqual([
    "ERROR on main.tf line 18:",
    'ERROR   18: variable "step1_do_project_id" {',
    "ERROR   19:   default = 1",
    "ERROR     ├────────────────",
    'ERROR     │ var.step1_do_project_id is "magic-project-id"',
    "ERROR     │ var.z is 1",
    "ERROR ",
    "ERROR Invalid project ID.",
    "ERROR ",
    "ERROR This was checked.",
  ]);
  expect(diagnostic({ detail: "only" }).slice(1)).toEqual(["ERROR only"]);
  expect(diagnostic({ detail: "" }).slice(1)).toEqual(["ERROR "]);
  expect(diagnostic({ range, detail: "d" }).slice(1)).toEqual([
    "ERROR on main.tf line 230:",
    "ERROR   (source code not available)",
    "ERROR ",
    "ERROR d",
  ]);
});

test("03#72 a threshold of WARN drops INFO and below, bogus drops nothing", async () => {
  const lines = ["trace", "debug", "info", "warn", "error"].map((level) => `${record(level, level)}\n`).join("");
  const logged = async (logLevel: string) => {
    await using world = await World.open({ logLevel, scenario: { init: { stdout: lines } } });
    await world.init();
    return world.lines;
  };
  expect(await logged("WARN")).toEqual(["WARN warn", "ERROR error"]);
  expect(await logged("warn")).toEqual(["WARN warn", "ERROR error"]);
  expect(await logged("bogus")).toHaveLength(5);
  expect(await logged("")).toHaveLength(5);
});

test("03#74 lines of 65,536 bytes, 1 MiB and 20 MiB don't block the job, and later lines still appear", async () => {
  for (const bytes of [65_536, 1024 * 1024, 20 * 1024 * 1024]) {
    const stdout = ["first\n", { text: "x".repeat(1024), times: bytes / 1024 }, "\n", `${record("warn", "last")}\n`];
    await using world = await World.open({ scenario: { init: { stdout, stderr: `${"e".repeat(70_000)}\nlate\n` } } });
    await world.init();
    const infos = world.lines.filter((line) => !line.startsWith("ERROR"));
    expect(infos[0]).toBe("INFO first");
    expect(infos.at(-1)).toBe("WARN last");
    expect(infos[1]).toMatch(
      bytes > 1024 * 1024 ? /^INFO x{4096} … \(cut: the line has 20971520 bytes\)$/ : /^INFO x+$/,
    );
    expect(infos[1]?.length).toBe(bytes > 1024 * 1024 ? infos[1]?.length : bytes + 5);
    expect(world.lines).toContain("ERROR late");
  }
});

test("a cut JSON line keeps its level and message", async () => {
  const head = '{"@level":"warn","@message":"Outputs: \\"1\\"","outputs":{"a":"';
  const stdout = [head, { text: "x".repeat(1024), times: 1100 }, '"}}\n'];
  await using world = await World.open({ scenario: { init: { stdout } } });
  await world.init();
  expect(world.lines).toEqual([expect.stringMatching(/^WARN Outputs: "1" … \(cut: the line has 112\d{4} bytes\)$/)]);
});

test("the warning about a lock file that ends with the job is left out, and only that", async () => {
  const warning = (summary: string) =>
    `${record("warn", `Warning: ${summary}`, { diagnostic: { severity: "warning", detail: summary } })}\n`;
  const stdout = [warning("Incomplete lock file information for providers"), warning("other")];
  await using world = await World.open({ scenario: { init: { stdout } } });
  await world.init();
  expect(world.lines).toEqual(["WARN Warning: other", "WARN other"]);
});

test("03#75 bad UTF-8 in the output is replaced and the rest comes through", async () => {
  const bytes = Buffer.concat([Buffer.from([0x61, 0xff, 0xfe, 0x0a]), Buffer.from(`${record("info", "good")}\n`)]);
  const lone = Buffer.from('{"@level":"info","@message":"a\\ud800b"}\n');
  await using world = await World.open({ scenario: { init: { bytes: Buffer.concat([bytes, lone]).toString("hex") } } });
  await world.init();
  expect(world.lines).toEqual(["INFO a\ufffd\ufffd", "INFO good", "INFO a\ufffdb"]);
  for (const { output } of world.logs) expect(output.isWellFormed()).toBe(true);
});

test("03#76 all entries of both streams are there before the answer", async () => {
  const times = 2000;
  const scenario = { plan: { stdout: [{ text: "out\n", times }, "no line feed"], stderr: "err\n".repeat(times) } };
  await using world = await World.open({ scenario });
  const initialized = await world.init(initInputOf());
  await initialized.plan(planInputOf(), new AbortController().signal);
  expect(world.lines.filter((line) => line === "INFO out")).toHaveLength(times);
  expect(world.lines.filter((line) => line === "ERROR err")).toHaveLength(times);
  expect(world.lines).toContain("INFO no line feed");
});

test("the splitter gives the same lines however the bytes are cut", () => {
  const split = (chunks: Uint8Array[]) => {
    const lines: string[] = [];
    const splitter = new LineSplitter({
      capBytes: 20,
      dumpBytes: 100,
      onLine: (line) => lines.push(line),
      onCut: ({ head, bytes }) => lines.push(`cut ${head} ${bytes}`),
    });
    for (const chunk of chunks) splitter.push(chunk);
    splitter.end();
    return lines;
  };
  const text = fc.string({ unit: fc.constantFrom("a", "é", "😀", "\n", "\r\n", "\r", "xxxxxxxxxx"), maxLength: 40 });
  fc.assert(
    fc.property(text, fc.array(fc.nat(30)), (input, cuts) => {
      const bytes = Buffer.from(input);
      const expected = split([bytes]);
      expect(split(Array.from(bytes, (byte) => Uint8Array.of(byte)))).toEqual(expected);
      const chunks: Uint8Array[] = [];
      let rest = bytes;
      for (const cut of cuts) {
        chunks.push(rest.subarray(0, cut));
        rest = rest.subarray(cut);
      }
      expect(split([...chunks, rest])).toEqual(expected);
      const short = input.split("\n").every((line) => Buffer.byteLength(line) <= 20);
      if (short)
        expect(expected).toEqual(
          input
            .replace(/\n$/, "")
            .split(input === "" ? "" : "\n")
            .map((line) => line.replace(/\r$/, "")),
        );
    }),
  );
});
