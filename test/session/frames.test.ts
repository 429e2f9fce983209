import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeFrame, FrameReader } from "../../src/session/frames.ts";

const read = (reader: FrameReader, chunk: Uint8Array) => [...reader.push(chunk)].map((frame) => Uint8Array.from(frame));

describe("frames", () => {
  test("a message has its length before it: 4 bytes, big-endian", () => {
    expect([...encodeFrame(Uint8Array.of(7, 8, 9))]).toEqual([0, 0, 0, 3, 7, 8, 9]);
    expect([...encodeFrame(new Uint8Array(0x01_02_03)).subarray(0, 4)]).toEqual([0, 1, 2, 3]);
  });

  test("messages come out whole, however the bytes arrive", () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 });
    fc.assert(
      fc.property(messages, fc.array(fc.integer({ min: 1, max: 9 })), (sent, cuts) => {
        const bytes = Buffer.concat(sent.map(encodeFrame));
        const reader = new FrameReader(40);
        const received: Uint8Array[] = [];
        // The rest goes byte by byte.
        for (let at = 0; at < bytes.length; ) {
          const size = cuts.pop() ?? 1;
          received.push(...read(reader, bytes.subarray(at, at + size)));
          at += size;
        }
        expect(received).toEqual(sent.map((message) => Uint8Array.from(message)));
        expect(reader.partial).toBe(false);
      }),
    );
  });

  test("a message that was handed out stays as it is when more arrives", () => {
    const reader = new FrameReader(100);
    expect(read(reader, Uint8Array.of(0, 0))).toEqual([]);
    const [first] = [...reader.push(Uint8Array.of(0, 2, 1, 2, 0, 0))];
    for (const byte of [0, 2, 3, 4]) read(reader, Uint8Array.of(byte));
    expect([...(first as Uint8Array)]).toEqual([1, 2]);
  });

  test("a length above the maximum is refused at once, before its bytes come", () => {
    expect(() => read(new FrameReader(1000), Uint8Array.of(0, 0, 3, 233))).toThrow(
      "read message: length 1001: at most 1000 is allowed",
    );
  });

  test("an end inside a message is seen", () => {
    const reader = new FrameReader(10);
    read(reader, Uint8Array.of(0, 0, 0, 3, 1));
    expect(reader.partial).toBe(true);
  });
});
