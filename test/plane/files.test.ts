import { createHash } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import type { FileUploadSchema } from "../../src/gen/provisioner_pb.ts";
import { ScriptedAgent } from "../support/plane-agent.ts";
import { bytes, importTemplate, scene } from "../support/plane-life.ts";

type Piece = MessageInitShape<typeof FileUploadSchema>;

const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest();
const file = Buffer.alloc(limits.fileChunkBytes + 5, "module");

const announce = (more: object = {}): Piece => ({
  type: {
    case: "dataUpload",
    value: { uploadType: 1, dataHash: sha256(file), fileSize: BigInt(file.length), chunks: 2, ...more },
  },
});
const piece = (pieceIndex: number, more: object = {}): Piece => ({
  type: {
    case: "chunkPiece",
    value: {
      data: file.subarray(pieceIndex * limits.fileChunkBytes, (pieceIndex + 1) * limits.fileChunkBytes),
      fullDataHash: sha256(file),
      pieceIndex,
      ...more,
    },
  },
});

const refused: [string, Piece[]][] = [
  ["a hash of 31 bytes", [announce({ dataHash: sha256(file).subarray(1) })]],
  ["a piece before the upload", [piece(0)]],
  ["pieces in the wrong order", [announce(), piece(1), piece(0)]],
  ["the same piece twice", [announce(), piece(0), piece(0)]],
  ["a piece of another file", [announce(), piece(0, { fullDataHash: sha256(bytes("other")) })]],
  [
    "a piece that exceeds the size",
    [announce({ fileSize: BigInt(limits.fileChunkBytes), chunks: 1 }), piece(0, { data: file })],
  ],
  ["less data than announced", [announce(), piece(0), piece(1, { data: bytes("") })]],
  ["content that has another hash", [announce(), piece(0), piece(1, { data: bytes("xxxxx") })]],
  ["too many chunks for the size", [announce({ chunks: 3 })]],
  ["a negative number of chunks", [announce({ chunks: -1 })]],
  ["a size over 104857600", [announce({ fileSize: 104_857_601n, chunks: 51 })]],
  ["a negative size", [announce({ fileSize: -1n, chunks: 0 })]],
  ["a second announcement", [announce(), announce()]],
  ["an unknown type", [announce({ uploadType: 0 })]],
  ["an early end of stream", [announce(), piece(0)]],
  ["a stream without a message", []],
];

describe("UploadFile", () => {
  test.each(refused)("01#101 02#73 %s is refused and nothing is stored", async (_what, messages) => {
    await using s = await scene();
    await expect(s.agent.upload(messages)).rejects.toThrow(/^upload file: /);
    expect(s.plane.fileCount).toBe(0);
  });

  test("02#73 the same file twice is stored once, answered before CloseSend", async () => {
    await using s = await scene();
    await s.agent.upload([announce(), piece(0), piece(1)]);
    expect(s.plane.fileCount).toBe(1);
    await using call = await s.agent.rpc.call("/provisionerd.ProvisionerDaemon/UploadFile", s.agent.signal);
    await s.agent.send(call, [announce(), piece(0), piece(1)]);
    expect(await call.receive(s.agent.signal)).toHaveLength(0);
    expect(s.plane.fileCount).toBe(1);
  });

  test("01#101 exactly 104857600 announced bytes are no reason to refuse, and a file of no bytes is complete at once", async () => {
    await using s = await scene();
    await expect(s.agent.upload([announce({ fileSize: 104_857_600n, chunks: 50 })])).rejects.toThrow("ended before");
    const empty = announce({ dataHash: sha256(bytes("")), fileSize: 0n, chunks: 0 });
    await s.agent.upload([empty]);
    expect(s.plane.fileCount).toBe(1);
  });

  test("the exact server answers a failed upload with Empty first and the Error after it", async () => {
    await using s = await scene({ coderdExact: true });
    await using call = await s.agent.rpc.call("/provisionerd.ProvisionerDaemon/UploadFile", s.agent.signal);
    await s.agent.send(call, [announce({ uploadType: 0 })]);
    expect(await call.receive(s.agent.signal)).toHaveLength(0);
    await expect(call.receive(s.agent.signal)).rejects.toThrow("upload file");
  });
});

describe("module files of a version", () => {
  const plan = bytes("{}");

  test("uploaded first and named by hash: builds are told the id, and the download gives them back", async () => {
    await using s = await scene();
    await s.agent.upload([announce(), piece(0), piece(1)]);
    const { template, version } = await importTemplate(s, { plan, moduleFilesHash: sha256(file) });
    s.plane.createWorkspace({ templateId: template.id, name: "w" });
    const { type } = await s.agent.acquire();
    if (type.case !== "workspaceBuild") throw new Error("no build");
    const id = type.value.metadata?.templateVersionModulesFile ?? "";
    const [head, ...pieces] = await s.agent.download(id);
    expect(head?.type.value).toMatchObject({ fileSize: BigInt(file.length), chunks: 2, uploadType: 1 });
    expect(pieces.map(({ type }) => type.case === "chunkPiece" && type.value.pieceIndex)).toEqual([0, 1]);
    const data = pieces.map(({ type }) => (type.case === "chunkPiece" ? type.value.data : bytes("")));
    expect(Buffer.concat(data).equals(file)).toBe(true);
    expect(file.equals(s.plane.moduleFiles(version.id) ?? bytes(""))).toBe(true);
  });

  test("a hash that nobody uploaded fails the completion; without a plan the hash is not looked at", async () => {
    await using s = await scene();
    s.plane.importTemplate({ template: "t", archive: bytes("tar") });
    const { jobId } = await s.agent.acquire();
    const complete = (value: object) => s.agent.complete({ jobId, type: { case: "templateImport", value } });
    await expect(complete({ plan, moduleFilesHash: sha256(file) })).rejects.toThrow(
      /^get file by hash, it should have been uploaded: /,
    );
    await complete({ moduleFilesHash: sha256(file) });
  });

  test("a download of no id, a malformed id, another type, an unknown file and another organization's file fails in words", async () => {
    await using s = await scene();
    const { version } = await importTemplate(s, { plan, moduleFiles: file });
    const id = s.plane.version(version.id).moduleFileId ?? "";
    const unknown = "11111111-1111-4111-8111-111111111111";
    const failure = async (agent: ScriptedAgent, fileId: string, type = 1) => {
      const [message, ...more] = await agent.download(fileId, type);
      expect(more).toEqual([]);
      return message?.type.case === "error" ? message.type.value.error : "";
    };
    expect(await failure(s.agent, "")).toBe("file id is required");
    expect(await failure(s.agent, "x")).toContain("parse file id");
    expect(await failure(s.agent, id, 0)).toContain("type");
    expect(await failure(s.agent, unknown)).toBe(`file ${unknown} is not a modules file`);
    const other = s.plane.createOrganization("other");
    const { secret } = s.plane.createKey("k", {}, other.id);
    await using foreign = await ScriptedAgent.connect(s.plane.url, secret, "foreign");
    expect(await failure(foreign, id)).toBe(`file ${id} is not a modules file`);
  });
});
