import { expect, test } from "vitest";
import type { KeySource } from "../../src/agent/key-source.ts";
import { type KeyAnswer, type KeyedLink, type KeyFacts, keyDifference, Rotation } from "../../src/agent/rotation.ts";
import { OperatorError } from "../../src/kit/errors.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import { Secret } from "../../src/kit/secret.ts";

const factsOf = (more: Partial<KeyFacts> = {}): KeyFacts => ({
  name: "k",
  organizationId: "org",
  tags: { region: "eu" },
  ...more,
});
const unknown = () =>
  new OperatorError("the control plane refused the key (401)", { code: "OUT-KEY-UNKNOWN", exit: 77 });

/** A control plane's list of keys, a source that a test writes, and links that record what they are told. */
function scene({ lanes = 1, exitWhenRefusedMs }: { lanes?: number; exitWhenRefusedMs?: number } = {}) {
  const clock = new FakeClock();
  const known = new Map<string, KeyAnswer>([["old", { kind: "known", facts: factsOf() }]]);
  const said: string[] = [];
  const warnings: string[] = [];
  let now = "old";
  let hint: () => void = () => undefined;
  let network: string | undefined;
  const source: KeySource = {
    read: async () => {
      if (now === "") throw new Error("key file is empty");
      return new Secret(now);
    },
    watch: async (onHint, signal) => {
      hint = onHint;
      await clock.sleep(1e12, signal).catch(() => undefined);
    },
  };
  const links = Array.from(
    { length: lanes },
    (_, index): KeyedLink => ({
      connected: true,
      facts: factsOf(),
      ask: async (key) =>
        network
          ? { kind: "unreachable", why: network }
          : (known.get(key.reveal()) ?? { kind: "refused", error: unknown() }),
      renew: async (key) => {
        if (network) return network;
        said.push(`lane ${index + 1} dials with ${key.reveal()}`);
        return undefined;
      },
      hold: (error) => void said.push(`lane ${index + 1} holds: ${error.code}`),
    }),
  );
  const stop = new AbortController();
  const rotation = new Rotation({
    key: new Secret("old"),
    source,
    links,
    clock,
    random: () => 0.5,
    exitWhenRefusedMs,
    onWarning: (text) => warnings.push(text),
  });
  const ended = rotation.run(stop.signal);
  ended.catch(() => undefined);
  return {
    clock,
    known,
    said,
    warnings,
    ended,
    write: async (key: string) => {
      now = key;
      hint();
      await clock.advance(0);
    },
    network: (why: string | undefined) => {
      network = why;
    },
    stop: async () => {
      stop.abort();
      await ended;
      expect(clock.pending).toBe(0);
    },
  };
}

test("a changed key is dialled at once, on every lane, and once", async () => {
  const { known, write, said, warnings, clock, stop } = scene({ lanes: 2 });
  known.set("new", { kind: "known", facts: factsOf({ name: "k2" }) });
  await write("new");
  expect(said).toEqual(["lane 1 dials with new", "lane 2 dials with new"]);
  await write("new");
  await clock.advance(600_000);
  expect([said.length, warnings]).toEqual([2, []]);
  await stop();
});

test.each([
  [
    "of another organization",
    factsOf({ organizationId: "other" }),
    /belongs to organization other, the one in use to org/,
  ],
  [
    "with other tags",
    factsOf({ tags: { region: "us" } }),
    /has the tags region=us, the one in use has the tags region=eu/,
  ],
  ["without tags", factsOf({ tags: {} }), /has no tags, the one in use has the tags region=eu/],
])("a key %s is refused in words, and the old one stays", async (_name, facts, words) => {
  const { known, write, said, warnings, clock, stop } = scene();
  known.set("new", { kind: "known", facts });
  await write("new");
  await clock.advance(600_000);
  expect(said).toEqual([]);
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatch(words);
  await stop();
});

test("a key that isn't known yet, or can't be dialled now, is tried again; the words are said once", async () => {
  const { known, write, said, warnings, clock, network, stop } = scene();
  await write("new");
  await clock.advance(180_000);
  expect([said, warnings.length]).toEqual([[], 1]);
  known.set("new", { kind: "known", facts: factsOf() });
  network("no route");
  await clock.advance(180_000);
  expect([said, warnings.length]).toEqual([[], 2]);
  network(undefined);
  await clock.advance(60_000);
  expect(said).toEqual(["lane 1 dials with new"]);
  await stop();
});

test("a source that can't be read changes nothing", async () => {
  const { write, said, warnings, stop } = scene();
  await write("");
  expect([said, warnings]).toEqual([[], ["key file is empty: the key in use stays"]]);
  await stop();
});

test("a revoked key is noticed within a minute, told once, and jobs are held back until it is known again", async () => {
  const { known, said, clock, stop } = scene();
  await clock.advance(300_000);
  expect(said).toEqual([]);
  known.delete("old");
  await clock.advance(60_000);
  expect(said).toEqual(["lane 1 holds: OUT-KEY-UNKNOWN"]);
  await clock.advance(600_000);
  expect(said).toHaveLength(1);
  known.set("old", { kind: "known", facts: factsOf() });
  await clock.advance(60_000);
  expect(said[1]).toBe("lane 1 dials with old");
  await stop();
});

test("a revoked key that is replaced: the new one is compared with what the old one was, and work goes on", async () => {
  const { known, said, write, clock, stop } = scene({ exitWhenRefusedMs: 90_000 });
  known.delete("old");
  await clock.advance(60_000);
  known.set("new", { kind: "known", facts: factsOf() });
  await write("new");
  expect(said).toEqual(["lane 1 holds: OUT-KEY-UNKNOWN", "lane 1 dials with new"]);
  await clock.advance(600_000);
  await stop();
});

test("trouble at the control plane is no revocation", async () => {
  const { said, clock, network, stop } = scene();
  network("the control plane answered 500 when asked for the key");
  await clock.advance(600_000);
  expect(said).toEqual([]);
  await stop();
});

test("where patience has an end, the refusal ends the run with 77, not before", async () => {
  const { known, ended, clock } = scene({ exitWhenRefusedMs: 300_000 });
  let error: unknown;
  ended.catch((thrown: unknown) => {
    error = thrown;
  });
  known.delete("old");
  await clock.advance(45_000 + 299_999);
  expect(error).toBeUndefined();
  await clock.advance(1);
  expect(error).toMatchObject({ exit: 77 });
});

test("names and the order of tags make no difference between keys", () => {
  const a = factsOf({ tags: { a: "1", b: "2" } });
  expect(keyDifference(a, factsOf({ name: "other", tags: { b: "2", a: "1" } }))).toBeUndefined();
});
