import { encodeVarint } from "./varint.ts";

/** What a packet is (spec/01 §4.3). */
export const packetKind = {
  invoke: 1,
  message: 2,
  error: 3,
  cancel: 4,
  close: 5,
  closeSend: 6,
  invokeMetadata: 7,
} as const;

export const drpcLimits = {
  /** Data of one packet; one byte more ends the connection (spec/01 §4.5). */
  packetBytes: 4_194_304,
  /** Data of one frame of ours (spec/01 §4.6). */
  frameBytes: 65_536,
  /** Frames collect up to here before they are written (spec/01 §4.6). */
  writeBytes: 4_096,
} as const;

/** A whole packet: data of all its frames. `data` may be a view of what was read: copy what you keep. */
export interface Packet {
  kind: number;
  /** The control flag: a receiver that does not know the kind ignores the packet. */
  control: boolean;
  stream: bigint;
  message: bigint;
  data: Uint8Array;
}

/** The frames of a packet as pieces to send one behind the other: data split at 65536 bytes and not copied (spec/01 §4.2, §4.6). */
export function encodePacket({ kind, control, stream, message, data }: Packet): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  const ids = [...encodeVarint(stream), ...encodeVarint(message)];
  const flags = (control ? 0x80 : 0) | (kind << 1);
  let start = 0;
  do {
    const part = data.subarray(start, start + drpcLimits.frameBytes);
    start += part.length;
    const done = start >= data.length ? 1 : 0;
    pieces.push(Uint8Array.from([flags | done, ...ids, ...encodeVarint(BigInt(part.length))]));
    if (part.length > 0) pieces.push(part);
  } while (start < data.length);
  return pieces;
}
