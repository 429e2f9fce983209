import { expect, test } from "vitest";
import { humanLog, jsonLog } from "../../src/observe/log.ts";

test("every JSON line has ts, level, msg, logger_names and fields", () => {
  const lines: string[] = [];
  jsonLog((line) => lines.push(line), "info").write("warn", "link", "connection reset", { tries: 3 });
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] ?? "")).toEqual({
    ts: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    level: "WARN",
    msg: "connection reset",
    logger_names: ["link"],
    fields: { tries: 3 },
  });
});

test("lines below the least level are not written", () => {
  const lines: string[] = [];
  jsonLog((line) => lines.push(line), "info").write("debug", "x", "quiet");
  humanLog(
    (line) => lines.push(line),
    "info",
    () => 0,
  ).write("debug", "x", "quiet");
  expect(lines).toEqual([]);
});

test("a human line says time, level, who, what and quoted fields", () => {
  const lines: string[] = [];
  humanLog(
    (line) => lines.push(line),
    "info",
    () => 0,
  ).write("info", "job", "done", { id: "a1b2", why: "two words", none: undefined });
  expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d info {2}job {3}done id=a1b2 why="two words"$/);
});
