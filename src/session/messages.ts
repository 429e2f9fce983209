import { type DescField, type DescMessage, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { limits } from "../contract/limits.ts";
import { type FromWorker, FromWorkerSchema, type ToWorker, ToWorkerSchema } from "../gen/session_pb.ts";
import { messageOf, PeerError, TooBigError } from "../kit/errors.ts";
import { encodeFrame, frameLimits } from "./frames.ts";

export type FromWorkerKind = NonNullable<FromWorker["kind"]["case"]>;

/** Characters of one log line: the control plane keeps no more of a whole job (spec/02 §3.3). Longer ones are cut by the host. */
export const maxLogChars = limits.jobLogBytes;

const mebibyte = 1024 * 1024;

/** Longest message of each kind, in bytes. */
const maxBytesOf: Record<FromWorkerKind, number> = {
  /** A character has at most 3 bytes for each of its UTF-16 units. */
  log: 3 * maxLogChars + 1024,
  state: frameLimits.fromWorkerBytes,
  apply: frameLimits.fromWorkerBytes,
  plan: frameLimits.fromWorkerBytes,
  init: limits.moduleArchiveBytes + 4 * mebibyte,
  /** These travel on inside one message of 4 MiB; twice that, so that the sender's text can say what is too big. */
  parse: 2 * limits.rpcMessageBytes,
  graph: 2 * limits.rpcMessageBytes,
  failure: 2 * limits.rpcMessageBytes,
  fatal: mebibyte,
};

/**
 * Fields in one message, those of nested messages included: a field of two bytes becomes an object of a hundred. What
 * fits into 4 MiB and means something has fewer.
 */
const maxFields = 300_000;

/** A message for the worker, framed. */
export function encodeToWorker(message: ToWorker): Uint8Array {
  return encodeFrame(toBinary(ToWorkerSchema, message));
}

/** A message for the agent, framed. Throws TooBigError for what the agent would refuse. */
export function encodeFromWorker(message: FromWorker): Uint8Array {
  const kind = message.kind.case;
  const bytes = toBinary(FromWorkerSchema, message);
  if (kind && bytes.length > maxBytesOf[kind]) {
    throw new TooBigError(bytes.length, maxBytesOf[kind], `result of "${kind}" to the agent`);
  }
  return encodeFrame(bytes);
}

/** Reads what the agent said. Throws PeerError when it is no message. */
export function decodeToWorker(frame: Uint8Array): ToWorker {
  try {
    return fromBinary(ToWorkerSchema, frame);
  } catch (error) {
    throw new PeerError(`read message of the agent: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * Reads what the worker said, taking it for hostile: exactly one kind, sizes and counts checked before anything is
 * built. Throws PeerError.
 */
export function decodeFromWorker(frame: Uint8Array): FromWorker {
  try {
    const reader = new BinaryReader(frame);
    const [number, wireType] = reader.tag();
    const field = fieldsOf(FromWorkerSchema).get(number);
    if (!field || wireType !== WireType.LengthDelimited) throw new Error(`unknown kind ${number}`);
    const kind = field.localName as FromWorkerKind;
    const body = reader.bytes();
    if (reader.pos !== frame.length) throw new Error(`more than one kind, "${kind}" first`);
    if (body.length > maxBytesOf[kind]) {
      throw new Error(`"${kind}" of ${body.length} bytes: at most ${maxBytesOf[kind]} is allowed`);
    }
    countFields(FromWorkerSchema, frame, 0);
    return fromBinary(FromWorkerSchema, frame);
  } catch (error) {
    throw new PeerError(`read message of the worker: ${messageOf(error)}`, { cause: error });
  }
}

/** Adds the fields in these bytes to `count`; throws beyond the maximum. Depth is the schema's: unknown fields aren't entered. */
function countFields(message: DescMessage, bytes: Uint8Array, count: number): number {
  const fields = fieldsOf(message);
  const reader = new BinaryReader(bytes);
  let total = count;
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (++total > maxFields) throw new Error(`more than ${maxFields} fields`);
    if (wireType === WireType.StartGroup || wireType === WireType.EndGroup) throw new Error("a group");
    if (wireType !== WireType.LengthDelimited) {
      reader.skip(wireType, number);
      continue;
    }
    const body = reader.bytes();
    const inner = fields.get(number)?.message;
    if (inner) total = countFields(inner, body, total);
  }
  return total;
}

const fieldsByNumber = new WeakMap<DescMessage, Map<number, DescField>>();

function fieldsOf(message: DescMessage): Map<number, DescField> {
  let fields = fieldsByNumber.get(message);
  if (!fields) {
    fields = new Map(message.fields.map((field) => [field.number, field]));
    fieldsByNumber.set(message, fields);
  }
  return fields;
}
