import type { Clock } from "../../kit/clock.ts";
import { messageOf, PeerError, TransientError } from "../../kit/errors.ts";
import type { MuxSession } from "../mux.ts";
import type { ByteStream } from "../stream.ts";
import { encodeFrame, type FrameHeader, FrameParser, type FrameSink, flag, frameType, goAwayCode } from "./frame.ts";
import { Keepalive } from "./keepalive.ts";
import { yamuxLimits } from "./limits.ts";
import type { Pipe, PipeListener } from "./pipe.ts";
import { type Line, YamuxStream } from "./stream.ts";

export interface YamuxOptions {
  clock: Clock;
  /** Hears what a person may want to know: refused streams, violations. */
  log?: (text: string) => void;
}

export interface YamuxSession extends MuxSession {
  /** Tells the peer to open nothing more here; running streams go on (spec/01 §3.10). */
  goAway(): void;
  /** Streams that are not forgotten yet. */
  readonly openStreams: number;
}

/** Close codes of the WebSocket under a session that ends here (spec/01 §2.4, §3.12.6). */
const closeCode = { normal: 1000, protocolError: 1002 } as const;

/** Runs yamux over a pipe. The client opens odd ids and refuses what the peer opens; the server takes it (spec/01 §3.2). */
export function yamuxSession(pipe: Pipe, role: "client" | "server", options: YamuxOptions): YamuxSession {
  const session = new Session(pipe, role, options);
  pipe.listen(session);
  return session;
}

interface OpenWaiter {
  grant: () => void;
  refuse: (error: Error) => void;
}

/**
 *  - live: streams open, run and close
 *  - going away: the peer sent GoAway 0, or the ids are used up: running streams finish, nothing new opens; after GoAway the
 *    session closes itself in order with its last stream
 *  - over: `ended` has settled, every stream has failed, nothing is sent or heard any more
 */
class Session implements YamuxSession, PipeListener, FrameSink, Line {
  readonly ended: Promise<Error | undefined>;
  readonly #pipe: Pipe;
  readonly #accepts: boolean;
  readonly #clock: Clock;
  readonly #log: (text: string) => void;
  readonly #parser = new FrameParser();
  readonly #keepalive: Keepalive;
  readonly #streams = new Map<number, YamuxStream>();
  /** Streams with data and credit, in the order in which they may send. */
  readonly #ready = new Set<YamuxStream>();
  readonly #backlog: YamuxStream[] = [];
  readonly #openWaiters = new Set<OpenWaiter>();
  #acceptor: ((result: IteratorResult<ByteStream, undefined>) => void) | undefined;
  /** Whose body the parser reads; undefined where it is skipped. */
  #bodyOf: YamuxStream | undefined;
  /** The frame whose body is read had FIN: the stream ends with the body's last byte, not before. */
  #finBehindBody = false;
  #nextId: number;
  #unacked = 0;
  #peerStreams = 0;
  #pumpQueued = false;
  #goAwayReceived = false;
  #goAwaySent = false;
  #idsUsedUp = false;
  #over: Error | undefined;
  #settleEnded: (error: Error | undefined) => void = () => undefined;

  constructor(pipe: Pipe, role: "client" | "server", options: YamuxOptions) {
    this.#pipe = pipe;
    this.#accepts = role === "server";
    this.#nextId = role === "client" ? 1 : 2;
    this.#clock = options.clock;
    this.#log = options.log ?? (() => undefined);
    this.ended = new Promise((resolve) => {
      this.#settleEnded = resolve;
    });
    this.#keepalive = new Keepalive(
      options.clock,
      (value) => this.control(frameType.ping, flag.syn, 0, value),
      () => this.#lose(new TransientError("the peer has not answered a ping for 10 s")),
    );
  }

  // --- for the application

  get goingAway(): boolean {
    return this.#goAwayReceived || this.#idsUsedUp;
  }

  get openStreams(): number {
    return this.#streams.size;
  }

  readonly incoming: AsyncIterable<ByteStream> = {
    [Symbol.asyncIterator]: () => ({
      next: () => this.#accept(),
      return: () => Promise.resolve({ done: true, value: undefined }),
    }),
  };

  async open(signal: AbortSignal): Promise<ByteStream> {
    signal.throwIfAborted();
    const refusal = this.#refusal();
    if (refusal) throw refusal;
    if (this.#unacked < yamuxLimits.unackedOpens) return this.#openNow();
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#openWaiters.delete(waiter);
        signal.removeEventListener("abort", onAbort);
      };
      const onAbort = () => {
        leave();
        reject(signal.reason);
      };
      const waiter: OpenWaiter = {
        grant: () => {
          leave();
          resolve(this.#openNow());
        },
        refuse: (error) => {
          leave();
          reject(error);
        },
      };
      this.#openWaiters.add(waiter);
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  goAway(): void {
    if (this.#over || this.#goAwaySent) return;
    this.#goAwaySent = true;
    this.control(frameType.goAway, 0, 0, goAwayCode.normal);
  }

  async close(): Promise<void> {
    this.#finish(undefined, false);
    await this.#pipe.close(closeCode.normal, "");
  }

  abort(reason: Error): void {
    this.#finish(reason, true);
    this.#pipe.destroy();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // --- from the pipe

  received(bytes: Uint8Array): void {
    if (this.#over) return;
    try {
      this.#parser.push(bytes, this);
    } catch (error) {
      this.#violation(error);
    }
  }

  drained(): void {
    this.#pump();
  }

  closed(error: Error | undefined): void {
    this.#finish(error ?? new TransientError("connection lost"), false);
  }

  // --- from the parser

  frame(header: FrameHeader): void {
    if (this.#over) return;
    if (header.type === frameType.ping) this.#onPing(header);
    else if (header.type === frameType.goAway) this.#onGoAway(header.length);
    else this.#onStreamFrame(header);
  }

  body(piece: Uint8Array, last: boolean): void {
    const stream = this.#bodyOf;
    stream?.received(piece);
    if (!last) return;
    this.#bodyOf = undefined;
    if (this.#finBehindBody) stream?.finReceived();
  }

  #onPing(header: FrameHeader): void {
    if (header.flags & flag.syn) this.control(frameType.ping, flag.ack, 0, header.length);
    else this.#keepalive.answered(header.length);
  }

  #onGoAway(code: number): void {
    if (code !== goAwayCode.normal) {
      this.#lose(new TransientError(`the peer has ended the session with GoAway "${code}"`));
      return;
    }
    this.#goAwayReceived = true;
    this.#refuseOpens(this.#refusal());
    this.#retireWhenIdle();
  }

  /** Flags in the order SYN, ACK, FIN, RST, then the length (spec/01 §3.4); but a FIN counts behind the data it came with. */
  #onStreamFrame({ type, flags, streamId, length }: FrameHeader): void {
    if (flags & flag.syn) this.#onSyn(streamId);
    const stream = this.#streams.get(streamId);
    if (!stream) return; // Forgotten or never known: a body is skipped (spec/01 §3.10).
    const isData = type === frameType.data;
    const bodyFollows = isData && length > 0;
    const late = stream.inClosed;
    if (flags & flag.ack && !stream.acked) {
      stream.acknowledged();
      this.#freeSlot();
    }
    if (isData && !late && !stream.claim(length)) {
      throw new PeerError(`read stream "${streamId}": ${length} bytes of data: more than the window has left`);
    }
    if (flags & flag.fin) {
      if (late) throw new PeerError(`read stream "${streamId}": a second FIN: one should end a half`);
      if (!bodyFollows) stream.finReceived();
    }
    if (flags & flag.rst) stream.resetReceived();
    if (bodyFollows) {
      // Data behind the sender's own FIN are its mistake: dropped (spec/01 §3.4).
      if (!late) this.#bodyOf = stream;
      this.#finBehindBody = (flags & flag.fin) !== 0;
    } else if (!stream.credited(length)) {
      throw new PeerError(`write stream "${streamId}": ${length} bytes of credit: the sum should fit 32 bits`);
    }
  }

  #onSyn(streamId: number): void {
    if (streamId === 0) throw new PeerError('open a stream: id "0": is the session');
    if (this.#streams.has(streamId)) throw new PeerError(`open a stream: id "${streamId}": is in use`);
    const refusal = this.#whyRefused();
    if (refusal) {
      this.#log(`yamux: the peer opens stream ${streamId}: refused: ${refusal}`);
      this.control(frameType.windowUpdate, flag.rst, streamId, 0);
      return;
    }
    const stream = new YamuxStream(this, streamId, true);
    this.#streams.set(streamId, stream);
    this.#peerStreams++;
    // At once, long before anybody has an answer: the opener gives the whole session up after 75 s (spec/01 §3.3).
    this.control(frameType.windowUpdate, flag.ack, streamId, 0);
    if (this.#acceptor) {
      const acceptor = this.#acceptor;
      this.#acceptor = undefined;
      acceptor({ done: false, value: stream });
    } else {
      this.#backlog.push(stream);
    }
  }

  #whyRefused(): string | undefined {
    if (!this.#accepts) return "this side opens all streams";
    if (this.#goAwaySent) return "this session is going away";
    if (this.#backlog.length >= yamuxLimits.backlog) return `${yamuxLimits.backlog} streams wait to be taken`;
    if (this.#peerStreams >= yamuxLimits.peerStreams) return `${yamuxLimits.peerStreams} streams are open`;
    return undefined;
  }

  // --- for the streams

  control(type: number, flags: number, streamId: number, length: number): void {
    if (this.#over) return;
    this.#pipe.send(encodeFrame({ type, flags, streamId, length }));
    if (this.#pipe.bufferedBytes > yamuxLimits.stuckBytes) {
      this.#lose(new TransientError("the peer makes us answer and reads nothing"));
    }
  }

  data(streamId: number, pieces: readonly Uint8Array[], bytes: number): void {
    this.#pipe.send(encodeFrame({ type: frameType.data, flags: 0, streamId, length: bytes }, pieces));
  }

  schedule(stream: YamuxStream): void {
    this.#ready.add(stream);
    if (this.#pumpQueued) return;
    // A microtask later, so that writes made in one go travel in one frame.
    this.#pumpQueued = true;
    queueMicrotask(() => {
      this.#pumpQueued = false;
      this.#pump();
    });
  }

  turn(callback: () => void): void {
    setImmediate(callback);
  }

  after(delayMs: number, callback: () => void): Disposable {
    return this.#clock.after(delayMs, callback);
  }

  forget(stream: YamuxStream): void {
    if (!this.#streams.delete(stream.id)) return;
    this.#ready.delete(stream);
    if (isOurs(stream.id, this.#nextId)) {
      if (!stream.acked) this.#freeSlot();
    } else {
      this.#peerStreams--;
    }
    this.#retireWhenIdle();
  }

  #openNow(): ByteStream {
    while (this.#streams.has(this.#nextId)) this.#nextId += 2;
    const stream = new YamuxStream(this, this.#nextId, false);
    this.#nextId += 2;
    if (this.#nextId >= yamuxLimits.lastStreamId) this.#idsUsedUp = true;
    this.#streams.set(stream.id, stream);
    this.#unacked++;
    this.control(frameType.windowUpdate, flag.syn, stream.id, 0);
    stream.awaitAck(() => this.#lose(new TransientError(`the peer has not accepted stream "${stream.id}" in 75 s`)));
    return stream;
  }

  #freeSlot(): void {
    this.#unacked--;
    const [waiter] = this.#openWaiters;
    if (waiter && !this.#over && !this.goingAway) waiter.grant();
  }

  #refusal(): Error | undefined {
    if (this.#over) return this.#over;
    if (this.goingAway) return new TransientError("open a stream: the session is going away");
    return undefined;
  }

  #refuseOpens(error: Error | undefined): void {
    if (error) for (const waiter of [...this.#openWaiters]) waiter.refuse(error);
  }

  #accept(): Promise<IteratorResult<ByteStream, undefined>> {
    const stream = this.#backlog.shift();
    if (stream) return Promise.resolve({ done: false, value: stream });
    if (this.#over) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => {
      this.#acceptor = resolve;
    });
  }

  /** One frame of each ready stream in turn, while the socket has room. */
  #pump(): void {
    for (const stream of this.#ready) {
      if (this.#pipe.bufferedBytes >= yamuxLimits.bufferedBytes) return;
      this.#ready.delete(stream);
      if (stream.sendFrame()) this.#ready.add(stream);
    }
  }

  #retireWhenIdle(): void {
    if (!this.#goAwayReceived || this.#over || this.#streams.size > 0) return;
    this.#finish(undefined, false);
    void this.#pipe.close(closeCode.normal, "");
  }

  #violation(error: unknown): void {
    this.#log(`yamux: ${messageOf(error)}`);
    this.control(frameType.goAway, 0, 0, goAwayCode.protocolError);
    const reason = error instanceof Error ? error : new PeerError(messageOf(error));
    this.#finish(reason, false);
    void this.#pipe.close(closeCode.protocolError, "yamux protocol error");
  }

  /** Ends the session without the peer's help. */
  #lose(error: Error): void {
    this.#log(`yamux: ${error.message}`);
    this.#finish(error, false);
    this.#pipe.destroy();
  }

  #finish(error: Error | undefined, drop: boolean): void {
    if (this.#over) return;
    const reason = streamReason(error, drop);
    this.#over = reason;
    this.#keepalive[Symbol.dispose]();
    this.#refuseOpens(reason);
    for (const stream of [...this.#streams.values()]) stream.lost(reason, drop);
    this.#acceptor?.({ done: true, value: undefined });
    this.#acceptor = undefined;
    this.#backlog.length = 0;
    this.#settleEnded(error);
  }
}

/** What the streams of a session that ended say: a violation is the session's; for a call it is a lost connection (spec/01 §4.11). */
function streamReason(error: Error | undefined, aborted: boolean): Error {
  if (!error) return new TransientError("the session was closed");
  if (aborted || !(error instanceof PeerError)) return error;
  return new TransientError(`connection lost: ${error.message}`, { cause: error });
}

function isOurs(id: number, nextId: number): boolean {
  return id % 2 === nextId % 2;
}
