import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RefusedError } from "../../src/kit/errors.ts";
import { encodePacket, type Packet, packetKind } from "../../src/wire/drpc/packet.ts";
import { decodeError, decodeMetadata, encodeError } from "../../src/wire/drpc/packet-data.ts";
import { PacketReader } from "../../src/wire/drpc/packet-reader.ts";
import { encodeVarint, VarintReader } from "../../src/wire/drpc/varint.ts";
import { hex } from "../support/wire-pipes.ts";

/** All packets of these bytes, pushed in pieces of `step` bytes. */
function read(bytes: Uint8Array, step = bytes.length || 1): Packet[] {
  const reader = new PacketReader();
  const packets: Packet[] = [];
  for (let at = 0; at < bytes.length; at += step) {
    reader.push(bytes.subarray(at, at + step));
    for (let packet = reader.next(); packet; packet = reader.next())
      packets.push({ ...packet, data: Uint8Array.from(packet.data) });
  }
  return packets;
}

const readHex = (text: string) => read(hex(text));
const packet = (kind: number, message: number, data: string | Uint8Array = "", stream = 1): Packet => ({
  kind,
  control: kind === packetKind.cancel,
  stream: BigInt(stream),
  message: BigInt(message),
  data: Uint8Array.from(typeof data === "string" ? Buffer.from(data) : data),
});
const bytesOf = (...packets: Packet[]) => Buffer.concat(packets.flatMap(encodePacket));

describe("varints", () => {
  const decode = (bytes: Iterable<number>) => {
    const reader = new VarintReader();
    for (const byte of bytes) {
      const value = reader.push(byte);
      if (value !== undefined) return value;
    }
    return undefined;
  };

  test("01#73 1, 2, 3 and 10 bytes and over-long encodings decode", () => {
    expect(decode(hex("01"))).toBe(1n);
    expect(decode(hex("80 01"))).toBe(128n);
    expect(decode(hex("80 80 04"))).toBe(65_536n);
    expect(decode(hex("ff ff ff ff ff ff ff ff ff 01"))).toBe(2n ** 64n - 1n);
    expect(decode(hex("81 80 80 00"))).toBe(1n);
    expect(readHex("05 81 80 80 00 82 80 00 80 80 00")).toEqual([packet(packetKind.message, 2)]);
  });

  test("01#73 a varint of 11 bytes ends the connection with its tenth", () => {
    expect(decode(hex("ff ff ff ff ff ff ff ff ff ff"))).toBe("too-long");
    expect(() => readHex("05 80 80 80 80 80 80 80 80 80 80 01")).toThrow("a varint of more than 10 bytes");
  });

  test("every 64-bit value comes back, in as few bytes as it needs", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => {
        const bytes = encodeVarint(value);
        expect(decode(bytes)).toBe(value);
        expect(bytes.length).toBe(Math.max(1, Math.ceil(value.toString(2).length / 7)));
      }),
    );
  });
});

describe("packets", () => {
  test("01#72 every kind has these bytes", () => {
    const kinds: [Packet, string][] = [
      [packet(packetKind.invoke, 1, "/a"), "03 01 01 02 2f61"],
      [packet(packetKind.message, 2, "x"), "05 01 02 01 78"],
      [packet(packetKind.error, 1, encodeError(0n, "no")), "07 01 01 0a 0000000000000000 6e6f"],
      [packet(packetKind.cancel, 3), "89 01 03 00"],
      [packet(packetKind.close, 4), "0b 01 04 00"],
      [packet(packetKind.closeSend, 3), "0d 01 03 00"],
      [packet(packetKind.invokeMetadata, 1, hex("0a 06 0a 01 61 12 01 62")), "0f 01 01 08 0a 06 0a 01 61 12 01 62"],
      [packet(packetKind.message, 300, "", 200), "05 c801 ac02 00"],
    ];
    for (const [value, bytes] of kinds) {
      expect(bytesOf(value).toString("hex")).toBe(Buffer.from(hex(bytes)).toString("hex"));
      expect(read(hex(bytes))).toEqual([value]);
      expect(read(hex(bytes), 1)).toEqual([value]);
    }
  });

  test("01#81 01#72 example G: 400000 bytes are six frames of 65536 and one of 6784", () => {
    const data = new Uint8Array(400_000).fill(7);
    const bytes = bytesOf(packet(packetKind.message, 2, data));
    const expected = [
      ...Array(6).fill([hex("04 01 02 80 80 04"), data.subarray(0, 65_536)]),
      [hex("05 01 02 80 35"), data.subarray(0, 6784)],
    ];
    expect(Buffer.compare(bytes, Buffer.concat(expected.flat()))).toBe(0);
    expect(Buffer.compare(read(bytes, 1000)[0]?.data ?? Buffer.of(), data)).toBe(0);
  });

  test("01#76 gaps in ids pass; a repeated or smaller id is a violation", () => {
    expect(readHex("05 01 01 00  05 01 07 00  05 03 02 00")).toHaveLength(3);
    expect(() => readHex("05 01 02 00  05 01 02 00")).toThrow('id "1,2": should be above "1,2"');
    expect(() => readHex("05 01 02 00  05 01 01 00")).toThrow('id "1,1": should be above "1,2"');
    expect(() => readHex("05 02 01 00  05 01 09 00")).toThrow('id "1,9": should be above "2,1"');
    expect(() => readHex("05 00 01 00")).toThrow('id "0,1"');
    expect(() => readHex("05 01 00 00")).toThrow('id "1,0"');
  });

  test("01#77 an unfinished packet before a higher id is dropped without error", () => {
    expect(readHex("04 01 01 02 6161  05 01 02 01 62")).toEqual([packet(packetKind.message, 2, "b")]);
  });

  test("01#78 a kind change inside one packet is a violation", () => {
    expect(() => readHex("04 01 01 01 61  07 01 01 01 62")).toThrow("kind 3 after kind 2: should be one kind");
  });

  test("01#82 01#83 exactly 4194304 bytes pass in one frame or many; one more is refused at the frame's header", () => {
    const most = new Uint8Array(4_194_304).fill(1);
    expect(read(bytesOf(packet(packetKind.message, 1, most)))[0]?.data.length).toBe(4_194_304);
    expect(read(Buffer.concat([hex("05 01 01 80 80 80 02"), most]), 100_000)[0]?.data.length).toBe(4_194_304);
    expect(() => readHex("05 01 01 81 80 80 02")).toThrow("data overflow");
    expect(() => read(Buffer.concat([hex("04 01 01 80 80 80 02"), most, hex("05 01 01 01")]))).toThrow("data overflow");
  });

  test("01#84 an empty packet is a packet", () => {
    expect(readHex("05 01 01 00")).toEqual([packet(packetKind.message, 1)]);
    expect(readHex("04 01 01 00 04 01 01 00 05 01 01 00")).toEqual([packet(packetKind.message, 1)]);
  });

  test("packets come back whatever the frames and cuts", () => {
    const anyPacket = fc.record({
      kind: fc.integer({ min: 1, max: 63 }),
      control: fc.boolean(),
      data: fc.uint8Array({ maxLength: 100 }),
      gap: fc.bigInt({ min: 1n, max: 2n ** 40n }),
      newStream: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.array(anyPacket, { maxLength: 8 }),
        fc.array(fc.nat(9)),
        fc.integer({ min: 1, max: 20 }),
        (list, splits, step) => {
          let [stream, message] = [1n, 0n];
          const packets = list.map(({ gap, newStream, ...rest }) => {
            [stream, message] = newStream ? [stream + gap, gap] : [stream, message + gap];
            return { ...rest, stream, message };
          });
          const bytes = Buffer.concat(packets.flatMap((value) => splitFrames(value, splits)));
          expect(read(bytes, step)).toEqual(packets);
        },
      ),
    );
  });

  test("a message that was handed out stays as it is when more arrives", () => {
    const reader = new PacketReader();
    reader.push(hex("04 01 01 01 61"));
    expect(reader.next()).toBeUndefined();
    reader.push(hex("05 01 01 01 62"));
    const first = reader.next();
    reader.push(hex("05 01 02 02 7878"));
    reader.next();
    expect(Buffer.from(first?.data ?? []).toString()).toBe("ab");
  });
});

/** The same packet cut into frames of other sizes than ours. */
function splitFrames(value: Packet, sizes: number[]): Uint8Array[] {
  const frames: Uint8Array[] = [];
  let at = 0;
  for (;;) {
    const part = value.data.subarray(at, at + (sizes.pop() ?? 1000));
    at += part.length;
    const done = at >= value.data.length;
    const flags = (value.control ? 0x80 : 0) | (value.kind << 1) | (done ? 1 : 0);
    const ids = [...encodeVarint(value.stream), ...encodeVarint(value.message), ...encodeVarint(BigInt(part.length))];
    frames.push(Uint8Array.from([flags, ...ids]), part);
    if (done) return frames;
  }
}

describe("packet data", () => {
  test("01#92 Error packets with codes 0 and 12, and with fewer than 8 bytes", () => {
    const cases: [string, bigint, string][] = [
      ["0000000000000000 6a6f6220616c726561647920636f6d706c65746564", 0n, "job already completed"],
      ["000000000000000c 6e6f", 12n, "no"],
      ["0000000000000000", 0n, ""],
      ["6e6f", 0n, "no"],
      ["", 0n, ""],
    ];
    for (const [bytes, code, text] of cases) {
      const error = decodeError(hex(bytes));
      expect(error).toBeInstanceOf(RefusedError);
      expect([error.rpcCode, error.message]).toEqual([code, text]);
    }
    expect(Buffer.from(encodeError(0n, "job already completed")).toString("hex")).toBe(cases[0]?.[0].replace(" ", ""));
  });

  test("01#115 the text of an Error is valid UTF-8 and fits one frame, whatever was thrown", () => {
    const data = encodeError(0n, `\ud800${"é".repeat(60_000)}`);
    expect(data.length).toBeLessThanOrEqual(65_536);
    expect(() => new TextDecoder("utf-8", { fatal: true }).decode(data.subarray(8))).not.toThrow();
  });

  test("01#90 metadata is entries of a key and a value, and nothing else", () => {
    expect([...decodeMetadata(hex("0a 06 0a 01 61 12 01 62"))]).toEqual([["a", "b"]]);
    expect([...decodeMetadata(hex("0a 04 0a 00 12 00  0a 06 0a 01 61 12 01 62"))]).toEqual([
      ["", ""],
      ["a", "b"],
    ]);
    expect(decodeMetadata(hex("")).size).toBe(0);
    const bad = [
      "0b 00", // another field
      "0a 06 12 01 62 0a 01 61", // value first
      "0a 03 0a 01 61", // no value
      "0a 08 0a 01 61 12 01 62 18 01", // more in the entry
      "0a 07 0a 01 61 12 01 62", // longer than the data
      "0a 06 0a 09 61 12 01 62", // a key longer than the entry
      "0a", // no length
      "0a 80 80 80 80 80 80 80 80 80 80 01", // a bad length
    ];
    for (const bytes of bad)
      expect(() => decodeMetadata(hex(bytes)), bytes).toThrow(/^read InvokeMetadata: .*: should be/);
  });
});
