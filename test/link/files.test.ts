import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { RefusedError } from "../../src/kit/errors.ts";
import { encodeError } from "../../src/wire/drpc/packet-data.ts";
import { type AnswerOf, fileMessages, readUpload, startFakeCoderd } from "../support/fake-coderd.ts";
import { never, startLink, type TestLink } from "./harness.ts";

const chunk = 2_097_152;
const bytesOf = (size: number) => Buffer.alloc(size, "outpost!");

/** Lets the grace period pass as soon as it has begun. */
async function upload(agent: TestLink, files: Uint8Array): Promise<void> {
  let settled = false;
  const done = agent.link.calls.uploadModuleFiles(files, never).finally(() => {
    settled = true;
  });
  done.catch(() => undefined);
  while (!settled) await agent.clock.advance(10);
  return done;
}

describe("uploads", () => {
  test.each([0, 1, chunk, chunk + 1, 2 * chunk + 5])(
    "01#100 a file of %d bytes arrives in order and whole",
    async (size) => {
      await using coderd = await startFakeCoderd();
      await using agent = await startLink({ url: coderd.url });
      await agent.event("connected");
      const files = bytesOf(size);
      await upload(agent, files);
      const [call] = coderd.of("uploadFile");
      const [header, ...pieces] = call?.requests ?? [];
      const chunks = Math.ceil(size / chunk);
      const hash = createHash("sha256").update(files).digest();
      expect(header?.type).toMatchObject({
        case: "dataUpload",
        value: { uploadType: 1, fileSize: BigInt(size), chunks },
      });
      expect(header?.type.case === "dataUpload" && Buffer.from(header.type.value.dataHash).equals(hash)).toBe(true);
      expect(pieces.map(({ type }) => (type.case === "chunkPiece" ? type.value.pieceIndex : type.case))).toEqual(
        Array.from({ length: chunks }, (_, index) => index),
      );
      expect(
        Buffer.concat(
          pieces.map(({ type }) => (type.case === "chunkPiece" ? type.value.data : new Uint8Array())),
        ).equals(files),
      ).toBe(true);
      // No CloseSend before the answer was read.
      await coderd.until(() => call?.ended === true);
      expect(call?.came.filter((each) => each === "closeSend")).toEqual([]);
    },
  );

  test("01#99 an Empty answer that is followed by an Error is a failure", async () => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    coderd.script("uploadFile", async (call) => {
      await readUpload(call);
      await call.send({});
      await call.sendPacket("closeSend");
      await call.sendPacket("error", encodeError(0n, "insert file: disk full"));
      return undefined;
    });
    await expect(upload(agent, bytesOf(10))).rejects.toThrow("disk full");
    expect(coderd.of("uploadFile")).toHaveLength(1);
  });

  test("01#99 an Error that comes within 100 ms counts; none ends the wait after them", async () => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    let settled = false;
    const done = agent.link.calls.uploadModuleFiles(bytesOf(3), never).then(() => {
      settled = true;
    });
    const call = await coderd.seen("uploadFile");
    await coderd.until(() => call.requests.length === 2);
    await agent.link.calls.commitQuota({ jobId: "other", dailyCost: 1 }, never);
    await agent.clock.advance(50);
    expect(settled).toBe(false);
    await agent.clock.advance(100);
    await done;
  });

  test("a server that answers no before the last piece is read isn't sent the rest", async () => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    coderd.script("uploadFile", { error: "wrong upload type" });
    await expect(upload(agent, bytesOf(9 * chunk))).rejects.toThrow("wrong upload type");
    expect(coderd.of("uploadFile")[0]?.requests.length).toBeLessThan(10);
  });

  test("an attempt is given up after 5 minutes and begun anew", async () => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    coderd.script("uploadFile", "freeze");
    const done = agent.link.calls.uploadModuleFiles(bytesOf(3), never);
    await coderd.seen("uploadFile");
    await agent.clock.advance(299_000);
    expect(coderd.of("uploadFile")).toHaveLength(1);
    await agent.clock.advance(2_000);
    await coderd.seen("uploadFile", 2);
    await agent.clock.advance(1_000);
    await agent.clock.advance(1_000);
    await done;
  });

  test("a lost stream is repeated, from the beginning", async () => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    coderd.script("uploadFile", "rst", "close", "fin");
    await upload(agent, bytesOf(chunk + 1));
    expect(coderd.of("uploadFile")).toHaveLength(4);
    expect(coderd.of("uploadFile")[3]?.requests).toHaveLength(3);
  });
});

describe("downloads", () => {
  test.each([0, 1, chunk, 2 * chunk + 5])("01#100 a file of %d bytes", async (size) => {
    await using coderd = await startFakeCoderd({ files: { f: bytesOf(size) } });
    await using agent = await startLink({ url: coderd.url });
    const got = await agent.link.calls.downloadModuleFiles("f", never);
    expect(Buffer.from(got).equals(bytesOf(size))).toBe(true);
    expect(coderd.of("downloadFile")[0]?.request).toMatchObject({ fileId: "f", uploadType: 1 });
  });

  test("01#102 an error message is a refusal with its text", async () => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    await expect(agent.link.calls.downloadModuleFiles("x", never)).rejects.toThrow("file x is not a modules file");
    await expect(agent.link.calls.downloadModuleFiles("x", never)).rejects.toBeInstanceOf(RefusedError);
    expect(coderd.of("downloadFile")).toHaveLength(2);
  });

  type Messages = AnswerOf<"downloadFile">[];
  const whole = () => fileMessages(bytesOf(chunk + 9));
  const header = (messages: Messages, change: object): Messages => {
    const [first, ...rest] = messages;
    if (first?.type?.case !== "dataUpload") throw new Error("no header");
    return [{ type: { case: "dataUpload", value: { ...first.type.value, ...change } } }, ...rest];
  };
  const piece = (messages: Messages, index: number, change: object): Messages =>
    messages.map((message, at) =>
      at === index + 1 && message.type?.case === "chunkPiece"
        ? { type: { case: "chunkPiece", value: { ...message.type.value, ...change } } }
        : message,
    );

  test.each<[string, Messages]>([
    ["wrong hash length", header(whole(), { dataHash: new Uint8Array(31) })],
    ["wrong index", piece(whole(), 1, { pieceIndex: 2 })],
    ["wrong chunk hash", piece(whole(), 1, { fullDataHash: new Uint8Array(32) })],
    ["too much data", piece(whole(), 1, { data: new Uint8Array(10) })],
    ["too many chunks", header(whole(), { chunks: 3 })],
    ["a piece too many", [...whole(), ...whole().slice(-1)]],
    ["a size over 100 MiB", header(whole(), { fileSize: 104_857_601n, chunks: 51 })],
    ["an early end", whole().slice(0, 2)],
    ["nothing at all", []],
    ["other bytes", piece(whole(), 1, { data: new Uint8Array(9) })],
    ["a second header", [...whole().slice(0, 1), ...whole()]],
    ["a piece first", whole().slice(1)],
    ["another type", header(whole(), { uploadType: 0 })],
  ])("01#101 %s is refused, once and for all", async (_what, messages) => {
    await using coderd = await startFakeCoderd();
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    coderd.script("downloadFile", async (call) => {
      await call.send(...messages);
      return "closeSend" as const;
    });
    await expect(agent.link.calls.downloadModuleFiles("f", never)).rejects.toBeInstanceOf(RefusedError);
    expect(coderd.of("downloadFile")).toHaveLength(1);
  });

  test("a stream that is cut half-way is asked for again", async () => {
    await using coderd = await startFakeCoderd({ files: { f: bytesOf(chunk + 1) } });
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    coderd.script("downloadFile", async (call) => {
      await call.send(...whole().slice(0, 2));
      return "rst" as const;
    });
    const done = agent.link.calls.downloadModuleFiles("f", never);
    const first = await coderd.seen("downloadFile");
    await coderd.until(() => first.ended);
    while (coderd.of("downloadFile").length < 2) await agent.clock.advance(10);
    expect((await done).length).toBe(chunk + 1);
  });
});

describe("01#109 calls that a server doesn't have are not made", () => {
  test.each([
    ["1.6", "uploadFile", false],
    ["1.7", "uploadFile", true],
    ["1.13", "downloadFile", false],
    ["1.14", "downloadFile", true],
  ] as const)("against %s, %s: %s", async (apiVersion, method, made) => {
    await using coderd = await startFakeCoderd({ apiVersion, files: { f: bytesOf(1) } });
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    const { calls } = agent.link;
    const done = method === "uploadFile" ? upload(agent, bytesOf(1)) : calls.downloadModuleFiles("f", never);
    if (made) await done;
    else await expect(done).rejects.toBeInstanceOf(RefusedError);
    expect(coderd.of(method)).toHaveLength(made ? 1 : 0);
    expect(calls.features[method]).toBe(made);
  });

  test("a server of 2.8 accepts any version and has neither call", async () => {
    await using coderd = await startFakeCoderd({ apiVersion: "", version: "v2.8.3" });
    await using agent = await startLink({ url: coderd.url });
    await agent.event("connected");
    expect(agent.link.calls.features).toMatchObject({ uploadFile: false, downloadFile: false, stopModules: true });
  });
});
