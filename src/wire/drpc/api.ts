/** The calls of dRPC as both sides see them, in bytes: what the bytes mean is the caller's business (spec/01 §4). */

/** A call in progress, client side. Disposing sends FIN (and Close before it where the server has not closed). */
export interface ClientCall extends AsyncDisposable {
  /** Sends one message, split into frames of 65536 bytes; refused locally above 4 MiB (spec/01 §4.5). */
  send(message: Uint8Array): Promise<void>;
  /** CloseSend: no more messages from us. Never on AcquireJobWithCancel (spec/01 §4.14). */
  closeSend(): Promise<void>;
  /** The next message, or undefined at the end of the answer: Close or CloseSend. While we have not sent CloseSend, a further
   *  receive after that end waits for what may follow it, such as a late Error (spec/01 §4.14). Throws RefusedError for an Error packet, TransientError for
   *  FIN, RST, Cancel or a lost session, PeerError for a violation. */
  receive(signal: AbortSignal): Promise<Uint8Array | undefined>;
}

/** Calls on one mux session: one yamux stream each, stream id 1 (spec/01 §4.1). */
export interface RpcClient {
  /** One request, one answer. An answer that ends without a message is a TransientError. */
  unary(method: string, request: Uint8Array, signal: AbortSignal): Promise<Uint8Array>;
  /** Opens a streaming call. Aborting the signal sends FIN. */
  call(method: string, signal: AbortSignal): Promise<ClientCall>;
}

/** A call in progress, server side. */
export interface ServerCall {
  readonly method: string;
  /** Messages of the client; ends at CloseSend. */
  readonly requests: AsyncIterable<Uint8Array>;
  /** Aborts when the client is gone (FIN, RST, session lost) or cancelled. */
  readonly signal: AbortSignal;
  send(message: Uint8Array): Promise<void>;
}

/** How a handler's stream ends when the handler returns: the usual CloseSend, or Close as for AcquireJobWithCancel. */
export type CallEnd = "close-send" | "close";

/** Serves one method. Throwing sends an Error packet with code 0 and the error's message. */
export type Handler = (call: ServerCall) => Promise<CallEnd>;
