import { createServer as createHttpServer, type IncomingMessage, type Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { splitFile } from "../../src/archive/chunks.ts";
import { DataUploadType, type FileUpload } from "../../src/gen/provisioner_pb.ts";
import { systemClock } from "../../src/kit/clock.ts";
import { packetKind } from "../../src/wire/drpc/packet.ts";
import { encodeError } from "../../src/wire/drpc/packet-data.ts";
import { PacketSink, PacketSource } from "../../src/wire/drpc/packet-stream.ts";
import type { ByteStream } from "../../src/wire/stream.ts";
import { webSocketMux, webSocketServerOptions } from "../../src/wire/websocket.ts";
import type { YamuxSession } from "../../src/wire/yamux/session.ts";
import { type AnswerOf, FakeCall, type MethodName, methodOf, type Step } from "./fake-coderd-call.ts";

export type { AnswerOf, FakeCall, MethodName, Step } from "./fake-coderd-call.ts";

/** An HTTP answer; a text body goes out as it is, anything else as JSON. */
export interface HttpReply {
  status: number;
  headers?: Record<string, string>;
  body?: unknown;
}

/** A request as it came: REST call or handshake. */
export interface HttpRequest {
  /** Path with query. */
  url: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage["headers"];
  /** Names and values by turns, with their case and repetitions. */
  rawHeaders: string[];
}

/** `undefined` accepts; "hang" never answers; "reset" cuts the socket. */
type Reply = HttpReply | "hang" | "reset" | undefined;

export interface FakeCoderdOptions {
  /** Product version, in buildinfo and in the header of every answer. */
  version?: string;
  /** `provisioner_api_version`; empty for a server that doesn't tell. */
  apiVersion?: string;
  tls?: { key: string; cert: string; ca?: string; requestCert?: boolean };
  /** Looks at each upgrade request; `index` counts from 0. */
  handshake?: (request: HttpRequest, index: number) => Reply | Promise<Reply>;
  /** Looks at each REST call before the usual answer. */
  rest?: (request: HttpRequest) => Reply | Promise<Reply>;
  /** What calls do that no script is left for. */
  calls?: { [M in MethodName]?: Step<M> };
  /** Module archives that DownloadFile hands out, by id. */
  files?: Record<string, Uint8Array>;
}

interface Session {
  socket: WebSocket;
  tcp: Duplex;
  mux: YamuxSession;
}

/**
 * A scripted control plane: real HTTP, WebSocket, yamux and dRPC, with answers that a test chooses. It keeps everything that came,
 * in order. Without a script: jobs that were offered are handed out, and every report is answered with success.
 */
export class FakeCoderd implements AsyncDisposable {
  /** REST calls and handshakes. */
  readonly requests: HttpRequest[] = [];
  /** Calls of the daemon service, of all connections. */
  readonly calls: FakeCall[] = [];
  readonly #options: FakeCoderdOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #sessions: Session[] = [];
  readonly #scripts = new Map<MethodName, Step<MethodName>[]>();
  readonly #jobs: AnswerOf<"acquireJobWithCancel">[] = [];
  readonly #watchers = new Set<() => void>();
  /** May be changed between dials. */
  handshake: FakeCoderdOptions["handshake"];
  #handshakes = 0;
  #port = 0;

  constructor(options: FakeCoderdOptions) {
    this.#options = options;
    this.handshake = options.handshake;
    const { tls } = options;
    this.#server = tls ? createHttpsServer(tls) : createHttpServer();
    const upgrades = new WebSocketServer(webSocketServerOptions);
    upgrades.on("headers", (lines) => lines.push(`X-Coder-Build-Version: ${this.#version}`));
    this.#server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    this.#server.on("request", async (request, response) => {
      const seen = this.#see(request);
      const reply = (await options.rest?.(seen)) ?? this.#usual(seen);
      if (reply === "hang") return;
      if (reply === "reset") {
        request.socket.destroy();
        return;
      }
      response.writeHead(reply.status, { "X-Coder-Build-Version": this.#version, ...reply.headers });
      response.end(bodyOf(reply));
    });
    this.#server.on("upgrade", async (request, socket, head) => {
      socket.on("error", () => undefined);
      const seen = this.#see(request);
      const reply = await this.handshake?.(seen, this.#handshakes++);
      if (reply === "hang") return;
      if (reply === "reset") socket.destroy();
      else if (reply) refuseUpgrade(socket, reply);
      else upgrades.handleUpgrade(request, socket, head, (ws) => this.#serve(ws, socket));
    });
  }

  get url(): string {
    return `${this.#options.tls ? "https" : "http"}://127.0.0.1:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  /** Upgrade requests, in order. */
  get handshakes(): HttpRequest[] {
    return this.requests.filter(({ path }) => path.endsWith("/provisionerdaemons/serve"));
  }

  /** Sockets that were upgraded and are open. */
  get connected(): number {
    return this.#sessions.filter(({ socket }) => socket.readyState === socket.OPEN).length;
  }

  get #version(): string {
    return this.#options.version ?? "v2.35.0";
  }

  /** Listens, on the same port each time. */
  async up(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.#port, "127.0.0.1", resolve);
    });
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Refuses connections and cuts those that there are. */
  async down(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** What the next calls of a method do, one step each; then it is as usual again. */
  script<M extends MethodName>(method: M, ...steps: Step<M>[]): void {
    const queue = this.#scripts.get(method) ?? [];
    queue.push(...(steps as unknown as Step<MethodName>[]));
    this.#scripts.set(method, queue);
  }

  /** Hands a job to the next acquire stream, or to one that waits. */
  offer(job: AnswerOf<"acquireJobWithCancel">): void {
    this.#jobs.push(job);
    this.#changed();
  }

  /** Calls of one method, in order. */
  of<M extends MethodName>(method: M): FakeCall<M>[] {
    return this.calls.filter((call) => call.method === method) as unknown as FakeCall<M>[];
  }

  /** The `nth` call of a method (from 1), once its first request has come. */
  async seen<M extends MethodName>(method: M, nth = 1): Promise<FakeCall<M>> {
    const acquires = method === "acquireJobWithCancel";
    const found = () => this.of(method).filter((call) => acquires || call.requests.length > 0)[nth - 1];
    await this.until(() => found() !== undefined);
    return found() as FakeCall<M>;
  }

  /** Resolves when `fact` holds; it is looked at whenever something has come. */
  until(fact: () => boolean): Promise<void> {
    if (fact()) return Promise.resolve();
    return new Promise((resolve) => {
      const look = () => {
        if (!fact()) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
    });
  }

  /** Cuts every connection without a word. */
  cut(): void {
    for (const { socket } of this.#sessions) socket.terminate();
  }

  /** Ends every connection with a close frame. */
  close(code: number): void {
    for (const { socket } of this.#sessions) if (socket.readyState === socket.OPEN) socket.close(code);
  }

  /** Tells every connection to go elsewhere. */
  goAway(): void {
    for (const { mux } of this.#sessions) mux.goAway();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watchers.clear();
    if (this.#server.listening) await this.down();
  }

  #changed(): void {
    for (const look of [...this.#watchers]) look();
  }

  #see(request: IncomingMessage): HttpRequest {
    const url = new URL(request.url ?? "/", "http://fake");
    const seen: HttpRequest = {
      url: request.url ?? "",
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      rawHeaders: request.rawHeaders,
    };
    this.requests.push(seen);
    this.#changed();
    return seen;
  }

  #usual({ path }: HttpRequest): HttpReply {
    if (path === "/api/v2/buildinfo") {
      const api = this.#options.apiVersion ?? "1.18";
      const info = { external_url: this.url, version: this.#version };
      return { status: 200, body: api === "" ? info : { ...info, provisioner_api_version: api } };
    }
    if (path.startsWith("/api/v2/provisionerkeys/")) {
      const key = { id: "9a0c0d4e-0000-4000-8000-000000000001", created_at: "2026-01-02T03:04:05.678901Z" };
      return { status: 200, body: { ...key, organization: "o", name: "build-key", tags: { env: "prod" } } };
    }
    return { status: 404, body: { message: "Route not found." } };
  }

  #serve(socket: WebSocket, tcp: Duplex): void {
    const mux = webSocketMux(socket, "server", { clock: systemClock });
    const index = this.#sessions.push({ socket, tcp, mux }) - 1;
    void mux.ended.then(() => this.#changed());
    void this.#accept(mux, index);
    this.#changed();
  }

  async #accept(mux: YamuxSession, index: number): Promise<void> {
    for await (const stream of mux.incoming) void this.#answer(stream, index).catch(() => undefined);
  }

  /** One stream: Invoke, then what the script says, then on to the agent's FIN. */
  async #answer(stream: ByteStream, connection: number): Promise<void> {
    const source = new PacketSource(stream);
    const invoke = await source.next();
    if (invoke?.kind !== packetKind.invoke) return;
    const path = Buffer.from(invoke.data).toString();
    const method = methodOf(path);
    if (!method) {
      const sink = new PacketSink(stream, 1n);
      sink.add(packetKind.error, encodeError(0n, `protocol error: unknown rpc: ${JSON.stringify(path)}`));
      return sink.flush();
    }
    const changed = () => this.#changed();
    const cut = () => void this.#sessions[connection]?.socket.terminate();
    const call = new FakeCall(method, connection, { stream, source, changed, cut });
    this.calls.push(call);
    this.#changed();
    if (method !== "acquireJobWithCancel") await call.read(() => call.requests.length > 0);
    const step = this.#scripts.get(method)?.shift() ?? this.#options.calls?.[method] ?? this.#usually(method);
    await call.perform(step as Step<MethodName>);
    await call.read(() => false);
    await stream[Symbol.asyncDispose]();
  }

  #usually(method: MethodName): Step<MethodName> {
    switch (method) {
      case "acquireJobWithCancel":
        return (call) =>
          this.#handOut(call as unknown as FakeCall<"acquireJobWithCancel">) as Promise<Step<MethodName>>;
      case "commitQuota":
        return { answer: { ok: true, budget: -1 } };
      case "uploadFile":
        return async (call) => {
          await readUpload(call as unknown as FakeCall<"uploadFile">);
          return { answer: {} };
        };
      case "downloadFile":
        return (call) => this.#download(call as unknown as FakeCall<"downloadFile">);
      default:
        return { answer: {} };
    }
  }

  /** Waits for an offered job or for CancelAcquire; either is answered, the agent's leaving is not. */
  async #handOut(call: FakeCall<"acquireJobWithCancel">): Promise<Step<"acquireJobWithCancel"> | undefined> {
    void call.read(() => call.requests.length > 0);
    await this.until(() => this.#jobs.length > 0 || call.came.length > 0 || call.ended);
    if (call.came.length > 0) return call.requests.length > 0 ? { answer: {} } : undefined;
    return { answer: this.#jobs.shift() ?? {} };
  }

  async #download(call: FakeCall<"downloadFile">): Promise<Step<MethodName>> {
    const id = call.request.fileId;
    const bytes = this.#options.files?.[id];
    if (!bytes) {
      await call.send({ type: { case: "error", value: { error: `file ${id} is not a modules file` } } });
      return "closeSend";
    }
    await call.send(...fileMessages(bytes));
    return "closeSend";
  }
}

/** Starts a scripted control plane on a port of its own. */
export async function startFakeCoderd(options: FakeCoderdOptions = {}): Promise<FakeCoderd> {
  const coderd = new FakeCoderd(options);
  await coderd.up();
  return coderd;
}

/** A file as DownloadFile sends it. */
export function fileMessages(bytes: Uint8Array): AnswerOf<"downloadFile">[] {
  const { upload, pieces } = splitFile(bytes);
  const uploadType = DataUploadType.UPLOAD_TYPE_MODULE_FILES;
  return [
    { type: { case: "dataUpload", value: { uploadType, ...upload } } },
    ...[...pieces].map((value) => ({ type: { case: "chunkPiece" as const, value } })),
  ];
}

/** Reads an upload to its last announced piece; the pieces put together. */
export async function readUpload(call: FakeCall<"uploadFile">): Promise<Uint8Array> {
  const header = (call.requests[0] as FileUpload).type;
  const chunks = header.case === "dataUpload" ? header.value.chunks : 0;
  await call.read(() => call.requests.length > chunks);
  return Buffer.concat(
    call.requests.slice(1).map(({ type }) => (type.case === "chunkPiece" ? type.value.data : new Uint8Array())),
  );
}

function bodyOf({ body }: HttpReply): string {
  return body === undefined ? "" : typeof body === "string" ? body : JSON.stringify(body);
}

function refuseUpgrade(socket: Duplex, reply: HttpReply): void {
  const body = Buffer.from(bodyOf(reply));
  const headers = { "Content-Length": String(body.length), Connection: "close", ...reply.headers };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  socket.end(Buffer.concat([Buffer.from(`HTTP/1.1 ${reply.status} Refused\r\n${lines.join("\r\n")}\r\n\r\n`), body]));
}
