import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type LogOptions, openLog } from "../../src/observe/log-open.ts";

/** 12 July 2026, 14:02:11.042, wherever the test runs. */
const at = new Date(2026, 6, 12, 14, 2, 11, 42).getTime();

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "outpost-log-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

class Stream {
  readonly lines: string[] = [];
  isTTY: boolean;
  fail: ((error: Error) => void) | undefined;

  constructor(isTTY = false) {
    this.isTTY = isTTY;
  }

  write(text: string): void {
    this.lines.push(text.replace(/\n$/, ""));
  }

  on(_event: "error", listener: (error: Error) => void): void {
    this.fail = listener;
  }
}

function open(sinks: LogOptions["sinks"], options: Partial<LogOptions> & { terminal?: boolean } = {}) {
  const stdout = new Stream(options.terminal);
  const stderr = new Stream(options.terminal);
  const opened = openLog({
    sinks,
    verbose: false,
    filters: [],
    now: () => at,
    streams: { stdout, stderr },
    environment: {},
    ...options,
  });
  return { ...opened, opened, stdout, stderr };
}

const stderrAs = (form: LogOptions["sinks"][number]["form"]) => [{ form, path: "/dev/stderr" }];

describe("Coder's form for people", () => {
  const lineOf = (write: (log: ReturnType<typeof open>["log"]) => void, options = {}) => {
    const { log, stderr } = open(stderrAs("coder"), { verbose: true, ...options });
    write(log);
    return stderr.lines;
  };

  test("02#85 a line is time, level, loggers, message and fields, two spaces apart", () => {
    const lines = lineOf((log) => {
      log.write("info", "", "successfully connected to coderd");
      log.write("debug", "runner.init", "line", { a: 1, b: "x/y" });
      log.write("warn", "", "two", { words: "need quotes", empty: "", none: undefined });
      log.write("error", "", "starting", { tags: { region: "eu" }, list: ["a"] });
    });
    expect(lines).toEqual([
      "2026-07-12 14:02:11.042 [info]  successfully connected to coderd",
      "2026-07-12 14:02:11.042 [debu]  runner.init: line  a=1  b=x/y",
      '2026-07-12 14:02:11.042 [warn]  two  words="need quotes"',
      '2026-07-12 14:02:11.042 [erro]  starting  tags={"region":"eu"}  list=["a"]',
    ]);
  });

  test("values of several lines stand in a block after ...", () => {
    const [line] = lineOf((log) => log.write("info", "", "failed", { error: "one\ntwo\n", id: 7 }));
    expect(line).toBe("2026-07-12 14:02:11.042 [info]  failed  id=7  ...\nerror= one\n       two");
  });

  test("is coloured on a terminal or with FORCE_COLOR, and never with NO_COLOR", () => {
    const colored = (options: object) => lineOf((log) => log.write("info", "", "x"), options)[0]?.includes("\u001b[");
    expect(colored({})).toBe(false);
    expect(colored({ terminal: true })).toBe(true);
    expect(colored({ environment: { FORCE_COLOR: "1" } })).toBe(true);
    expect(colored({ terminal: true, environment: { NO_COLOR: "1", FORCE_COLOR: "1" } })).toBe(false);
  });
});

test("a line of ours is time, level, who, what and fields", () => {
  const { log, stderr } = open(stderrAs("outpost"));
  log.write("info", "job", "a1b2 done", { id: "a1b2", why: "two words", none: undefined });
  expect(stderr.lines).toEqual(['14:02:11 info  job   a1b2 done id=a1b2 why="two words"']);
});

test("whatever a message holds stays on its line and moves no cursor", () => {
  for (const form of ["outpost", "coder"] as const) {
    const { log, stderr } = open(stderrAs(form));
    log.write("info", "x", "a\n12:00:00 error forged \u001b[2J\u009b1m\u2028", { output: "\u001b]0;title\u0007\r" });
    expect(stderr.lines[0]).not.toMatch(/[\n\r\u001b\u009b\u0007\u2028]/);
    expect(stderr.lines[0]).toContain("a\\n12:00:00");
  }
});

test("a JSON line has ts, level, msg, logger_names and fields, and nothing else", () => {
  const { log, stderr } = open(stderrAs("json"));
  log.write("warn", "runner.init", "connection reset\n", { tries: 3, tags: { a: "b" } });
  log.write("info", "", "second");
  expect(stderr.lines.map((line) => JSON.parse(line))).toEqual([
    {
      ts: new Date(at).toISOString(),
      level: "WARN",
      msg: "connection reset\n",
      logger_names: ["runner", "init"],
      fields: { tries: 3, tags: { a: "b" } },
    },
    { ts: new Date(at).toISOString(), level: "INFO", msg: "second", logger_names: [], fields: {} },
  ]);
});

test("a Stackdriver line has severity, message, both timestamps, and its fields at the top", () => {
  const { log, stderr } = open(stderrAs("stackdriver"));
  log.write("warn", "runner", "connection reset", { tries: 3, severity: "not this" });
  expect(JSON.parse(stderr.lines[0] ?? "")).toEqual({
    severity: "WARNING",
    message: "connection reset",
    timestampSeconds: Math.floor(at / 1_000),
    timestampNanos: 42_000_000,
    "logging.googleapis.com/labels": { logger_names: "runner" },
    tries: 3,
  });
});

test("without a form, people get lines on a terminal and machines get JSON everywhere else", () => {
  const terminal = open(stderrAs("auto"), { terminal: true, environment: { NO_COLOR: "1" } });
  terminal.log.write("info", "link", "hello");
  expect(terminal.stderr.lines[0]).toBe("14:02:11 info  link  hello");
  const pipe = open([...stderrAs("auto"), { form: "auto", path: join(folder, "file") }]);
  pipe.log.write("info", "link", "hello");
  expect(JSON.parse(pipe.stderr.lines[0] ?? "").msg).toBe("hello");
  expect(JSON.parse(readFileSync(join(folder, "file"), "utf8")).msg).toBe("hello");
});

test("several sinks get every line, each in its form; /dev/null and nothing are no sinks", async () => {
  const file = join(folder, "agent.json");
  const { log, opened, stdout, stderr } = open([
    { form: "coder", path: "/dev/stderr" },
    { form: "stackdriver", path: "/dev/stdout" },
    { form: "json", path: file },
    { form: "json", path: "/dev/null" },
    { form: "json", path: "" },
  ]);
  log.write("info", "", "hello");
  await opened.close();
  expect(stderr.lines).toEqual(["2026-07-12 14:02:11.042 [info]  hello"]);
  expect(JSON.parse(stdout.lines[0] ?? "").severity).toBe("INFO");
  expect(JSON.parse(readFileSync(file, "utf8")).level).toBe("INFO");
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

describe("debug lines", () => {
  const told = (options: Partial<LogOptions>) => {
    const { log, stderr } = open(stderrAs("coder"), options);
    log.write("debug", "link.dial", "resolved");
    log.write("debug", "runner", "acquired job");
    log.write("info", "cache", "trimmed");
    return stderr.lines.map((line) => line.split("  ")[1]);
  };

  test("are written when verbose", () => {
    expect(told({})).toEqual(["cache: trimmed"]);
    expect(told({ verbose: true })).toHaveLength(3);
  });

  test("are written where a filter matches the logger or the message, and other levels always", () => {
    expect(told({ filters: [/^link/] })).toEqual(["link.dial: resolved", "cache: trimmed"]);
    expect(told({ filters: [/nothing/, /acquired/] })).toEqual(["runner: acquired job", "cache: trimmed"]);
    expect(told({ filters: [/.*/] })).toHaveLength(3);
  });
});

test("what is remembered is every line, debug and all, masked", () => {
  const kept: string[] = [];
  const { log, stderr } = open(stderrAs("json"), {
    remember: (line) => void kept.push(line),
    mask: (line) => line.replace("s3cr3t", "[secret]"),
  });
  log.write("debug", "link", "dial with s3cr3t");
  expect(kept).toEqual(["14:02:11 debug link  dial with [secret]"]);
  expect(stderr.lines).toEqual([]);
});

describe("a log file", () => {
  test("is set aside at 5 MB, keeping one old file and every line in order", async () => {
    const path = join(folder, "agent.log");
    const { log, opened } = open([{ form: "coder", path }]);
    const filler = "x".repeat(100_000);
    for (let index = 0; index < 110; index++) log.write("info", "", `line ${index} ${filler}`);
    await opened.close();
    const numbers = (file: string) =>
      [...readFileSync(file, "utf8").matchAll(/line (\d+) /g)].map(([, number]) => Number(number));
    const kept = [...numbers(`${path}.1`), ...numbers(path)];
    expect(kept).toEqual(Array.from({ length: kept.length }, (_, index) => 110 - kept.length + index));
    for (const file of [path, `${path}.1`]) expect(statSync(file).size).toBeLessThanOrEqual(5 * 1024 * 1024);
    expect(statSync(`${path}.1`).size).toBeGreaterThan(5_100_000);
    expect(existsSync(`${path}.2`)).toBe(false);
    expect(opened.dropped).toBe(0);
  });

  test("is continued by the next start", async () => {
    const path = join(folder, "agent.log");
    for (const word of ["first", "second"]) {
      const { log, opened } = open([{ form: "coder", path }]);
      log.write("info", "", word);
      await opened.close();
    }
    expect(readFileSync(path, "utf8")).toMatch(/first\n.*second\n$/);
  });

  test("that can't be opened is an error that names it", () => {
    expect(() => open([{ form: "json", path: join(folder, "missing/agent.log") }])).toThrow(/missing\/agent.log/);
  });

  test("on a full disk costs lines, counted, and no job", () => {
    const { log, opened } = open([{ form: "json", path: "/dev/full" }]);
    log.write("info", "", "hello");
    expect(opened.dropped).toBe(1);
  });
});

test("a stream whose reader went away costs lines, counted, and not the agent", () => {
  const { opened, stderr } = open(stderrAs("json"));
  stderr.fail?.(new Error("EPIPE"));
  expect(opened.dropped).toBe(1);
});

test("02#86 the agent's own secrets are masked in every form", () => {
  const file = join(folder, "all");
  const mask = (line: string) => line.replaceAll("s3cr3t-key", "[secret]");
  const forms = ["outpost", "coder", "json", "stackdriver"] as const;
  const { log } = open(
    forms.map((form) => ({ form, path: file })),
    { mask },
  );
  log.write("error", "link", "refused s3cr3t-key", { cause: "s3cr3t-key again" });
  const text = readFileSync(file, "utf8");
  expect(text.split("\n").filter((line) => line.includes("refused [secret]"))).toHaveLength(4);
  expect(text).not.toContain("s3cr3t");
});
