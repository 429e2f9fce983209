import type { ByteStream } from "../stream.ts";
import { drpcLimits, encodePacket, type Packet } from "./packet.ts";
import { PacketReader } from "./packet-reader.ts";

/** Packets out of a byte stream. One reader. */
export class PacketSource {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #reader = new PacketReader();

  constructor(stream: ByteStream) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** A packet that is whole already. Throws PeerError on a violation. */
  ready(): Packet | undefined {
    return this.#reader.next();
  }

  /** The next packet; undefined when the peer has ended its half. Rejects with PeerError on a violation, and as the stream does. */
  async next(): Promise<Packet | undefined> {
    for (;;) {
      const packet = this.#reader.next();
      if (packet) return packet;
      const chunk = await this.#chunks.next();
      if (chunk.done) return undefined;
      this.#reader.push(chunk.value);
    }
  }
}

/** Packets into a byte stream, with message ids counted and small ones collected as the peer's library does (spec/01 §4.4, §4.6). */
export class PacketSink {
  readonly #stream: ByteStream;
  #streamId: bigint;
  #lastMessage = 0n;
  #collected: Uint8Array[] = [];

  constructor(stream: ByteStream, streamId: bigint) {
    this.#stream = stream;
    this.#streamId = streamId;
  }

  /** Adds a packet to what the next flush sends. */
  add(kind: number, data: Uint8Array = new Uint8Array(0)): void {
    this.#lastMessage++;
    const packet: Packet = { kind, control: false, stream: this.#streamId, message: this.#lastMessage, data };
    this.#collected.push(...encodePacket(packet));
  }

  /** Writes what was added: small pieces joined, big ones as they are. Resolves when all of it is on its way. */
  async flush(): Promise<void> {
    const pieces = this.#collected;
    this.#collected = [];
    const writes: Promise<void>[] = [];
    let small: Uint8Array[] = [];
    const writeSmall = () => {
      if (small.length > 0) writes.push(this.#stream.write(Buffer.concat(small)));
      small = [];
    };
    for (const piece of pieces) {
      if (piece.length < drpcLimits.writeBytes) {
        small.push(piece);
      } else {
        writeSmall();
        writes.push(this.#stream.write(piece));
      }
    }
    writeSmall();
    await Promise.all(writes);
  }
}
