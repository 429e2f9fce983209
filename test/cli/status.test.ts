import { expect, test } from "vitest";
import { jobsLines } from "../../src/cli/commands/jobs.ts";
import { statusLines } from "../../src/cli/commands/status.ts";
import { sampleSnapshot } from "../support/snapshots.ts";

const plain = (text: string) => text;
const look = { columns: 100, unicode: true, bold: plain, dim: plain, red: plain, green: plain, yellow: plain };

test("status says who, how it stands, every slot, today and what waits for a person", () => {
  const text = statusLines(sampleSnapshot(), look).join("\n");
  expect(text.replace(/last lost \d\d:\d\d/, "last lost 14:09")).toBe(
    `outpost-0 · raptix · READY · connected 3 d 4 h · v0.1.0 · protocol 1.15 · landlock
slots 3/4   cpu 1.1/2   memory 2.9/5.0 GiB   cache 4.2/10.0 GiB   key "eu-prod" 41 d 0 h

SLOT JOB      KIND    FOR WHOM              STAGE       AGE     LAST LINE
1    a1b2c3d4 start   alice/dev             apply 3/5   1m12s   kubernetes_deployment.main: Still c…
2    9f00c3d4 stop    bob/ml-a100           apply 0/1   18m03s  ! quiet for 9m10s
3    77e0c3d4 import  carol gpu-box v15     init        4s      - Installing hashicorp/aws v6.2.0...
4    free

today  212 jobs, 3 failed (2 template, 1 quota)   p95 build 1m04s
link   last lost 14:09 for 22s (7 tries)
takes  jobs whose tags are all in {region=eu}; no untagged jobs
! carol/build-box: its state was not taken by the control plane: a person must save it
  cure   outpost recover show 5c1d`,
  );
});

test("status that is not ready says so, and why", () => {
  const lines = statusLines(
    sampleSnapshot({
      ready: false,
      notReady: ["connecting: connect ECONNREFUSED"],
      phase: "running",
      running: [],
      person: [],
    }),
    look,
  );
  expect(lines[0]).toContain("· NOT READY ·");
  expect(lines[2]).toBe("! connecting: connect ECONNREFUSED");
});

test("a paused agent is called PAUSED", () => {
  const lines = statusLines(sampleSnapshot({ ready: false, notReady: ["paused"], phase: "paused" }), look);
  expect(lines[0]).toContain("· PAUSED ·");
});

test("what a template wrote never reaches the terminal as an escape sequence, and no line is wider than 100 columns", () => {
  const evil = "\u001b[2J\u001b]0;title\u0007\r\nowned\u202e宽".repeat(40);
  const [first] = sampleSnapshot().running;
  const snapshot = sampleSnapshot();
  if (first) snapshot.running = [{ ...first, forWhom: evil, lines: [evil] }];
  snapshot.ended = snapshot.ended.map((job) => ({ ...job, reason: evil, forWhom: evil }));
  snapshot.person = [{ at: 0, what: evil, cause: evil }];
  const lines = [...statusLines(snapshot, look), ...jobsLines(snapshot, look)];
  for (const line of lines) {
    expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
    expect(line.length).toBeLessThanOrEqual(100);
  }
});

test("jobs lists what runs before what ended, with result and reason", () => {
  const lines = jobsLines(sampleSnapshot(), look);
  expect(lines[1]).toMatch(/^now {4}a1b2c3d4 {2}start {4}alice\/dev +running +1m12s/);
  expect(lines[4]).toMatch(/^\d\d:\d\d {2}5c1dc3d4 {2}start {4}carol\/build-box +failed +41s +template: Error: Inv/);
});
