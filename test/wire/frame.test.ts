import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeFrame, FrameParser, flag, frameType } from "../../src/wire/yamux/frame.ts";
import { FrameCollector, hex } from "../support/wire-pipes.ts";

const vectors: [name: string, type: number, flags: number, streamId: number, length: number, bytes: string][] = [
  ["SYN", frameType.windowUpdate, flag.syn, 1, 0, "00 01 0001 00000001 00000000"],
  ["ACK", frameType.windowUpdate, flag.ack, 1, 0, "00 01 0002 00000001 00000000"],
  ["FIN", frameType.windowUpdate, flag.fin, 1, 0, "00 01 0004 00000001 00000000"],
  ["RST", frameType.windowUpdate, flag.rst, 7, 0, "00 01 0008 00000007 00000000"],
  ["credit", frameType.windowUpdate, 0, 1, 131_072, "00 01 0000 00000001 00020000"],
  ["data", frameType.data, 0, 1, 0x79, "00 00 0000 00000001 00000079"],
  ["ping", frameType.ping, flag.syn, 0, 0, "00 02 0001 00000000 00000000"],
  ["ping answer", frameType.ping, flag.ack, 0, 0, "00 02 0002 00000000 00000000"],
  ["GoAway", frameType.goAway, 0, 0, 1, "00 03 0000 00000000 00000001"],
  ["the biggest numbers", frameType.windowUpdate, 0xffff, 0xffff_ffff, 0xffff_ffff, "00 01 ffff ffffffff ffffffff"],
];

describe("yamux frames", () => {
  test.each(vectors)("01#72 %s has these bytes", (_name, type, flags, streamId, length, bytes) => {
    expect(Buffer.from(encodeFrame({ type, flags, streamId, length })).toString("hex")).toBe(
      Buffer.from(hex(bytes)).toString("hex"),
    );
    const collector = new FrameCollector();
    // One byte at a time.
    for (const byte of hex(bytes)) collector.push(Uint8Array.of(byte));
    expect(collector.frames).toMatchObject([{ type, flags, streamId, length }]);
  });

  test("01#65 a version or type that does not exist is refused at the end of the header, and not before", () => {
    for (const bad of [
      "01 00 0000 00000001 00000000",
      "00 04 0000 00000001 00000000",
      "00 ff 0000 00000000 00000000",
    ]) {
      const bytes = hex(bad);
      const parser = new FrameParser();
      const sink = { frame: () => expect.unreachable(), body: () => expect.unreachable() };
      parser.push(bytes.subarray(0, 11), sink);
      expect(() => parser.push(bytes.subarray(11), sink)).toThrow(
        /^read a yamux frame: (version "1"|type "(4|255)"): should be/,
      );
    }
  });

  test("frames come out the same whatever the cuts, bodies whole and in order", () => {
    const anyFrame = fc.record({
      type: fc.constantFrom(0, 1, 2, 3),
      flags: fc.nat(0xffff),
      streamId: fc.nat(0xffff_ffff),
      body: fc.uint8Array({ maxLength: 50 }),
    });
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 12 }), fc.array(fc.integer({ min: 0, max: 40 })), (frames, cuts) => {
        const headers = frames.map(({ type, flags, streamId, body }) => ({
          type,
          flags,
          streamId,
          length: body.length,
        }));
        const bytes = Buffer.concat(
          frames.map((frame, index) => encodeFrame(headers[index] as never, frame.type === 0 ? [frame.body] : [])),
        );
        const collector = new FrameCollector();
        for (let at = 0; at < bytes.length; ) {
          const size = cuts.pop() ?? 1;
          collector.push(bytes.subarray(at, at + size));
          at += size;
        }
        expect(collector.frames.map(({ body, ...header }) => header)).toEqual(headers);
        expect(collector.frames.map(({ body }) => [...body])).toEqual(
          frames.map(({ type, body }) => (type === 0 ? [...body] : [])),
        );
      }),
    );
  });
});
