import type { DotGraph } from "./dot.ts";
import { compareBytes } from "./order.ts";

/**
 * Finds for any node the nearest candidate along its dependants or its dependencies: the smallest distance, among equals the
 * smallest label in byte order (spec/04 §3.1, §3.5). The search starts once from all candidates and goes backwards, level by
 * level, so that it costs nodes + edges however many nodes are asked about. Every node on a way counts, labelled or not.
 */
export function nearestCandidates(
  graph: DotGraph,
  along: "dependants" | "dependencies",
  candidates: ReadonlySet<string>,
): (node: number) => string | undefined {
  const backwards = along === "dependants" ? graph.dependencies : graph.dependants;
  const labels = [...candidates].sort(compareBytes);
  const ranks = new Map(labels.map((label, rank) => [label, rank]));
  const distances = new Int32Array(graph.size).fill(-1);
  const best = new Int32Array(graph.size);
  let level: number[] = [];
  for (let node = 0; node < graph.size; node++) {
    const rank = ranks.get(graph.label(node) ?? "");
    if (rank === undefined || graph.label(node) === undefined) continue;
    distances[node] = 0;
    best[node] = rank;
    level.push(node);
  }
  for (let distance = 1; level.length > 0; distance++) {
    const next: number[] = [];
    for (const node of level) {
      const rank = best[node] as number;
      for (const before of backwards[node] ?? []) {
        if (distances[before] === -1) {
          distances[before] = distance;
          best[before] = rank;
          next.push(before);
        } else if (distances[before] === distance && rank < (best[before] as number)) best[before] = rank;
      }
    }
    level = next;
  }
  return (node) => {
    let nearest: number | undefined;
    for (const next of graph[along][node] ?? []) {
      const distance = distances[next] as number;
      if (distance === -1) continue;
      const current = nearest === undefined ? Number.POSITIVE_INFINITY : (distances[nearest] as number);
      const tie = distance === current && nearest !== undefined && (best[next] as number) < (best[nearest] as number);
      if (distance < current || tie) nearest = next;
    }
    return nearest === undefined ? undefined : labels[best[nearest] as number];
  };
}
