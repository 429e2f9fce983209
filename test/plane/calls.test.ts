import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { headers } from "../../src/contract/identity.ts";
import { methods } from "../../src/contract/methods.ts";
import { AcquiredJobSchema, UpdateJobRequestSchema } from "../../src/gen/provisionerd_pb.ts";
import type { Plane } from "../../src/plane/plane.ts";
import type { ByteStream } from "../../src/wire/stream.ts";
import { dial } from "../support/plane-agent.ts";
import { archive, scene } from "../support/plane-life.ts";

/** A dRPC packet of one frame by hand: control byte, stream, message, length, data (spec/01 §4.2). */
function packet(control: number, stream: number, message: number, data: Uint8Array | string = ""): Buffer {
  const body = Buffer.from(data);
  const length = body.length < 128 ? [body.length] : [(body.length & 0x7f) | 0x80, body.length >> 7];
  return Buffer.concat([Buffer.from([control, stream, message, ...length]), body]);
}
const invoke = 0x03;
const messageKind = 0x05;
const closeKind = 0x0b;
const closeSend = 0x0d;
const metadata = 0x0f;
const softCancel = 0x89;

/** Reads until what came satisfies `enough`, or the stream ends. */
async function readUntil(chunks: AsyncIterator<Uint8Array>, enough: (read: Buffer) => boolean): Promise<Buffer> {
  let read = Buffer.alloc(0);
  while (!enough(read)) {
    const next = await chunks.next();
    if (next.done) break;
    read = Buffer.concat([read, next.value]);
  }
  return read;
}

const readAtLeast = (chunks: AsyncIterator<Uint8Array>, bytes: number) =>
  readUntil(chunks, (read) => read.length >= bytes);

const reader = (stream: ByteStream) => stream[Symbol.asyncIterator]();
const turn = () => new Promise((resolve) => setImmediate(resolve));

async function waiting(plane: Plane, count: number): Promise<void> {
  while (plane.waitingAcquires !== count) await turn();
}

const beat = (jobId: string) => toBinary(UpdateJobRequestSchema, create(UpdateJobRequestSchema, { jobId }));

describe("the service over hand-made packets", () => {
  test("01#86 FIN from the client cancels the running handler and is answered with FIN", async () => {
    await using s = await scene();
    const stream = await s.agent.mux.open(s.agent.signal);
    await stream.write(packet(invoke, 1, 1, methods.acquireJobWithCancel));
    await waiting(s.plane, 1);
    await stream.end();
    await waiting(s.plane, 0);
    expect((await reader(stream).next()).done).toBe(true);
  });

  test("01#87 Invoke plus Message without CloseSend is served", async () => {
    await using s = await scene();
    const { job } = s.plane.importTemplate({ template: "t", archive });
    await s.agent.acquire();
    const stream = await s.agent.mux.open(s.agent.signal);
    await stream.write(
      Buffer.concat([packet(invoke, 1, 1, methods.updateJob), packet(messageKind, 1, 2, beat(job.id))]),
    );
    expect(await readAtLeast(reader(stream), 8)).toEqual(
      Buffer.concat([packet(messageKind, 1, 1), packet(closeSend, 1, 2)]),
    );
    await stream.end();
  });

  test("01#88 two RPCs one after the other on one yamux stream are served", async () => {
    await using s = await scene();
    const { job } = s.plane.importTemplate({ template: "t", archive });
    await s.agent.acquire();
    const stream = await s.agent.mux.open(s.agent.signal);
    const chunks = reader(stream);
    for (const id of [1, 2]) {
      const call = [
        packet(invoke, id, 1, methods.updateJob),
        packet(messageKind, id, 2, beat(job.id)),
        packet(closeSend, id, 3),
      ];
      await stream.write(Buffer.concat(call));
      expect(await readAtLeast(chunks, 8)).toEqual(
        Buffer.concat([packet(messageKind, id, 1), packet(closeSend, id, 2)]),
      );
    }
    await stream.end();
  });

  test("01#89 soft cancel cancels the handler and leaves the connection usable", async () => {
    await using s = await scene();
    const { job } = s.plane.importTemplate({ template: "t", archive });
    await s.agent.acquire();
    const stream = await s.agent.mux.open(s.agent.signal);
    await stream.write(packet(invoke, 1, 1, methods.acquireJobWithCancel));
    await waiting(s.plane, 1);
    await stream.write(packet(softCancel, 1, 2));
    await waiting(s.plane, 0);
    await stream.write(
      Buffer.concat([packet(invoke, 2, 1, methods.updateJob), packet(messageKind, 2, 2, beat(job.id))]),
    );
    expect(await readAtLeast(reader(stream), 8)).toEqual(
      Buffer.concat([packet(messageKind, 2, 1), packet(closeSend, 2, 2)]),
    );
    await stream.end();
  });

  test("01#90 InvokeMetadata before Invoke is accepted; malformed metadata closes the yamux stream, not the session", async () => {
    await using s = await scene();
    const { job } = s.plane.importTemplate({ template: "t", archive });
    await s.agent.acquire();
    const good = await s.agent.mux.open(s.agent.signal);
    const entry = Buffer.from("0a060a0161120162", "hex");
    const call = [
      packet(metadata, 1, 1, entry),
      packet(invoke, 1, 2, methods.updateJob),
      packet(messageKind, 1, 3, beat(job.id)),
    ];
    await good.write(Buffer.concat(call));
    expect(await readAtLeast(reader(good), 8)).toEqual(
      Buffer.concat([packet(messageKind, 1, 1), packet(closeSend, 1, 2)]),
    );
    await good.end();
    const bad = await s.agent.mux.open(s.agent.signal);
    await bad.write(packet(metadata, 1, 1, "not metadata"));
    expect((await reader(bad).next()).done).toBe(true);
    expect(await s.agent.update({ jobId: job.id })).toMatchObject({ canceled: false });
  });

  test("01#91 an unknown method gives Error code 0 with `unknown rpc` and the quoted path", async () => {
    await using s = await scene();
    const stream = await s.agent.mux.open(s.agent.signal);
    await stream.write(
      Buffer.concat([packet(invoke, 1, 1, "/provisionerd.ProvisionerDaemon/Nope"), packet(messageKind, 1, 2)]),
    );
    const text = 'protocol error: unknown rpc: "/provisionerd.ProvisionerDaemon/Nope"';
    const error = Buffer.concat([Buffer.alloc(8), Buffer.from(text)]);
    expect(await readAtLeast(reader(stream), error.length + 4)).toEqual(packet(0x07, 1, 1, error));
    await stream.end();
  });

  test("01#97 AcquireJobWithCancel sends exactly one AcquiredJob and then Close, not CloseSend", async () => {
    await using s = await scene();
    const first = s.plane.importTemplate({ template: "t", archive });
    s.plane.importTemplate({ template: "t", archive });
    const stream = await s.agent.mux.open(s.agent.signal);
    await stream.write(packet(invoke, 1, 1, methods.acquireJobWithCancel));
    const chunks = reader(stream);
    const lengthOf = (read: Buffer) => (read.readUInt8(3) & 0x7f) | (read.readUInt8(4) << 7);
    const read = await readUntil(chunks, (bytes) => bytes.length > 5 && bytes.length >= 5 + lengthOf(bytes) + 4);
    expect(read.subarray(0, 3)).toEqual(Buffer.from([messageKind, 1, 1]));
    const length = lengthOf(read);
    expect(fromBinary(AcquiredJobSchema, read.subarray(5, 5 + length)).jobId).toBe(first.job.id);
    expect(read.subarray(5 + length)).toEqual(packet(closeKind, 1, 2));
    await stream.end();
    expect((await chunks.next()).done).toBe(true);
  });

  test("01#98 CancelAcquire yields an AcquiredJob with an empty job id, byte for byte", async () => {
    await using s = await scene();
    const stream = await s.agent.mux.open(s.agent.signal);
    await stream.write(packet(invoke, 1, 1, methods.acquireJobWithCancel));
    await waiting(s.plane, 1);
    await stream.write(packet(messageKind, 1, 2));
    expect(await readAtLeast(reader(stream), 8)).toEqual(Buffer.from("05010100" + "0b010200", "hex"));
    await stream.end();
  });

  test("an acquire that fails inside the server is Close and nothing else (spec/01 §4.16 D)", async () => {
    await using s = await scene();
    s.plane.importTemplate({ template: "t", archive: new Uint8Array(4_194_304) });
    const stream = await s.agent.mux.open(s.agent.signal);
    await stream.write(packet(invoke, 1, 1, methods.acquireJobWithCancel));
    expect(await readAtLeast(reader(stream), 4)).toEqual(Buffer.from("0b010100", "hex"));
    await stream.end();
  });

  test("01#103 200 concurrent UpdateJob calls complete without interference on one session", async () => {
    await using s = await scene();
    const { job } = s.plane.importTemplate({ template: "t", archive });
    await s.agent.acquire();
    const numbers = Array.from({ length: 200 }, (_, index) => index);
    await Promise.all(
      numbers.map((n) => s.agent.update({ jobId: job.id, logs: [{ output: `line ${n}`, stage: "s" }] })),
    );
    expect(
      s.plane
        .logs(job.id)
        .map(({ output }) => output)
        .sort(),
    ).toEqual(numbers.map((n) => `line ${n}`).sort());
  });

  test("01#47 a SYN is acknowledged at once, also for AcquireJobWithCancel, which has nothing to answer yet", async () => {
    await using s = await scene();
    const dialled = await dial({ url: s.plane.url, headers: { [headers.key]: s.key } });
    if (!("socket" in dialled)) throw new Error("refused");
    const { socket } = dialled;
    const first = new Promise<Buffer>((resolve) => socket.once("message", (data) => resolve(data as Buffer)));
    const call = packet(invoke, 1, 1, methods.acquireJobWithCancel);
    const data = Buffer.alloc(12);
    data.writeUInt32BE(1, 4);
    data.writeUInt32BE(call.length, 8);
    socket.send(Buffer.from("000100010000000100000000", "hex"));
    socket.send(Buffer.concat([data, call]));
    expect((await first).toString("hex")).toBe("000100020000000100000000");
    await waiting(s.plane, 1);
    socket.terminate();
  });
});
