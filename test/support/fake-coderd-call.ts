import { create, fromBinary, type Message, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import { methods } from "../../src/contract/methods.ts";
import { FileUploadSchema } from "../../src/gen/provisioner_pb.ts";
import {
  AcquiredJobSchema,
  CancelAcquireSchema,
  CommitQuotaRequestSchema,
  CommitQuotaResponseSchema,
  CompletedJobSchema,
  EmptySchema,
  FailedJobSchema,
  FileRequestSchema,
  UpdateJobRequestSchema,
  UpdateJobResponseSchema,
} from "../../src/gen/provisionerd_pb.ts";
import { packetKind } from "../../src/wire/drpc/packet.ts";
import { encodeError } from "../../src/wire/drpc/packet-data.ts";
import { PacketSink, type PacketSource } from "../../src/wire/drpc/packet-stream.ts";
import type { ByteStream } from "../../src/wire/stream.ts";

export type MethodName = keyof typeof schemas;

/** Request and answer of each call. */
export const schemas = {
  acquireJobWithCancel: [CancelAcquireSchema, AcquiredJobSchema],
  acquireJob: [EmptySchema, AcquiredJobSchema],
  updateJob: [UpdateJobRequestSchema, UpdateJobResponseSchema],
  commitQuota: [CommitQuotaRequestSchema, CommitQuotaResponseSchema],
  completeJob: [CompletedJobSchema, EmptySchema],
  failJob: [FailedJobSchema, EmptySchema],
  uploadFile: [FileUploadSchema, EmptySchema],
  downloadFile: [FileRequestSchema, FileUploadSchema],
} as const;

type RequestOf<M extends MethodName> = (typeof schemas)[M][0] extends GenMessage<infer T> ? T : never;
export type AnswerOf<M extends MethodName> = MessageInitShape<(typeof schemas)[M][1]>;

/** What a call of the agent does at the fake: one of these, or a function that looks at the call first. */
export type Step<M extends MethodName> =
  /** The usual answer: a message and CloseSend (for an acquire: Close). */
  | { answer: AnswerOf<M> }
  /** An Error packet. */
  | { error: string; code?: bigint }
  /** Ends without an answer: Close, CloseSend or Cancel packet; FIN or RST of the stream; the whole TCP connection cut. */
  | "close"
  | "closeSend"
  | "cancel"
  | "fin"
  | "rst"
  | "cut"
  /** Nothing is ever sent. */
  | "freeze"
  | ((call: FakeCall<M>) => Step<M> | undefined | Promise<Step<M> | undefined>);

/** One call as the fake saw it. */
export class FakeCall<M extends MethodName = MethodName> {
  /** Decoded requests, in order. */
  readonly requests: RequestOf<M>[] = [];
  /** What came after Invoke, in order: message, closeSend, close, cancel, fin, reset. */
  readonly came: string[] = [];
  readonly #stream: ByteStream;
  readonly #source: PacketSource;
  readonly #sink: PacketSink;
  readonly #changed: () => void;
  readonly #cut: () => void;
  #reading: Promise<boolean> | undefined;

  constructor(
    readonly method: M,
    /** Which connection, from 0. */
    readonly connection: number,
    parts: { stream: ByteStream; source: PacketSource; changed: () => void; cut: () => void },
  ) {
    this.#stream = parts.stream;
    this.#source = parts.source;
    this.#sink = new PacketSink(parts.stream, 1n);
    this.#changed = parts.changed;
    this.#cut = parts.cut;
  }

  /** The first request; throws when none has come. */
  get request(): RequestOf<M> {
    const [first] = this.requests;
    if (!first) throw new Error(`${this.method}: no request has come`);
    return first;
  }

  get ended(): boolean {
    return this.came.includes("fin") || this.came.includes("reset");
  }

  /** Reads on until `enough` says so or the agent leaves; tells whether it was enough. */
  async read(enough: () => boolean): Promise<boolean> {
    while (!enough()) {
      // One read at a time, whoever waits for it.
      this.#reading ??= this.#readOne().finally(() => {
        this.#reading = undefined;
      });
      if (this.ended || !(await this.#reading)) return enough();
    }
    return true;
  }

  async send(...answers: AnswerOf<M>[]): Promise<void> {
    const schema = schemas[this.method][1] as GenMessage<Message>;
    for (const answer of answers) {
      this.#sink.add(packetKind.message, toBinary(schema, create(schema, answer as MessageInitShape<typeof schema>)));
    }
    await this.#sink.flush();
  }

  async sendPacket(kind: "close" | "closeSend" | "cancel" | "error", data?: Uint8Array): Promise<void> {
    this.#sink.add(packetKind[kind], data);
    await this.#sink.flush();
  }

  /** Does what a step says, to the end of the stream. */
  async perform(step: Step<M>): Promise<void> {
    if (typeof step === "function") {
      const next = await step(this);
      return next === undefined ? undefined : this.perform(next);
    }
    switch (step) {
      case "cut":
        return this.#cut();
      case "freeze":
        return;
      case "fin":
        return this.#stream.end();
      case "rst":
        return this.#stream.abort(new Error("scripted reset"));
      case "close":
      case "closeSend":
      case "cancel":
        return this.sendPacket(step);
      default:
        if ("error" in step) return this.sendPacket("error", encodeError(step.code ?? 0n, step.error));
        await this.send(step.answer);
        return this.sendPacket(this.method === "acquireJobWithCancel" ? "close" : "closeSend");
    }
  }

  async #readOne(): Promise<boolean> {
    try {
      const packet = await this.#source.next();
      this.came.push(packet ? (names[packet.kind] ?? `kind ${packet.kind}`) : "fin");
      if (packet?.kind === packetKind.message) {
        const schema = schemas[this.method][0] as GenMessage<Message>;
        this.requests.push(fromBinary(schema, new Uint8Array(packet.data)) as RequestOf<M>);
      }
      return packet !== undefined;
    } catch {
      this.came.push("reset");
      return false;
    } finally {
      this.#changed();
    }
  }
}

const names: Record<number, string> = Object.fromEntries(
  Object.entries(packetKind).map(([name, kind]) => [kind, name]),
);

/** The method of a path; undefined for an unknown one. */
export function methodOf(path: string): MethodName | undefined {
  const entry = Object.entries(methods).find(([, each]) => each === path);
  return entry?.[0] as MethodName | undefined;
}
