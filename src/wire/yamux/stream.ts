import { TransientError } from "../../kit/errors.ts";
import { Inbox } from "../inbox.ts";
import type { ByteStream } from "../stream.ts";
import { flag, frameType } from "./frame.ts";
import { yamuxLimits } from "./limits.ts";

/** What a stream needs from its session. */
export interface Line {
  /** Sends a frame without body, ahead of all data that waits. */
  control(type: number, flags: number, streamId: number, length: number): void;
  /** Sends a Data frame. */
  data(streamId: number, pieces: readonly Uint8Array[], bytes: number): void;
  /** This stream has data and credit: its `sendFrame` is called when the socket has room, in turn with the others. */
  schedule(stream: YamuxStream): void;
  /** Calls back at the end of this turn of the event loop. */
  turn(callback: () => void): void;
  after(delayMs: number, callback: () => void): Disposable;
  /** The id is free: both halves are closed, or the stream was reset. */
  forget(stream: YamuxStream): void;
}

interface PendingWrite {
  chunk: Uint8Array;
  resolve: () => void;
  reject: (error: Error) => void;
}

const closedHere = () => new Error("use a stream: it was closed here before");

/**
 * One yamux stream (spec/01 §3.4). Two halves and an end:
 *
 *  - our half `open`: writes are taken; `ending`: `end()` was called, what was written before still goes out; `answering`: the
 *    peer's FIN came, ours follows in this turn; `closed`: our FIN is out, the peer has five minutes to send its own
 *  - the peer's half open: bytes and FIN come in; closed: what is buffered is read, then the end
 *  - over: both halves are closed, or RST came or went, or the session is lost. The session has forgotten the id; what arrived
 *    in order can still be read
 */
export class YamuxStream implements ByteStream {
  readonly #line: Line;
  readonly #inbox = new Inbox((bytes) => this.#taken(bytes));
  readonly #pending: PendingWrite[] = [];
  readonly #endWaiters: (() => void)[] = [];
  #out: "open" | "ending" | "answering" | "closed" = "open";
  #inClosed = false;
  #over = false;
  /** Why writes fail now; undefined while they do not. */
  #refusal: Error | undefined;
  #goneReason: Error | undefined;
  #gone: AbortController | undefined;
  #sendWindow: number = yamuxLimits.windowBytes;
  #receiveWindow: number = yamuxLimits.windowBytes;
  /** Bytes that the reader took and that were not given back as credit yet. */
  #uncredited = 0;
  #ackTimer: Disposable | undefined;
  #finTimer: Disposable | undefined;

  constructor(
    line: Line,
    readonly id: number,
    /** False for a stream of ours until the peer's ACK. */
    public acked: boolean,
  ) {
    this.#line = line;
  }

  get gone(): AbortSignal {
    if (!this.#gone) {
      this.#gone = new AbortController();
      if (this.#goneReason) this.#gone.abort(this.#goneReason);
    }
    return this.#gone.signal;
  }

  write(chunk: Uint8Array): Promise<void> {
    if (this.#refusal) return Promise.reject(this.#refusal);
    if (chunk.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#pending.push({ chunk, resolve, reject });
      if (this.#pending.length === 1 && this.#sendWindow > 0) this.#line.schedule(this);
    });
  }

  end(): Promise<void> {
    if (this.#out === "open") {
      this.#out = "ending";
      this.#refusal = closedHere();
      if (this.#pending.length === 0) this.#sendFin();
    }
    if (this.#out === "closed" || this.#over) return Promise.resolve();
    return new Promise((resolve) => this.#endWaiters.push(resolve));
  }

  abort(reason: Error): void {
    if (!this.#over) this.#line.control(frameType.windowUpdate, flag.rst, this.id, 0);
    this.#terminate(reason, true);
  }

  /** Done with both directions: one last frame of what waits to be written, then FIN; the rest of it is given up, and what still
   *  arrives is dropped. */
  [Symbol.asyncDispose](): Promise<void> {
    if (this.#pending.length > 0) this.sendFrame();
    this.#inbox.fail(closedHere(), true);
    this.#refuse(closedHere());
    this.#sendFin();
    return Promise.resolve();
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    return this.#inbox.iterator();
  }

  // What follows is for the session.

  /** True once the peer's FIN was seen. */
  get inClosed(): boolean {
    return this.#inClosed;
  }

  /** Starts the wait for ACK; `expired` is called when neither ACK nor a FIN comes in 75 s (spec/01 §3.3). */
  awaitAck(expired: () => void): void {
    this.#ackTimer = this.#line.after(yamuxLimits.ackMs, expired);
  }

  acknowledged(): void {
    this.acked = true;
    this.#ackTimer?.[Symbol.dispose]();
  }

  /** Takes room in the receive window; false when there is not enough: a violation (spec/01 §3.5). */
  claim(bytes: number): boolean {
    if (bytes > this.#receiveWindow) return false;
    this.#receiveWindow -= bytes;
    return true;
  }

  /** A piece of a Data frame's body. */
  received(piece: Uint8Array): void {
    this.#inbox.push(piece);
  }

  /** The peer's FIN, behind all its data. */
  finReceived(): void {
    if (this.#over || this.#inClosed) return;
    this.#inClosed = true;
    this.#ackTimer?.[Symbol.dispose]();
    this.#inbox.finish();
    const error = new TransientError("use a stream: the peer has closed it");
    this.#leave(error);
    if (this.#out === "closed") {
      this.#settle();
      return;
    }
    // FIN means "I am gone": writers do not wait for credit that may never come (spec/01 §3.9, §4.9). Not at once, so that a
    // second FIN right behind it is still seen as the violation that it is.
    this.#out = "answering";
    this.#refuse(error);
    this.#line.turn(() => this.#sendFin());
  }

  resetReceived(): void {
    // What is buffered is lost, as with the peer's library (spec/01 §3.4).
    this.#terminate(new TransientError("use a stream: the peer has reset it"), true);
  }

  /** The session is over. With `drop`, unread bytes are lost. */
  lost(error: Error, drop: boolean): void {
    this.#terminate(error, drop);
  }

  /** Credit came; false when the sum does not fit 32 bits: a violation (spec/01 §3.12). */
  credited(bytes: number): boolean {
    this.#sendWindow += bytes;
    if (this.#sendWindow > 0xffff_ffff) return false;
    if (this.#pending.length > 0 && this.#sendWindow > 0) this.#line.schedule(this);
    return true;
  }

  /** Sends one Data frame of what waits, joining writes; returns whether there is more that credit allows. */
  sendFrame(): boolean {
    const maxBytes = Math.min(this.#sendWindow, yamuxLimits.bodyBytes);
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    while (bytes < maxBytes) {
      const write = this.#pending[0];
      if (!write) break;
      const piece = write.chunk.subarray(0, maxBytes - bytes);
      pieces.push(piece);
      bytes += piece.length;
      if (piece.length < write.chunk.length) {
        write.chunk = write.chunk.subarray(piece.length);
      } else {
        this.#pending.shift();
        write.resolve();
      }
    }
    if (bytes > 0) this.#line.data(this.id, pieces, bytes);
    this.#sendWindow -= bytes;
    if (this.#pending.length > 0) return this.#sendWindow > 0;
    if (this.#out === "ending") this.#sendFin();
    return false;
  }

  #taken(bytes: number): void {
    this.#uncredited += bytes;
    if (this.#uncredited < yamuxLimits.creditBytes || this.#inClosed || this.#over) return;
    this.#receiveWindow += this.#uncredited;
    this.#line.control(frameType.windowUpdate, 0, this.id, this.#uncredited);
    this.#uncredited = 0;
  }

  #sendFin(): void {
    if (this.#out === "closed" || this.#over) return;
    this.#out = "closed";
    this.#ackTimer?.[Symbol.dispose]();
    this.#line.control(frameType.windowUpdate, flag.fin, this.id, 0);
    this.#wakeEnders();
    if (this.#inClosed) {
      this.#settle();
      return;
    }
    this.#finTimer = this.#line.after(yamuxLimits.finMs, () => {
      this.abort(new TransientError("use a stream: the peer has not closed its half 5 minutes after ours"));
    });
  }

  /** Both halves are closed. */
  #settle(): void {
    if (this.#over) return;
    this.#over = true;
    this.#finTimer?.[Symbol.dispose]();
    this.#line.forget(this);
  }

  #terminate(error: Error, drop: boolean): void {
    this.#inbox.fail(error, drop);
    this.#refuse(error);
    this.#leave(error);
    this.#ackTimer?.[Symbol.dispose]();
    this.#settle();
    this.#wakeEnders();
  }

  #refuse(error: Error): void {
    this.#refusal ??= error;
    for (const write of this.#pending.splice(0)) write.reject(error);
  }

  #leave(reason: Error): void {
    this.#goneReason ??= reason;
    this.#gone?.abort(reason);
  }

  #wakeEnders(): void {
    for (const resolve of this.#endWaiters.splice(0)) resolve();
  }
}
