/** Memory per slot above which the engine may collect its garbage less often: a large provider then still fits, three times over. */
const roomyBytes = 6 * 1024 ** 3;

/**
 * Variables that make engine and providers faster where there is memory to spare (measured: 8 to 15 % of a small build).
 * The limit is soft: near it the collector works as hard as ever. Whoever sets one of them keeps it.
 */
export function engineTuning(
  memoryBytes: number,
  slots: number,
  environment: Readonly<Record<string, string>>,
): Record<string, string> {
  if (memoryBytes / slots < roomyBytes || environment["GOGC"] || environment["GOMEMLIMIT"]) return {};
  return { GOGC: "400", GOMEMLIMIT: "2GiB" };
}

/** What this process and its children may use: the container's limit, or the machine's memory. */
export function usableMemory(constrained: number, total: number): number {
  return constrained > 0 ? Math.min(constrained, total) : total;
}
