import { expect, test } from "vitest";
import type { LifeEvent } from "../../src/local/events.ts";
import { screen, sizeText, timeText } from "../../src/local/screen.ts";

function shown(events: LifeEvent[], options: { verbose?: boolean; unicode?: boolean } = {}): string[] {
  const lines: string[] = [];
  const plain = (text: string) => text;
  const terminal = {
    write: (line: string) => void lines.push(line),
    unicode: options.unicode ?? true,
    dim: plain,
    bold: plain,
    red: plain,
    green: plain,
    yellow: plain,
  };
  const show = screen(terminal, options.verbose ?? false);
  for (const event of events) show(event);
  return lines;
}
const ended = { kind: "job-ended" as const, job: "start" as const, succeeded: true, ms: 512, steps: [], details: [] };
const log = (stage: string, text: string, level: "info" | "error" | "debug" = "info"): LifeEvent => ({
  kind: "log",
  job: "start",
  stage,
  level,
  text,
});

test("a job that ended shows its mark, time, changes, steps and state", () => {
  const event: LifeEvent = {
    ...ended,
    steps: [
      { step: "init", ms: 52 },
      { step: "apply", ms: 140 },
    ],
    changes: { made: 1, changed: 0, destroyed: 0 },
    left: 1,
    stateBytes: 1234,
    dailyCost: 12,
    details: ["terraform_data.hello"],
  };
  expect(shown([event])).toEqual([
    "✓ start   0.5 s   1 made   init 0.05  apply 0.14   state 1.2 kB   daily cost 12",
    "    terraform_data.hello",
  ]);
});

test("without UTF-8 there are words in place of marks", () => {
  expect(shown([ended], { unicode: false })[0]).toMatch(/^ok start/);
  expect(shown([{ ...ended, succeeded: false, error: "terraform apply: exit status 1" }], { unicode: false })).toEqual([
    "FAILED start   0.5 s",
    "    terraform apply: exit status 1",
  ]);
});

test("a delete that leaves nothing says so", () => {
  expect(shown([{ ...ended, job: "delete", changes: { made: 0, changed: 0, destroyed: 0 }, left: 0 }])[0]).toBe(
    "✓ delete  0.5 s   nothing left",
  );
});

test("each line stands behind its job and stage; init and debug only on request", () => {
  const events = [
    log("Initializing Terraform Directory", "Initializing the backend..."),
    log("Planning Infrastructure", "Plan: 1 to add"),
    log("Starting workspace", "noise", "debug"),
    log("Starting workspace", "Creation complete"),
  ];
  expect(shown(events)).toEqual(["    start | plan  | Plan: 1 to add", "    start | apply | Creation complete"]);
  expect(shown(events, { verbose: true })).toHaveLength(4);
});

test("a template's output cannot colour the screen or move the cursor", () => {
  expect(shown([log("Planning Infrastructure", "a\u001b[31mb\u001b]0;title\u0007c\u0008d\re")])).toEqual([
    "    start | plan  | abcde",
  ]);
});

test("the last line says how much was the engine and how much was ours", () => {
  expect(shown([{ kind: "finished", succeeded: true, jobs: 4, ms: 1900, engineMs: 1700 }])).toEqual([
    "4 jobs succeeded in 1.9 s: Terraform 1.7 s, Outpost 0.2 s",
  ]);
  expect(
    shown([
      { kind: "finished", succeeded: false, jobs: 2, ms: 1900, engineMs: 0, stateFile: "/x/terraform.tfstate" },
    ])[1],
  ).toContain("/x/terraform.tfstate");
});

test("times and sizes as people say them", () => {
  expect([timeText(40), timeText(38_400), timeText(125_000)]).toEqual(["0.0 s", "38 s", "2 m 05 s"]);
  expect([sizeText(812), sizeText(1234), sizeText(3_400_000)]).toEqual(["812 B", "1.2 kB", "3.4 MB"]);
});
