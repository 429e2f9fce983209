import { execFileSync } from "node:child_process";
import { linkSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TimingState } from "../../src/gen/provisioner_pb.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import { dumpedState, salvage } from "../../src/terraform/salvage.ts";
import { readState, readStateFile, type State, type StateReading } from "../../src/terraform/state-file.ts";
import { StateWatch } from "../../src/terraform/state-watch.ts";
import { never, planInputOf, stateText, World } from "./world.ts";

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();

test("03#48 a good apply returns the file byte for byte", async () => {
  const odd = '{ "version":4,\n "lineage":"x","serial": 12345678901234567890, "n":1.00e2 }\n\n';
  await using world = await World.open({ scenario: { apply: { files: { "terraform.tfstate": odd } } } });
  const applied = await world.apply();
  expect(text(applied.state)).toBe(odd);
  expect(applied).not.toHaveProperty("error");
});

test("03#49 an apply that exits 1 returns the file's content, the error and timings", async () => {
  await using world = await World.open({ scenario: { apply: { exit: 1 } } });
  const applied = await world.apply();
  expect(JSON.parse(text(applied.state))).toMatchObject({ serial: 9 });
  expect(applied.error).toBe("terraform apply: exit status 1");
  expect(applied.timings).toMatchObject([{ state: TimingState.FAILED }]);
});

test("03#50 an apply that exits 0 without a state file returns an error and empty state; with a cut one, too", async () => {
  await using world = await World.open({ scenario: { apply: { files: {} } } });
  const applied = await world.apply();
  expect(applied.state).toHaveLength(0);
  expect(applied.error).toMatch(/^read statefile "terraform\.tfstate": there is no such file/);
  await using cut = await World.open({
    scenario: { apply: { files: { "terraform.tfstate": stateText().slice(0, -1) } } },
  });
  expect(await cut.apply()).toMatchObject({
    state: new Uint8Array(),
    error: expect.stringContaining("no whole state"),
  });
});

test("a first apply that failed before any state says only how it failed", async () => {
  for (const files of [{}, { "terraform.tfstate": "" }] as Record<string, string>[]) {
    await using world = await World.open({ scenario: { apply: { files, exit: 1 } } });
    expect(await world.apply()).toMatchObject({ state: new Uint8Array(), error: "terraform apply: exit status 1" });
  }
});

describe("03#52 the state is salvaged and the error says from where", () => {
  const dump = (state: string) =>
    `{"@level":"error","@message":"Emergency state dump","@module":"terraform.ui","state":${state},"type":"log"}\n`;
  const cut = '{"version":4,"serial":9,"lin';

  test("from an emergency dump, also one that is longer than any other line may be", async () => {
    for (const more of ["", "x".repeat(3 * 1024 * 1024)]) {
      const files = { "terraform.tfstate": cut, "errored.tfstate": "" };
      await using world = await World.open({
        scenario: { apply: { files, stdout: dump(stateText(9, more)), exit: 1 } },
      });
      const applied = await world.apply();
      expect(text(applied.state) === stateText(9, more)).toBe(true);
      expect(applied.error).toMatch(/^terraform apply: exit status 1; .*emergency dump/);
      expect(world.lines).toContain("ERROR Emergency state dump");
    }
  });

  test("from errored.tfstate before the dump; never with a lower serial than another has", async () => {
    const scenario = (errored: number, dumped: number) => ({
      apply: {
        files: { "terraform.tfstate": cut, "errored.tfstate": stateText(errored) },
        stdout: dump(stateText(dumped)),
        exit: 1,
      },
    });
    await using same = await World.open({ scenario: scenario(9, 9) });
    expect((await same.apply()).error).toContain('"errored.tfstate"');
    await using newer = await World.open({ scenario: scenario(9, 10) });
    const applied = await newer.apply();
    expect(text(applied.state)).toBe(stateText(10));
    expect(applied.error).toContain("emergency dump");
  });

  test("a file that is whole but older than another is not reported as success", () => {
    const state = (serial: number): State => ({
      bytes: Buffer.from(stateText(serial)),
      head: { version: 4, serial, lineage: "line", encrypted: false },
    });
    const reading = (serial: number): StateReading => ({ kind: "state", state: state(serial) });
    const none = { errored: { kind: "missing" } as const, dump: undefined, copy: undefined };
    expect(salvage({ ...none, file: reading(3), copy: state(3) })).toEqual({
      bytes: state(3).bytes,
      trouble: undefined,
    });
    expect(salvage({ ...none, file: reading(3), copy: state(4) })).toMatchObject({
      bytes: state(4).bytes,
      trouble: expect.stringContaining("older"),
    });
    expect(salvage({ ...none, file: { kind: "missing" } }).bytes).toHaveLength(0);
  });

  test("the bytes of a dump are not written anew", () => {
    const odd = '{ "version": 4, "serial":9007199254740993, "lineage":"x" }';
    expect(text(dumpedState(Buffer.from(dump(odd).trim()))?.bytes ?? Buffer.alloc(0))).toBe(odd);
    expect(text(dumpedState(Buffer.from(dump(JSON.stringify(odd)).trim()))?.bytes ?? Buffer.alloc(0))).toBe(odd);
    expect(dumpedState(Buffer.from(dump("{}").trim()))).toBeUndefined();
  });
});

describe("reading a state file", () => {
  let folder = "";
  const path = () => join(folder, "terraform.tfstate");
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "outpost-state-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const with_ = async (make: () => void, maxBytes = 1000) => {
    rmSync(path(), { force: true, recursive: true });
    make();
    return readState(path(), maxBytes);
  };

  test("takes only a regular file with one name and of limited size", async () => {
    expect(await with_(() => undefined)).toEqual({ kind: "missing" });
    expect(await with_(() => writeFileSync(path(), stateText()))).toMatchObject({ kind: "state" });
    expect(await with_(() => symlinkSync("/etc/passwd", path()))).toMatchObject({ why: "it is a link" });
    expect(await with_(() => void execFileSync("/bin/sh", ["-c", 'mkfifo "$0"', path()]))).toMatchObject({
      why: "it is no regular file",
    });
    expect(await with_(() => execFileSync("mkdir", [path()]))).toMatchObject({ kind: "unusable" });
    expect(await with_(() => writeFileSync(path(), stateText()), 10)).toMatchObject({
      why: expect.stringContaining("at most 10"),
    });
    expect(await with_(() => writeFileSync(path(), ""))).toMatchObject({ kind: "unusable", bytes: 0 });
    expect(await with_(() => writeFileSync(path(), '{"encrypted_data":"x"}'))).toMatchObject({ kind: "state" });
    const linked = await with_(() => {
      writeFileSync(join(folder, "other"), stateText());
      linkSync(join(folder, "other"), path());
    });
    expect(linked).toMatchObject({ why: "it has 2 names" });
    expect(await readStateFile(path())).toBeUndefined();
  });
});

describe("watching the state while an apply runs", () => {
  interface Watched {
    path: string;
    watch: StateWatch;
    clock: FakeClock;
    given: string[];
    /** When each was given, on the clock. */
    times: number[];
    broken: () => number;
    /** Turns the clock until the fact is there; each turn gives the file system time to tell of changes. */
    until: (fact: () => boolean) => Promise<void>;
  }

  async function watched(
    run: (world: Watched) => Promise<void>,
    onState: (state: string) => Promise<void> = async () => undefined,
  ) {
    const folder = mkdtempSync(join(tmpdir(), "outpost-watch-"));
    const clock = new FakeClock();
    const given: string[] = [];
    const times: number[] = [];
    let broken = 0;
    const path = join(folder, "terraform.tfstate");
    const watch = new StateWatch({
      path,
      maxBytes: 1_000_000,
      intervalMs: 1000,
      clock,
      initial: Buffer.from(stateText(1)),
      onState: async (state) => {
        given.push(text(state));
        times.push(clock.monotonic());
        await onState(text(state));
      },
      onBroken: () => void broken++,
    });
    const until = async (fact: () => boolean) => {
      while (!fact()) await clock.advance(100);
    };
    try {
      await run({ path, watch, clock, given, times, broken: () => broken, until });
      await watch.stop();
      expect(clock.pending).toBe(0);
    } finally {
      await watch.stop();
      rmSync(folder, { recursive: true });
    }
  }

  test("newer whole states are handed over, at most one a second, and the last one always", async () => {
    await watched(async ({ path, watch, given, times, until }) => {
      writeFileSync(path, stateText(1));
      await until(() => watch.best?.head.serial === 1);
      expect(given).toEqual([]);
      writeFileSync(path, stateText(2));
      await until(() => given.length === 1);
      expect(given).toEqual([stateText(2)]);
      for (let serial = 3; serial < 15; serial++) {
        writeFileSync(path, stateText(serial));
        await until(() => watch.best?.head.serial === serial);
      }
      await watch.stop();
      for (let index = 1; index < times.length; index++) {
        expect((times[index] as number) - (times[index - 1] as number)).toBeGreaterThanOrEqual(1000);
      }
      const last = stateText(15);
      await watch.finish(Buffer.from(last));
      expect(given.at(-1)).toBe(last);
      const serials = given.map((state) => JSON.parse(state).serial as number);
      expect(serials).toEqual([...new Set(serials)].sort((x, y) => x - y));
      await watch.finish(Buffer.from(last));
      expect(given).toHaveLength(serials.length);
    });
  });

  test("what is cut, older or of the same serial is not handed over", async () => {
    await watched(async ({ path, watch, clock, given, until }) => {
      writeFileSync(path, stateText(5));
      await until(() => given.length === 1);
      for (const bad of [stateText(6).slice(0, -2), "", stateText(4), stateText(5, "other")]) {
        writeFileSync(path, bad);
        await clock.advance(1500);
      }
      expect(watch.best?.head.serial).toBe(5);
      expect(given).toHaveLength(1);
    });
  });

  test("a handover is awaited before the next; one that fails harms nobody", async () => {
    let release = () => {};
    const first = new Promise<void>((resolve) => {
      release = resolve;
    });
    await watched(
      async ({ path, clock, given, until }) => {
        writeFileSync(path, stateText(2));
        await until(() => given.length === 1);
        writeFileSync(path, stateText(3));
        await clock.advance(5000);
        expect(given).toHaveLength(1);
        release();
        await until(() => given.length === 2);
      },
      async (state) => {
        if (state !== stateText(2)) return;
        await first;
        throw new Error("the stream is gone");
      },
    );
  });

  test("a state that stays damaged for two seconds is told once; an empty one before the first is none", async () => {
    await watched(async ({ path, clock, broken, until, watch }) => {
      writeFileSync(path, "");
      await clock.advance(10_000);
      expect(broken()).toBe(0);
      writeFileSync(path, stateText(2));
      await until(() => watch.best !== undefined);
      writeFileSync(path, stateText(3).slice(0, 30));
      await until(() => broken() === 1);
      await clock.advance(10_000);
      expect(broken()).toBe(1);
    });
  });
});

test("an apply whose state can't be written any more is interrupted, and the last whole copy is reported", async () => {
  const clock = new FakeClock();
  await using world = await World.open({
    clock,
    scenario: { apply: { files: { "terraform.tfstate": stateText(7) }, hang: "until interrupted", exit: 1 } },
  });
  const planned = await world.plan(planInputOf({ state: Buffer.from(stateText(6)) }));
  const states: string[] = [];
  const applying = planned.apply(planInputOf().metadata, async (state) => void states.push(text(state)), never);
  await world.fake.started("apply");
  while (states.length === 0) await clock.advance(100);
  writeFileSync(join(world.folder, "terraform.tfstate"), '{"version":4,');
  while (world.fake.signals.length === 0) await clock.advance(100);
  const applied = await applying;
  expect(text(applied.state)).toBe(stateText(7));
  expect(applied.error).toMatch(/^terraform apply: exit status 1; .*last copy/);
  expect(world.lines.join("\n")).toMatch(/ERROR .*can't write its state/);
  expect(states).toEqual([stateText(7)]);
});

test("the last state of an apply is handed over before the apply returns", async () => {
  await using world = await World.open({ scenario: { apply: { exit: 1 } } });
  const planned = await world.plan();
  const states: string[] = [];
  const applied = await planned.apply(planInputOf().metadata, async (state) => void states.push(text(state)), never);
  expect(states.at(-1)).toBe(text(applied.state));
});
