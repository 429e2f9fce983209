import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MetadataSchema } from "../../src/gen/provisioner_pb.ts";
import { UpdateJobRequestSchema } from "../../src/gen/provisionerd_pb.ts";
import { splitAt, storable } from "../../src/job/log-lines.ts";
import { buildJob, gate, importJob, JobBench } from "../support/job-harness.ts";
import type { Stage } from "../support/job-provisioner.ts";

/** A build whose apply runs until the test is done with it. */
async function applying(prepare: (bench: JobBench) => void = () => undefined) {
  const bench = new JobBench();
  prepare(bench);
  const { opened, open } = gate();
  let stage: Stage | undefined;
  bench.provisioner.onApply = async (running) => {
    stage = running;
    await running.until(opened);
    return {};
  };
  bench.begin(buildJob());
  await bench.until(() => stage !== undefined);
  return { bench, stage: stage as unknown as Stage, finish: open };
}

const outputs = (bench: JobBench) => bench.plane.logs.filter((log) => log.source === 1).map((log) => log.output);

describe("flushing", () => {
  test("02#46 output that never pauses is delivered every 250 ms all the same", async () => {
    const { bench, stage, finish } = await applying();
    await bench.clock.advance(1_000);
    const before = bench.plane.calls.length;
    const began = bench.clock.monotonic();
    for (let line = 0; line < 40; line++) {
      stage.log(`line ${line}`);
      await bench.clock.advance(50);
    }
    const flushes = bench.plane.calls.slice(before).map((call) => call.at - began);
    expect(flushes).toEqual([250, 500, 750, 1_000, 1_250, 1_500, 1_750, 2_000]);
    const late = bench.plane.calls
      .slice(before)
      .flatMap((call) =>
        call.kind === "update"
          ? call.request.logs.map(
              (log) => call.at - (Number(log.createdAt) - bench.clock.now() + bench.clock.monotonic()),
            )
          : [],
      );
    expect(Math.max(...late)).toBeLessThanOrEqual(250);
    finish();
    await bench.end();
  });

  test("02#46 a hundred lines, or 256 KiB, go at once", async () => {
    const { bench, stage, finish } = await applying();
    await bench.clock.advance(1_000);
    for (let line = 0; line < 99; line++) stage.log("x");
    await bench.clock.advance(0);
    expect(outputs(bench)).toHaveLength(0);
    stage.log("x");
    await bench.clock.advance(0);
    expect(outputs(bench)).toHaveLength(100);
    // 300 pieces of 1024 bytes out of one output.
    stage.log("y".repeat(300 * 1024));
    await bench.clock.advance(0);
    expect(outputs(bench)).toHaveLength(400);
    finish();
    await bench.end();
  });

  test("02#47 no request carries more than 100 lines or 256 KiB", async () => {
    const { bench, stage, finish } = await applying();
    for (let line = 0; line < 1_000; line++) stage.log("é".repeat(300));
    stage.log("z".repeat(200_000));
    finish();
    await bench.end();
    expect(outputs(bench).length).toBe(1_000 + 196);
    for (const request of bench.plane.updates) {
      expect(request.logs.length).toBeLessThanOrEqual(100);
      expect(request.logs.reduce((sum, log) => sum + Buffer.byteLength(log.output), 0)).toBeLessThanOrEqual(256 * 1024);
    }
  });

  test("one flush at a time: while one waits for its answer, no other is sent", async () => {
    const { bench, stage, finish } = await applying();
    await bench.clock.advance(1_000);
    const { opened, open } = gate();
    let inside = 0;
    let most = 0;
    bench.plane.holds.update = async () => {
      most = Math.max(most, ++inside);
      await opened;
      inside--;
    };
    for (let line = 0; line < 500; line++) stage.log(`${line}`);
    await bench.clock.advance(5_000);
    open();
    finish();
    await bench.end();
    expect(most).toBe(1);
    expect(outputs(bench)).toEqual(Array.from({ length: 500 }, (_, line) => `${line}`));
  });
});

describe("lines", () => {
  test("02#48 a line of 3000 characters arrives as entries of at most 1024, same stage and level, none lost", async () => {
    const text = "💡é".repeat(1_500);
    const { bench, stage, finish } = await applying();
    stage.log(text, 3);
    finish();
    await bench.end();
    const entries = bench.plane.logs.filter((log) => log.source === 1);
    expect(entries.map((log) => [...log.output].length)).toEqual([1024, 1024, 952]);
    expect(entries.map((log) => log.output).join("")).toBe(text);
    for (const entry of entries) expect(entry).toMatchObject({ stage: "Starting workspace", level: 3 });
  });

  test("02#48 any text is cut into pieces of at most n characters, on their borders", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 60 }), fc.integer({ min: 1, max: 9 }), (text, max) => {
        const pieces = splitAt(text, max);
        expect(pieces.join("")).toBe(text);
        for (const piece of pieces) {
          expect([...piece].length).toBeLessThanOrEqual(max);
          expect(piece.isWellFormed()).toBe(true);
        }
      }),
    );
  });

  test("02#49 01#115 broken text arrives cleaned and leaves its neighbours alone", async () => {
    const { bench, stage, finish } = await applying();
    stage.log("before");
    stage.log("a\0b\ud800c");
    stage.log("after");
    finish();
    await bench.end();
    expect(outputs(bench)).toEqual(["before", "ab\ufffdc", "after"]);
    // And it survives the way over the wire.
    const logs = bench.plane.logs;
    expect(create(UpdateJobRequestSchema, { logs }).logs.every((log) => log.output.isWellFormed())).toBe(true);
  });

  test("01#115 nothing that was cleaned holds NUL or a lone half", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        for (const piece of storable(text)) {
          expect(piece.includes("\0")).toBe(false);
          expect(piece.isWellFormed()).toBe(true);
        }
      }),
    );
  });

  test("02#50 order is kept across flushes, outages and refused flushes", async () => {
    const { bench, stage, finish } = await applying();
    let line = 0;
    for (const disturb of [
      () => undefined,
      () => bench.plane.down(),
      () => bench.plane.up(),
      () => {
        bench.plane.refusals.update = ["insert job logs: database is down"];
      },
      () => undefined,
    ]) {
      disturb();
      for (let count = 0; count < 30; count++) {
        stage.log(`${line++}`);
        await bench.clock.advance(37);
      }
    }
    finish();
    await bench.end();
    const seen = outputs(bench).map(Number);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    // The one refused batch was recorded by the plane, too; nothing was sent twice.
    expect(new Set(seen).size).toBe(150);
  });

  test("02#51 a stalled control plane doesn't hold the engine up; drops are counted and announced in one line", async () => {
    const { bench, stage, finish } = await applying();
    await bench.clock.advance(1_000);
    bench.plane.down();
    const began = bench.clock.monotonic();
    // 8 MiB of lines from the engine: nobody waits for anything.
    const spam = "x".repeat(1_000);
    for (let line = 0; line < 8_000; line++) stage.log(`${line} ${spam}`);
    stage.log("an error", 4);
    expect(bench.clock.monotonic()).toBe(began);
    bench.plane.up();
    finish();
    await bench.end();
    const notices = bench.plane.logs.filter((log) => /log lines (dropped|left out)/.test(log.output));
    expect(notices.length).toBeGreaterThanOrEqual(1);
    expect(outputs(bench)).toContain("an error");
  });
});

describe("a full buffer", () => {
  test("02#51 the oldest lines that are no errors go first, and one line tells how many", async () => {
    // Each job's log ends near 1 MiB; the buffer is longer only in bytes of overhead: many short lines.
    const { bench, stage, finish } = await applying();
    await bench.clock.advance(1_000);
    bench.plane.down();
    stage.log("first error", 4);
    for (let line = 0; line < 100_000; line++) stage.log(`${line}`);
    bench.plane.up();
    finish();
    await bench.end();
    const lines = outputs(bench);
    expect(lines[0]).toBe("first error");
    expect(lines.at(-1)).toBe("99999");
    const notices = bench.plane.logs.filter((log) => log.output.includes("log lines dropped"));
    expect(notices).toHaveLength(1);
    const dropped = Number(notices[0]?.output.split(" ")[0]);
    expect(dropped).toBe(100_001 - lines.length);
    const told = bench.events.reduce((sum, event) => sum + (event.kind === "logs-dropped" ? event.lines : 0), 0);
    expect(told).toBe(dropped);
  });
});

describe("the megabyte that the control plane keeps", () => {
  const sent = (bench: JobBench) => bench.plane.logs.reduce((sum, log) => sum + Buffer.byteLength(log.output), 0);

  test("a flood never exceeds it; later errors, the last lines and the summary are kept", async () => {
    const bench = new JobBench();
    bench.provisioner.onApply = async (stage) => {
      for (let line = 0; line < 3_000; line++) {
        stage.log(`${line} ${"x".repeat(990)}`);
        if (line % 100 === 0)
          await stage.until(new Promise((resolve) => void bench.clock.after(300, () => resolve(0))));
        if (line === 2_500) stage.log("a late error", 4);
      }
      return { error: "terraform apply: exit status 1" };
    };
    await bench.run(buildJob());
    expect(sent(bench)).toBeLessThanOrEqual(1_048_576 - 111);
    const lines = outputs(bench);
    expect(lines).toContain("a late error");
    expect(lines.at(-1)).toMatch(/^2999 /);
    const text = bench.plane.logs.map((log) => log.output);
    expect(text.some((output) => output.startsWith("the log is nearly full"))).toBe(true);
    expect(text.some((output) => /^\d+ log lines left out/.test(output))).toBe(true);
    expect(text.at(-1)).toMatch(/^failed: terraform apply/);
  });

  test("lines that only say that it still goes on are thinned out when half is gone, never before", async () => {
    const { bench, stage, finish } = await applying();
    const still = async () => {
      for (let tens = 1; tens <= 60; tens++) {
        stage.log(`aws_eks.a: Still creating... [${tens}0s elapsed]`);
        stage.log(`aws_eks.b: Still creating... [${tens}0s elapsed]`);
        await bench.clock.advance(10_000);
      }
    };
    await still();
    expect(outputs(bench).filter((output) => output.includes("Still creating"))).toHaveLength(120);
    for (let line = 0; line < 540; line++) stage.log("x".repeat(1_000));
    await bench.clock.advance(5_000);
    const before = outputs(bench).length;
    await still();
    // Of ten minutes: at once, after one, two and four more minutes, for each resource.
    expect(outputs(bench).slice(before)).toHaveLength(8);
    finish();
    await bench.end();
  });
});

describe("heartbeat", () => {
  test("an update without lines after 4 s without an answer; lines count as one, too", async () => {
    const { bench, stage, finish } = await applying();
    await bench.clock.advance(10);
    // The lines of the start go after 250 ms; from there on nobody says anything.
    await bench.clock.advance(20_000);
    const beats = bench.plane.calls.map((call) => call.at);
    expect(beats).toEqual([250, 4_250, 8_250, 12_250, 16_250]);
    expect(bench.plane.updates.at(-1)?.logs).toEqual([]);
    const last = beats.at(-1) as number;
    await bench.clock.advance(last + 3_000 - bench.clock.monotonic());
    stage.log("line");
    await bench.clock.advance(250);
    const flushed = bench.plane.calls.at(-1)?.at as number;
    await bench.clock.advance(3_999);
    expect(bench.plane.calls.at(-1)?.at).toBe(flushed);
    await bench.clock.advance(1);
    expect(bench.plane.calls.at(-1)?.at).toBe(flushed + 4_000);
    finish();
    await bench.end();
  });

  test("02#44 a heartbeat that is refused, or many, don't fail the job", async () => {
    const { bench, finish } = await applying();
    await bench.clock.advance(1_000);
    bench.plane.refusals.update = Array.from({ length: 5 }, () => "get job: database is down");
    await bench.clock.advance(30_000);
    finish();
    expect(await bench.end()).toMatchObject({ status: "succeeded" });
    expect(bench.events.filter((event) => event.kind === "warning")).toHaveLength(5);
  });

  test("it begins with the acquire, also while the session opens", async () => {
    const bench = new JobBench();
    bench.provisioner.onOpen = () => new Promise((resolve) => void bench.clock.after(60_000, resolve));
    bench.begin(importJob());
    await bench.clock.advance(59_000);
    const times = [0, ...bench.plane.calls.map((call) => call.at)];
    expect(Math.max(...times.slice(1).map((at, index) => at - (times[index] as number)))).toBeLessThanOrEqual(4_000);
    await bench.end();
  });
});

test("02#86 no secret of a job stands in a line, an event or an error", async () => {
  const bench = new JobBench();
  const secrets = [
    "session-token-1",
    "oidc-token-22",
    "private-key-3",
    "github-token-4",
    "sensitive-value-5",
    "agent-token-6",
  ];
  bench.provisioner.onApply = async (stage) => {
    for (const secret of secrets) stage.log(`look: ${secret}!`);
    return { error: `apply said ${secrets.join(" ")}` };
  };
  const acquired = buildJob({
    metadata: create(MetadataSchema, {
      workspaceOwnerSessionToken: "session-token-1",
      workspaceOwnerOidcAccessToken: "oidc-token-22",
      workspaceOwnerSshPrivateKey: "private-key-3",
      runningAgentAuthTokens: [{ agentId: "a", token: "agent-token-6" }],
    }),
    externalAuthProviders: [
      { $typeName: "provisioner.ExternalAuthProvider", id: "github", accessToken: "github-token-4" },
    ],
    variableValues: [
      { $typeName: "provisioner.VariableValue", name: "s", value: "sensitive-value-5", sensitive: true },
      { $typeName: "provisioner.VariableValue", name: "p", value: "plain-value-7", sensitive: false },
    ],
  });
  const result = await bench.run(acquired);
  const everything = [
    ...bench.plane.logs.map((log) => log.output),
    bench.plane.failed?.error,
    JSON.stringify(bench.events),
    JSON.stringify(result),
  ].join("\n");
  for (const secret of secrets) expect(everything).not.toContain(secret);
  expect(everything).toContain("look: [secret]!");
});

test("02#86 sensitive variables of an import are masked as soon as their values are known", async () => {
  const bench = new JobBench();
  bench.provisioner.onParse = async () => ({
    templateVariables: [
      {
        $typeName: "provisioner.TemplateVariable",
        name: "s",
        defaultValue: "default-secret",
        sensitive: true,
        required: false,
        type: "string",
        description: "",
      },
    ],
  });
  bench.plane.variableValues = [
    { $typeName: "provisioner.VariableValue", name: "s", value: "stored-secret", sensitive: true },
  ];
  bench.provisioner.onPlan = async (stage) => stage.log("default-secret stored-secret given-secret");
  const given = { $typeName: "provisioner.VariableValue", name: "s", value: "given-secret", sensitive: true } as const;
  await bench.run(importJob({ userVariableValues: [given] }));
  expect(outputs(bench)).toEqual(["[secret] [secret] [secret]", "[secret] [secret] [secret]"]);
});
