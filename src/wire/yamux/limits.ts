/** The numbers of yamux as both ends use them (spec/01 §3.11, appendix A), and our own bounds. */
export const yamuxLimits = {
  /** Unread bytes of one stream; also the most that may arrive without new credit (spec/01 §3.5). */
  windowBytes: 262_144,
  /** Credit is given back when the reader has taken this much (spec/01 §3.5). */
  creditBytes: 131_072,
  /** Body of one Data frame of ours: far below the 262144 bytes that one WebSocket message may have (spec/01 §2.2). */
  bodyBytes: 65_536,
  /** Writers wait while this much lies in the socket, so that pings and credit never queue behind more (spec/01 §3.12.3). */
  bufferedBytes: 1_048_576,
  /** Control frames do not wait. A peer that makes us answer and never reads is cut off here, or it could fill our memory: each
   *  of those frames is small, but costs some hundred bytes of bookkeeping while it waits. */
  stuckBytes: 2_097_152,
  /** Opens in flight without ACK; the next one waits (spec/01 §3.3). */
  unackedOpens: 256,
  /** Streams that the peer opened and nobody has taken yet; the next one is refused (spec/01 §3.3). */
  backlog: 256,
  /** Streams that the peer may have open at once: at 256 KiB each, 4 GiB in the worst case. The next one is refused. */
  peerStreams: 16_384,
  /** No id at or above this is opened (spec/01 §3.2). */
  lastStreamId: 0xffff_fffe,
  keepaliveMs: 30_000,
  pingAnswerMs: 10_000,
  ackMs: 75_000,
  finMs: 300_000,
} as const;
