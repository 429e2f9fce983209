import { mkdir, mkdtemp, rename, rm, symlink, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type KeySource, keySource } from "../../src/agent/key-source.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";

const never = new AbortController().signal;
let folder: string;
let clock: FakeClock;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "outpost-key-"));
  clock = new FakeClock();
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const sourceOf = (settings: { key?: string; file?: string; command?: string }): KeySource => {
  const source = keySource(
    { key: "", file: "", command: "", ...settings },
    { environment: { PATH: process.env["PATH"], WORD: "minted" }, clock, random: () => 0.5 },
  );
  if (!source) throw new Error("no source");
  return source;
};

/** Watches a source while `work` changes things; answers the keys that were read after each hint. */
async function heard(source: KeySource, work: (keys: string[]) => Promise<void>): Promise<string[]> {
  const stop = new AbortController();
  const keys: string[] = [];
  const reads: Promise<void>[] = [];
  const watching = source.watch(() => {
    reads.push(source.read(never).then((key) => void keys.push(key.reveal())));
  }, stop.signal);
  await expect.poll(() => clock.pending).toBe(1);
  await work(keys);
  stop.abort();
  await watching;
  await Promise.all(reads);
  return keys;
}

/** Turns the clock by the looks of a watcher until it was heard. */
const until = (keys: string[], count: number) =>
  expect
    .poll(async () => {
      await clock.advance(5_000);
      return keys.length;
    })
    .toBe(count);

test("a key in a variable never changes; without any setting there is no source", async () => {
  const source = sourceOf({ key: "abc" });
  expect((await source.read(never)).reveal()).toBe("abc");
  await source.watch(() => expect.unreachable(), never);
  expect(keySource({ key: "", file: "", command: "" }, { environment: {}, clock, random: () => 0 })).toBeUndefined();
});

describe("a key file", () => {
  test("is read without its line end", async () => {
    await writeFile(join(folder, "key"), " abc\n");
    expect((await sourceOf({ file: join(folder, "key") }).read(never)).reveal()).toBe("abc");
  });

  test.each([
    ["is missing", undefined, /no such file/],
    ["is empty", " \n", /is empty/],
    ["is too long", "x".repeat(5_000), /more than 4096 bytes/],
  ])("that %s is told by its path, without its content", async (_name, content, words) => {
    const file = join(folder, "key");
    if (content !== undefined) await writeFile(file, content);
    const error = await sourceOf({ file })
      .read(never)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "OUT-KEY-SOURCE", exit: 64 });
    expect(String(error)).toMatch(words);
    expect(String(error)).toContain(file);
    expect(String(error)).not.toContain("xxx");
  });

  test("tells a change that is written in place", async () => {
    const file = join(folder, "key");
    await writeFile(file, "one");
    const keys = await heard(sourceOf({ file }), async (heardKeys) => {
      await writeFile(file, "another");
      await until(heardKeys, 1);
    });
    expect(keys).toEqual(["another"]);
  });

  test("tells the swap of a link that its path goes through, as Kubernetes does it", async () => {
    for (const name of ["one", "two"]) {
      await mkdir(join(folder, `..${name}`));
      await writeFile(join(folder, `..${name}`, "key"), name);
    }
    await symlink("..one", join(folder, "..data"));
    await symlink("..data/key", join(folder, "key"));
    const keys = await heard(sourceOf({ file: join(folder, "key") }), async (heardKeys) => {
      await symlink("..two", join(folder, "..new"));
      await rename(join(folder, "..new"), join(folder, "..data"));
      await until(heardKeys, 1);
    });
    expect(keys).toEqual(["two"]);
  });

  test("is waited for while it is away, and nothing is told where nothing changed", async () => {
    const file = join(folder, "key");
    await writeFile(file, "one");
    const keys = await heard(sourceOf({ file }), async (heardKeys) => {
      await clock.advance(60_000);
      expect(heardKeys).toEqual([]);
      await unlink(file);
      await clock.advance(60_000);
      expect(heardKeys).toEqual([]);
      await writeFile(file, "two");
      await until(heardKeys, 1);
    });
    expect(keys).toEqual(["two"]);
    expect(clock.pending).toBe(0);
  });
});

describe("a key command", () => {
  test("is run with the agent's environment, and its output trimmed", async () => {
    expect((await sourceOf({ command: "echo $WORD" }).read(never)).reveal()).toBe("minted");
  });

  test.each([
    ["fails", "exit 3", /code 3/],
    ["prints nothing", "true", /printed nothing/],
  ])("that %s is told", async (_name, command, words) => {
    const error = await sourceOf({ command })
      .read(never)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "OUT-KEY-SOURCE" });
    expect(String(error)).toMatch(words);
  });

  test("is due again every five minutes", async () => {
    const stop = new AbortController();
    let hints = 0;
    const watching = sourceOf({ command: "true" }).watch(() => hints++, stop.signal);
    await clock.advance(299_999);
    expect(hints).toBe(0);
    await clock.advance(1);
    expect(hints).toBe(1);
    await clock.advance(300_000);
    expect(hints).toBe(2);
    stop.abort();
    await watching;
    expect(clock.pending).toBe(0);
  });
});
