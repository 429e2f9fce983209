/** Limits that both ends share, each with its reason. Bytes and milliseconds as the names say. */
export const limits = {
  /** A dRPC packet above this makes the receiver drop the stream (spec/01 §4.5). Inclusive. */
  rpcMessageBytes: 4_194_304,
  /** A WebSocket message above this ends the session on servers from 2.35 on (spec/01 §2.2). Inclusive, yamux header included. */
  webSocketMessageBytes: 262_144,
  /** Pieces in which files travel; the last is shorter (spec/01 §4.15). */
  fileChunkBytes: 2_097_152,
  /** Biggest file that travels (spec/01 §4.15). */
  fileBytes: 104_857_600,
  /** Budget of the module archive (spec/03 §1.10). */
  moduleArchiveBytes: 20 * 1024 * 1024,
  /** Characters of one stored log line; the server cuts the rest silently (spec/02 §3.3). */
  logOutputChars: 1024,
  /** Characters of a stored stage name (spec/02 §3.3). */
  logStageChars: 128,
  /** Log text of one job; the server drops all that follows (spec/02 §3.3). */
  jobLogBytes: 1_048_576,
  /** Part of `jobLogBytes` that the server keeps for its own notice (spec/02 §3.3). */
  jobLogReserveBytes: 111,
  /** A started job without UpdateJob for this long may be ended by the server's reaper (spec/02 §5.11). */
  reaperMs: 300_000,
  /** Gap between answered updates under which the reaper cannot have acted (spec/02 §5.13). */
  safeGapMs: 270_000,
  /** Length of a provisioner key in characters (spec/01 §1.7). */
  keyChars: 43,
} as const;
