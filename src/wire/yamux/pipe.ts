/** What a session hears from its pipe. All of it is called outside of the session's own calls. */
export interface PipeListener {
  /** Bytes of the peer, cut anywhere. */
  received(bytes: Uint8Array): void;
  /** `bufferedBytes` has fallen. */
  drained(): void;
  /** The pipe is gone. Called once; undefined after a close of our own. */
  closed(error: Error | undefined): void;
}

/** The connection under a yamux session: messages out, bytes in. It never stops reading by itself (spec/01 §3.12). */
export interface Pipe {
  /** Called once, before anything else. */
  listen(listener: PipeListener): void;
  /** Hands one message to the connection: sent as a whole, in order. Never waits; nothing happens after the end. */
  send(message: Uint8Array): void;
  /** Bytes handed over and not yet taken by the system. */
  readonly bufferedBytes: number;
  /** Ends it in order with a WebSocket close code, waiting at most 5 s for the peer; resolves when it is gone. Idempotent. */
  close(code: number, reason: string): Promise<void>;
  /** Ends it now. */
  destroy(): void;
}
