import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { fromBinary, toJson } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import {
  AcquiredJobSchema,
  CommitQuotaRequestSchema,
  CommitQuotaResponseSchema,
  CompletedJobSchema,
  FailedJobSchema,
  UpdateJobRequestSchema,
  UpdateJobResponseSchema,
} from "../../src/gen/provisionerd_pb.ts";
import type { Link } from "../../src/link/link.ts";
import { sharedFolder } from "../support/shared.ts";
import { type Decoded, RecordingDecoder, readRecording } from "../support/wire-recording.ts";
import { never, startLink } from "./harness.ts";

const recordings = [
  "idle/002",
  "life/002",
  "rich/002",
  "quota/002",
  "failures/002",
  "variable/002",
  "cancel/002",
  "cut/002",
  "cut/003",
];

const json = { useProtoFieldName: true } as const;
const bytesOf = (entry: Decoded | undefined) => Buffer.from(String(entry?.["hex"] ?? ""), "hex");

/** Makes the call of a recorded Invoke through our link; what it comes to, as protobuf's JSON. */
async function call(link: Link, method: string, request: Buffer, cancel: AbortSignal): Promise<unknown> {
  switch (method.split("/").at(-1)) {
    case "AcquireJobWithCancel": {
      const job = await link.acquire(cancel);
      return job ? toJson(AcquiredJobSchema, job, json) : {};
    }
    case "UpdateJob": {
      const answer = await link.calls.updateJob(fromBinary(UpdateJobRequestSchema, request), never);
      return toJson(UpdateJobResponseSchema, answer, json);
    }
    case "CommitQuota": {
      const { jobId, dailyCost } = fromBinary(CommitQuotaRequestSchema, request);
      const answer = await link.calls.commitQuota({ jobId, dailyCost }, never);
      return answer.ok && !answer.repeated && toJson(CommitQuotaResponseSchema, answer.value, json);
    }
    case "CompleteJob":
      await link.calls.completeJob(fromBinary(CompletedJobSchema, request), never);
      return {};
    case "FailJob":
      await link.calls.failJob(fromBinary(FailedJobSchema, request), never);
      return {};
    default:
      throw new Error(`no such call: ${method}`);
  }
}

/** A server that says what was recorded, once somebody has upgraded. */
async function replayServer(head: string[]) {
  const seen: Decoded[] = [];
  const watchers = new Set<() => void>();
  let socket: Socket | undefined;
  const changed = () => {
    for (const look of [...watchers]) look();
  };
  const server = createServer((_request, response) => response.writeHead(404).end());
  server.on("upgrade", (request, upgraded: Socket) => {
    const key = `${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
    const accept = createHash("sha1").update(key).digest("base64");
    const lines = head.map((line) => (/^sec-websocket-accept/i.test(line) ? `Sec-Websocket-Accept: ${accept}` : line));
    upgraded.write(`${lines.join("\r\n")}\r\n\r\n`);
    const decoder = new RecordingDecoder("up", seen, new Map(), 1 << 24);
    decoder.push(Buffer.from("GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"));
    upgraded.on("data", (bytes) => {
      decoder.push(bytes);
      changed();
    });
    upgraded.on("error", () => undefined);
    socket = upgraded;
    changed();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const until = (fact: () => boolean) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (!fact()) return;
        watchers.delete(look);
        resolve();
      };
      watchers.add(look);
      look();
    });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    until,
    upgraded: () => until(() => socket !== undefined),
    write: (bytes: Uint8Array) => socket?.write(bytes),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      socket?.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The server's frames as they stand on the wire: unmasked, whole. */
function downFrames(path: string): Buffer[] {
  const all = Buffer.concat(readRecording(path).flatMap(({ way, bytes }) => (way === "down" && bytes ? [bytes] : [])));
  const frames: Buffer[] = [];
  for (let at = all.indexOf("\r\n\r\n") + 4; at < all.length; ) {
    const short = (all[at + 1] as number) & 0x7f;
    const head = short === 127 ? 10 : short === 126 ? 4 : 2;
    const length =
      short === 127 ? Number(all.readBigUInt64BE(at + 2)) : short === 126 ? all.readUInt16BE(at + 2) : short;
    frames.push(all.subarray(at, at + head + length));
    at += head + length;
  }
  return frames;
}

describe("the recorded server's side, played to our link", () => {
  test.skipIf(!sharedFolder).each(recordings)("%s is understood, and answered in kind", async (name) => {
    const path = `${sharedFolder}/cases/wire/${name}`;
    const entries = readFileSync(`${path}.jsonl`, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Decoded);
    const frames = downFrames(`${path}.bytes`);
    const head = entries.find(({ way, layer }) => way === "down" && layer === "http")?.["head"] as string[];
    await using server = await replayServer(head);
    await using agent = await startLink({ url: server.url });
    await server.upgraded();
    await agent.event("connected");

    const dRpc = (way: string) => entries.filter((each) => each["layer"] === "drpc" && each["way"] === way);
    const of = (way: string, stream: unknown, kind: string) =>
      dRpc(way).filter((each) => each["yamux_stream"] === stream && each["kind"] === kind);
    const sent = (entry: Decoded) =>
      server.seen.some((each) =>
        entry["layer"] === "drpc"
          ? each["layer"] === "drpc" && each["yamux_stream"] === entry["yamux_stream"] && each["kind"] === entry["kind"]
          : each["layer"] === "yamux" &&
            each["type"] === entry["type"] &&
            (each["type"] === "ping" || each["stream"] === entry["stream"]) &&
            String(each["flags"]) === String(entry["flags"]),
      );
    /** What the recorded daemon did before the server's next frame: ours must have done it, too. */
    const owed: Decoded[] = [];
    const cancels = new Map<unknown, AbortController>();
    const results = new Map<unknown, Promise<unknown>>();
    for (const entry of entries) {
      const { way, layer, kind, flags, type } = entry;
      if (way === "down" && layer === "websocket") {
        await server.until(() => owed.every(sent));
        owed.length = 0;
        server.write(frames.shift() as Buffer);
      } else if (way === "up" && layer === "drpc" && kind === "Invoke") {
        const stream = entry["yamux_stream"];
        const cancel = new AbortController();
        cancels.set(stream, cancel);
        const result = call(
          agent.link,
          String(entry["method"]),
          bytesOf(of("up", stream, "Message")[0]),
          cancel.signal,
        );
        results.set(
          stream,
          result.catch((error: unknown) => error),
        );
        await server.until(() => sent(entry));
      } else if (way === "up" && layer === "drpc" && kind === "Message") {
        if (entry["of"] === "provisionerd.CancelAcquire") cancels.get(entry["yamux_stream"])?.abort(new Error("stop"));
        owed.push(entry);
      } else if (way === "up" && layer === "yamux" && type === "window" && String(flags) === "FIN") {
        owed.push(entry);
      } else if (way === "up" && layer === "yamux" && type === "ping" && String(flags) === "ACK") {
        owed.push(entry);
      }
    }

    for (const [stream, result] of results) {
      const [answer] = of("down", stream, "Message");
      const [error] = of("down", stream, "Error");
      if (error) expect(String(await result)).toContain(error["text"]);
      else if (answer) expect(await result).toEqual(answer["json"]);
      const ours = server.seen.filter((each) => each["layer"] === "drpc" && each["yamux_stream"] === stream);
      const message = ours.find((each) => each["kind"] === "Message");
      expect(ours[0]).toMatchObject({ kind: "Invoke", method: of("up", stream, "Invoke")[0]?.["method"] });
      expect(message?.["json"]).toEqual(of("up", stream, "Message")[0]?.["json"]);
    }
    expect(results.size).toBe(dRpc("up").filter((each) => each["kind"] === "Invoke").length);
    expect(agent.events.filter((each) => each.kind === "lost" || each.kind === "acquire-failed")).toEqual([]);
  });
});
