import { PeerError } from "../../kit/errors.ts";
import { drpcLimits, type Packet } from "./packet.ts";
import { VarintReader } from "./varint.ts";

const firstBufferBytes = 4_096;
const empty = new Uint8Array(0);

/** A packet whose last frame has not come. */
interface Partial {
  kind: number;
  control: boolean;
  stream: bigint;
  message: bigint;
  /** Data so far: `buffer` up to `fill`. */
  buffer: Uint8Array;
  fill: number;
}

/**
 * Puts packets together from bytes cut anywhere (spec/01 §4.4). Bytes are pushed, packets are taken one at a time, so that a
 * chunk full of tiny packets never becomes a heap of them. Holds at most one packet of 4 MiB and the pushed chunk.
 */
export class PacketReader {
  #chunk: Uint8Array = empty;
  #at = 0;
  /** Which part of a frame is read: its control byte, its three varints, its data. */
  #part: "control" | "stream" | "message" | "length" | "data" = "control";
  readonly #varint = new VarintReader();
  #flags = 0;
  #stream = 0n;
  #message = 0n;
  #dataLeft = 0;
  #partial: Partial | undefined;
  /** The newest id seen; the next packet's must be above, a frame of the same packet has the same. */
  #lastStream = 0n;
  #lastMessage = 0n;

  /** Takes the next bytes. All packets of the bytes before must have been taken. */
  push(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** The next whole packet, or undefined when more bytes are needed. Throws PeerError on a violation: then the connection is over. */
  next(): Packet | undefined {
    while (this.#at < this.#chunk.length || (this.#part === "data" && this.#dataLeft === 0)) {
      if (this.#part !== "data") {
        this.#headerByte(this.#chunk[this.#at++] as number);
        continue;
      }
      const packet = this.#data();
      if (packet) return packet;
    }
    this.#chunk = empty;
    this.#at = 0;
    return undefined;
  }

  #headerByte(byte: number): void {
    if (this.#part === "control") {
      this.#flags = byte;
      this.#part = "stream";
      return;
    }
    const value = this.#varint.push(byte);
    if (value === undefined) return;
    if (value === "too-long") throw new PeerError("read a dRPC frame: a varint of more than 10 bytes");
    if (this.#part === "stream") {
      this.#stream = value;
      this.#part = "message";
    } else if (this.#part === "message") {
      this.#message = value;
      this.#part = "length";
    } else {
      this.#startFrame(value);
      this.#part = "data";
    }
  }

  #startFrame(length: bigint): void {
    const stream = this.#stream;
    const message = this.#message;
    const id = `${stream},${message}`;
    if (stream === 0n || message === 0n)
      throw new PeerError(`read a dRPC frame: id "${id}": both parts should be above 0`);
    const kind = (this.#flags & 0x7e) >> 1;
    const control = (this.#flags & 0x80) !== 0;
    const same = stream === this.#lastStream && message === this.#lastMessage;
    if (same && this.#partial) {
      if (this.#partial.kind !== kind) {
        throw new PeerError(
          `read dRPC packet "${id}": kind ${kind} after kind ${this.#partial.kind}: should be one kind`,
        );
      }
    } else {
      const above = stream > this.#lastStream || (stream === this.#lastStream && message > this.#lastMessage);
      if (!above) {
        throw new PeerError(
          `read a dRPC frame: id "${id}": should be above "${this.#lastStream},${this.#lastMessage}"`,
        );
      }
      // An unfinished packet before a new id is dropped without a word (spec/01 §4.4).
      this.#lastStream = stream;
      this.#lastMessage = message;
      this.#partial = { kind, control, stream, message, buffer: empty, fill: 0 };
    }
    if (length > BigInt(drpcLimits.packetBytes - this.#partial.fill)) {
      throw new PeerError(
        `read dRPC packet "${id}": data overflow: at most ${drpcLimits.packetBytes} bytes fit in one packet`,
      );
    }
    this.#dataLeft = Number(length);
  }

  /** Reads data of the current frame; the packet with its last byte. */
  #data(): Packet | undefined {
    const partial = this.#partial as Partial;
    const piece = this.#chunk.subarray(this.#at, this.#at + this.#dataLeft);
    this.#at += piece.length;
    this.#dataLeft -= piece.length;
    const frameEnds = this.#dataLeft === 0;
    const packetEnds = frameEnds && (this.#flags & 1) !== 0;
    if (packetEnds && partial.fill === 0) {
      // All of it lies in this chunk: no copy.
      partial.buffer = piece;
      partial.fill = piece.length;
    } else {
      append(partial, piece);
    }
    if (frameEnds) this.#part = "control";
    if (!packetEnds) return undefined;
    this.#partial = undefined;
    const { kind, control, stream, message, buffer, fill } = partial;
    return { kind, control, stream, message, data: buffer.subarray(0, fill) };
  }
}

/** Adds data behind what is there, in a buffer that doubles as data really arrives: a length alone costs nothing. */
function append(partial: Partial, piece: Uint8Array): void {
  const needed = partial.fill + piece.length;
  if (needed > partial.buffer.length) {
    const grown = new Uint8Array(
      Math.max(needed, Math.min(drpcLimits.packetBytes, partial.buffer.length * 2), firstBufferBytes),
    );
    grown.set(partial.buffer.subarray(0, partial.fill));
    partial.buffer = grown;
  }
  partial.buffer.set(piece, partial.fill);
  partial.fill = needed;
}
