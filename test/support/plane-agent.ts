import { setMaxListeners } from "node:events";
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { WebSocket } from "ws";
import { headers } from "../../src/contract/identity.ts";
import { methods } from "../../src/contract/methods.ts";
import { FileUploadSchema } from "../../src/gen/provisioner_pb.ts";
import {
  type AcquiredJob,
  AcquiredJobSchema,
  CancelAcquireSchema,
  CommitQuotaRequestSchema,
  CommitQuotaResponseSchema,
  CompletedJobSchema,
  EmptySchema,
  FailedJobSchema,
  FileRequestSchema,
  UpdateJobRequestSchema,
  type UpdateJobResponse,
  UpdateJobResponseSchema,
} from "../../src/gen/provisionerd_pb.ts";
import { type Clock, systemClock } from "../../src/kit/clock.ts";
import type { ClientCall, RpcClient } from "../../src/wire/drpc/api.ts";
import { drpcClient } from "../../src/wire/drpc/client.ts";
import type { MuxSession } from "../../src/wire/mux.ts";
import { webSocketClientOptions, webSocketMux } from "../../src/wire/websocket.ts";

/** How a scripted agent dials. */
export interface Dial {
  url: string;
  organization?: string;
  query?: [string, string][];
  headers?: Record<string, string>;
}

/** The usual query of a daemon of this name. */
export const daemonQuery = (name: string, version = "1.18"): [string, string][] => [
  ["name", name],
  ["provisioner", "terraform"],
  ["version", version],
];

/** The answer of a refused handshake. */
export interface Refused {
  status: number;
  body: { message?: string; detail?: string; validations?: { field: string; detail: string }[] };
}

/** Dials; resolves with the open socket and the headers of the 101, or with the refusal. */
export function dial({
  url,
  organization = "default",
  query = daemonQuery("d1"),
  headers: sent = {},
}: Dial): Promise<{ socket: WebSocket; headers: Record<string, unknown> } | Refused> {
  const base = url.replace(/^http/, "ws");
  const path = `/api/v2/organizations/${organization}/provisionerdaemons/serve`;
  const socket = new WebSocket(`${base}${path}?${new URLSearchParams(query)}`, {
    ...webSocketClientOptions,
    headers: sent,
  });
  return new Promise((resolve, reject) => {
    let seen: Record<string, unknown> = {};
    socket.on("upgrade", (response) => {
      seen = response.headers;
    });
    // The mux must be there in the same turn: messages that nobody listens to are lost.
    socket.on("open", () => resolve({ socket, headers: seen }));
    socket.on("unexpected-response", (_request, response) => {
      let text = "";
      response.on("data", (chunk) => {
        text += String(chunk);
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text ? JSON.parse(text) : {} }));
    });
    socket.on("error", reject);
  });
}

/** An agent made of the wire's client and nothing else. */
export class ScriptedAgent implements AsyncDisposable {
  readonly #stop = new AbortController();

  private constructor(
    readonly mux: MuxSession,
    readonly rpc: RpcClient,
  ) {
    // A test may have hundreds of calls open.
    setMaxListeners(0, this.signal);
  }

  /** Dials with a key; throws when it is refused. */
  static connect(
    url: string,
    key: string,
    name = "d1",
    clock: Clock = systemClock,
    version = "1.18",
  ): Promise<ScriptedAgent> {
    return ScriptedAgent.dial({ url, headers: { [headers.key]: key }, query: daemonQuery(name, version) }, clock);
  }

  static async dial(how: Dial, clock: Clock = systemClock): Promise<ScriptedAgent> {
    const dialled = await dial(how);
    if (!("socket" in dialled)) throw new Error(`refused: ${dialled.status} ${JSON.stringify(dialled.body)}`);
    const mux = webSocketMux(dialled.socket, "client", { clock });
    return new ScriptedAgent(mux, drpcClient(mux));
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Opens an acquire; the answer comes by `receiveJob`. */
  acquireCall(): Promise<ClientCall> {
    return this.rpc.call(methods.acquireJobWithCancel, this.signal);
  }

  /** The job of an acquire, or undefined where the stream closed without a message. */
  async receiveJob(call: ClientCall): Promise<AcquiredJob | undefined> {
    const bytes = await call.receive(this.signal);
    return bytes && fromBinary(AcquiredJobSchema, bytes);
  }

  /** Waits for a job. */
  async acquire(): Promise<AcquiredJob> {
    await using call = await this.acquireCall();
    const job = await this.receiveJob(call);
    if (!job) throw new Error("the acquire closed without a message");
    return job;
  }

  async cancelAcquire(call: ClientCall): Promise<void> {
    await call.send(toBinary(CancelAcquireSchema, create(CancelAcquireSchema)));
  }

  update(request: MessageInitShape<typeof UpdateJobRequestSchema>): Promise<UpdateJobResponse> {
    return this.unary(methods.updateJob, UpdateJobRequestSchema, UpdateJobResponseSchema, request);
  }

  complete(job: MessageInitShape<typeof CompletedJobSchema>): Promise<unknown> {
    return this.unary(methods.completeJob, CompletedJobSchema, EmptySchema, job);
  }

  fail(job: MessageInitShape<typeof FailedJobSchema>): Promise<unknown> {
    return this.unary(methods.failJob, FailedJobSchema, EmptySchema, job);
  }

  quota(request: MessageInitShape<typeof CommitQuotaRequestSchema>) {
    return this.unary(methods.commitQuota, CommitQuotaRequestSchema, CommitQuotaResponseSchema, request);
  }

  /** Uploads the messages as they are; throws what the server answers. */
  async upload(messages: MessageInitShape<typeof FileUploadSchema>[]): Promise<void> {
    await using call = await this.rpc.call(methods.uploadFile, this.signal);
    await this.send(call, messages);
    await call.closeSend();
    while (await call.receive(this.signal));
  }

  /** Sends messages of an upload. A server that has refused already takes no more: that is no failure of the sender. */
  async send(call: ClientCall, messages: MessageInitShape<typeof FileUploadSchema>[]): Promise<void> {
    for (const message of messages) await call.send(toBinary(FileUploadSchema, create(FileUploadSchema, message)));
  }

  /** All messages of a download. */
  async download(fileId: string, uploadType = 1) {
    await using call = await this.rpc.call(methods.downloadFile, this.signal);
    await call.send(toBinary(FileRequestSchema, create(FileRequestSchema, { fileId, uploadType })));
    await call.closeSend();
    const messages = [];
    for (let bytes = await call.receive(this.signal); bytes; bytes = await call.receive(this.signal)) {
      messages.push(fromBinary(FileUploadSchema, bytes));
    }
    return messages;
  }

  async unary<In extends DescMessage, Out extends DescMessage>(
    method: string,
    input: In,
    output: Out,
    request: MessageInitShape<In>,
  ): Promise<MessageShape<Out>> {
    return fromBinary(output, await this.rpc.unary(method, toBinary(input, create(input, request)), this.signal));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the scripted agent ends"));
    await this.mux.close();
  }
}
