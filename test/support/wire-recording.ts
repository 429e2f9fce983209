import { readFileSync } from "node:fs";
import { createRegistry, fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import { file_provisioner } from "../../src/gen/provisioner_pb.ts";
import { file_provisionerd, ProvisionerDaemon } from "../../src/gen/provisionerd_pb.ts";
import { encodePacket, type Packet, packetKind } from "../../src/wire/drpc/packet.ts";
import { decodeError } from "../../src/wire/drpc/packet-data.ts";
import { PacketReader } from "../../src/wire/drpc/packet-reader.ts";
import { encodeFrame, flag, frameType } from "../../src/wire/yamux/frame.ts";
import { FrameCollector, type SeenFrame } from "./wire-pipes.ts";

/** One decoded thing, as the `.jsonl` files of the recordings say it, without its time. */
export type Decoded = Record<string, unknown>;
export type Way = "up" | "down";

interface Chunk {
  way: Way;
  /** Undefined is the end of that direction. */
  bytes: Buffer | undefined;
}

/** The bytes of one TCP connection, in the order in which they were seen. */
export function readRecording(path: string): Chunk[] {
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  return lines.map((line) => {
    const [, way, data] = line.split(" ") as [string, Way, string];
    return { way, bytes: data === "-" ? undefined : Buffer.from(data, "hex") };
  });
}

const registry = createRegistry(file_provisionerd, file_provisioner);
const kindNames = ["", "Invoke", "Message", "Error", "Cancel", "Close", "CloseSend", "InvokeMetadata"];
const typeNames = ["data", "window", "ping", "goaway"];

/** What type each message of a yamux stream has: known from its Invoke. */
type Methods = Map<number, (typeof ProvisionerDaemon.methods)[number]>;

/** Decodes one direction of a connection, layer by layer: HTTP head, WebSocket frames, yamux frames, dRPC packets. */
export class RecordingDecoder {
  readonly decoded: Decoded[];
  /** What our own encoders make of what was decoded; the test compares it with what was read. */
  readonly yamuxRead: Buffer[] = [];
  readonly yamuxAgain: Uint8Array[] = [];
  readonly drpcRead = new Map<number, Uint8Array[]>();
  readonly drpcAgain = new Map<number, Uint8Array[]>();
  readonly #way: Way;
  readonly #methods: Methods;
  readonly #yamux = new FrameCollector();
  readonly #streams = new Map<number, PacketReader>();
  /** Bytes of a 1 byte step each are how every reader must also work. */
  readonly #step: number;
  #state: "head" | "body" | "frames" = "head";
  #rest = Buffer.alloc(0);
  #bodyLength = 0;

  constructor(way: Way, decoded: Decoded[], methods: Methods, step: number) {
    this.#way = way;
    this.decoded = decoded;
    this.#methods = methods;
    this.#step = step;
  }

  push(bytes: Buffer | undefined): void {
    if (!bytes) {
      this.#tell("tcp", { end: true });
      return;
    }
    this.#rest = Buffer.concat([this.#rest, bytes]);
    if (this.#state === "head") this.#head();
    if (this.#state === "body" && this.#rest.length > 0 && this.#rest.length === this.#bodyLength) {
      this.#tell("http", { body: this.#rest.toString() });
    }
    while (this.#state === "frames" && this.#webSocketFrame());
  }

  #tell(layer: string, content: Decoded): void {
    this.decoded.push({ way: this.#way, layer, ...content });
  }

  #head(): void {
    const end = this.#rest.indexOf("\r\n\r\n");
    if (end < 0) return;
    // The recorder leaves cookies out.
    const lines = this.#rest.toString("latin1", 0, end).split("\r\n");
    const head = lines.filter((line) => !/^set-cookie:/i.test(line));
    this.#bodyLength = Number(/^content-length: *(\d+)$/im.exec(lines.join("\n"))?.[1] ?? 0);
    this.#rest = this.#rest.subarray(end + 4);
    this.#tell("http", { head });
    this.#state = head.some((line) => /^upgrade: *websocket$/i.test(line)) ? "frames" : "body";
  }

  #webSocketFrame(): boolean {
    const bytes = this.#rest;
    if (bytes.length < 2) return false;
    const [first = 0, second = 0] = bytes;
    const short = second & 0x7f;
    const masked = second >= 0x80;
    const lengthEnd = short === 127 ? 10 : short === 126 ? 4 : 2;
    const start = lengthEnd + (masked ? 4 : 0);
    if (bytes.length < start) return false;
    const length = short === 127 ? Number(bytes.readBigUInt64BE(2)) : short === 126 ? bytes.readUInt16BE(2) : short;
    if (bytes.length < start + length) return false;
    const payload = Buffer.from(bytes.subarray(start, start + length));
    if (masked)
      for (let at = 0; at < length; at++)
        payload[at] = (payload[at] as number) ^ (bytes[lengthEnd + (at & 3)] as number);
    this.#rest = bytes.subarray(start + length);
    const op = first & 0x0f;
    const content = op === 8 ? { hex: payload.toString("hex") } : { length };
    this.#tell("websocket", { fin: first >> 7, op, masked, ...content });
    if (op === 0 || op === 2) this.#bytesOfYamux(payload);
    return true;
  }

  #bytesOfYamux(payload: Buffer): void {
    this.yamuxRead.push(payload);
    for (let at = 0; at < payload.length; at += this.#step) {
      this.#yamux.push(payload.subarray(at, at + this.#step));
      for (let frame = this.#whole(); frame; frame = this.#whole()) this.#yamuxFrame(frame);
    }
  }

  #whole(): SeenFrame | undefined {
    const [frame] = this.#yamux.frames;
    if (!frame || (frame.type === frameType.data && frame.body.length < frame.length)) return undefined;
    return this.#yamux.frames.shift();
  }

  #yamuxFrame(frame: SeenFrame): void {
    this.yamuxAgain.push(encodeFrame(frame, [frame.body]));
    const flags = Object.entries(flag).flatMap(([name, bit]) => (frame.flags & bit ? [name.toUpperCase()] : []));
    this.#tell("yamux", { type: typeNames[frame.type], flags, stream: frame.streamId, length: frame.length });
    if (frame.type !== frameType.data) return;
    const reader = this.#streams.get(frame.streamId) ?? new PacketReader();
    this.#streams.set(frame.streamId, reader);
    add(this.drpcRead, frame.streamId, frame.body);
    for (let at = 0; at < frame.body.length; at += this.#step) {
      reader.push(frame.body.subarray(at, at + this.#step));
      for (let packet = reader.next(); packet; packet = reader.next()) this.#packet(frame.streamId, packet);
    }
  }

  #packet(streamId: number, packet: Packet): void {
    add(this.drpcAgain, streamId, Buffer.concat(encodePacket(packet)));
    const { kind, control, data } = packet;
    this.#tell("drpc", {
      yamux_stream: streamId,
      kind: kindNames[kind],
      control,
      stream: Number(packet.stream),
      message: Number(packet.message),
      length: data.length,
      ...this.#packetContent(streamId, kind, data),
    });
  }

  #packetContent(streamId: number, kind: number, data: Uint8Array): Decoded {
    if (kind === packetKind.invoke) {
      const path = Buffer.from(data).toString();
      const method = ProvisionerDaemon.methods.find(({ name }) => path.endsWith(`/${name}`));
      if (method) this.#methods.set(streamId, method);
      return { method: path };
    }
    if (kind === packetKind.error) {
      const error = decodeError(data);
      return { code: Number(error.rpcCode), text: error.message };
    }
    if (kind !== packetKind.message) return {};
    const method = this.#methods.get(streamId);
    const of = (this.#way === "up" ? method?.input : method?.output)?.typeName ?? "";
    return { hex: Buffer.from(data).toString("hex"), of, json: messageJson(of, data) };
  }
}

/** A message as protobuf's JSON with the proto's field names; fails when encoding it again loses something. */
export function messageJson(of: string, data: Uint8Array): unknown {
  const schema = registry.getMessage(of);
  if (!schema) throw new Error(`decode a message of "${of}": no such type`);
  const message = fromBinary(schema, data);
  if (toBinary(schema, message).length !== data.length)
    throw new Error(`encode a message of "${of}" again: another length`);
  return toJson(schema, message, { useProtoFieldName: true });
}

function add(map: Map<number, Uint8Array[]>, key: number, bytes: Uint8Array): void {
  const list = map.get(key) ?? [];
  list.push(bytes);
  map.set(key, list);
}
