import { PeerError } from "../../kit/errors.ts";

/** Bytes of a frame's header: version, type, flags, stream id, length, big-endian (spec/01 §3.1). */
export const headerBytes = 12;

export const frameType = { data: 0, windowUpdate: 1, ping: 2, goAway: 3 } as const;
export const flag = { syn: 1, ack: 2, fin: 4, rst: 8 } as const;
/** The length field of a GoAway frame. */
export const goAwayCode = { normal: 0, protocolError: 1, internalError: 2 } as const;

export interface FrameHeader {
  type: number;
  flags: number;
  streamId: number;
  /** Body bytes of Data, credit of WindowUpdate, value of Ping, code of GoAway. */
  length: number;
}

/** A frame as one message: the header, then the body's pieces. */
export function encodeFrame(header: FrameHeader, body: readonly Uint8Array[] = []): Uint8Array {
  const bytes = body.reduce((sum, piece) => sum + piece.length, 0);
  const frame = Buffer.allocUnsafe(headerBytes + bytes);
  frame[0] = 0;
  frame[1] = header.type;
  frame.writeUInt16BE(header.flags, 2);
  frame.writeUInt32BE(header.streamId, 4);
  frame.writeUInt32BE(header.length, 8);
  let offset = headerBytes;
  for (const piece of body) {
    frame.set(piece, offset);
    offset += piece.length;
  }
  return frame;
}

/** What a parser finds, in order: `frame`, then for Data its body in pieces. */
export interface FrameSink {
  frame(header: FrameHeader): void;
  /** A piece of the body of the last Data frame; `last` with its end. A body of length 0 has no piece. */
  body(piece: Uint8Array, last: boolean): void;
}

/** Cuts a byte stream into frames, whatever the pieces in which it arrives. Keeps 12 bytes at most. */
export class FrameParser {
  readonly #header = Buffer.alloc(headerBytes);
  #headerFill = 0;
  /** Bytes of the current body that are still to come. */
  #bodyLeft = 0;

  /** Throws PeerError for a version or type that does not exist (spec/01 §3.10), and whatever the sink throws. */
  push(bytes: Uint8Array, sink: FrameSink): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#bodyLeft > 0) {
        const piece = bytes.subarray(at, at + this.#bodyLeft);
        at += piece.length;
        this.#bodyLeft -= piece.length;
        sink.body(piece, this.#bodyLeft === 0);
        continue;
      }
      const piece = bytes.subarray(at, at + headerBytes - this.#headerFill);
      this.#header.set(piece, this.#headerFill);
      this.#headerFill += piece.length;
      at += piece.length;
      if (this.#headerFill < headerBytes) return;
      this.#headerFill = 0;
      const header = parseHeader(this.#header);
      if (header.type === frameType.data) this.#bodyLeft = header.length;
      sink.frame(header);
    }
  }
}

function parseHeader(bytes: Buffer): FrameHeader {
  const version = bytes.readUInt8(0);
  const type = bytes.readUInt8(1);
  if (version !== 0) throw new PeerError(`read a yamux frame: version "${version}": should be 0`);
  if (type > frameType.goAway) throw new PeerError(`read a yamux frame: type "${type}": should be 0 to 3`);
  return { type, flags: bytes.readUInt16BE(2), streamId: bytes.readUInt32BE(4), length: bytes.readUInt32BE(8) };
}
