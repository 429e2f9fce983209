import { readFileSync } from "node:fs";

/** A dRPC packet of a recording (cases/wire/README). */
export interface RecordedPacket {
  ms: number;
  way: "up" | "down";
  yamux_stream: number;
  kind: string;
  method?: string;
  of?: string;
  hex?: string;
  json: Record<string, unknown> | undefined;
  text?: string;
}

/** One recorded call: what the daemon sent and what the server answered. */
export interface RecordedCall {
  method: string;
  up: RecordedPacket[];
  down: RecordedPacket[];
}

/** The calls of one connection, in the order of their Invokes. */
export function recordedCalls(path: string): RecordedCall[] {
  const calls = new Map<number, RecordedCall>();
  for (const line of readFileSync(path, "utf8").trimEnd().split("\n")) {
    const packet = JSON.parse(line) as RecordedPacket & { layer: string };
    if (packet.layer !== "drpc") continue;
    if (packet.kind === "Invoke") calls.set(packet.yamux_stream, { method: packet.method ?? "", up: [], down: [] });
    else if (packet.kind === "Message" || packet.kind === "Error") {
      calls.get(packet.yamux_stream)?.[packet.way].push(packet);
    }
  }
  return [...calls.values()];
}
