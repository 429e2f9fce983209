import { archiveFuzz } from "./archive.ts";
import { drpcFuzz } from "./drpc.ts";
import { graphFuzz } from "./graph.ts";
import { templateFuzz } from "./template.ts";
import { webSocketFuzz } from "./websocket.ts";
import { yamuxFuzz } from "./yamux.ts";

/** One target: a file of this folder. `run` makes `count` inputs out of `random` and throws at a finding. */
export interface FuzzTarget {
  name: string;
  run(random: () => number, count: number): Promise<void>;
}

/** Everything that reads what others wrote. */
export const targets: readonly FuzzTarget[] = [
  webSocketFuzz,
  yamuxFuzz,
  drpcFuzz,
  archiveFuzz,
  graphFuzz,
  templateFuzz,
];
