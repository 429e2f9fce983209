/** `; did you mean "X"?` for the nearest of the names, "" where none is near enough to be a slip of the hand. */
export function didYouMean(name: string, names: Iterable<string>, prefix = ""): string {
  let best = "";
  // A third of the letters wrong is another word.
  let least = Math.max(1, Math.floor(name.length / 3)) + 1;
  for (const candidate of names) {
    // Words that begin alike: `--prometheus` for `--prometheus-enable`.
    const distance = name.length > 3 && candidate.startsWith(name) ? 1 : editDistance(name, candidate);
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best && `; did you mean "${prefix}${best}"?`;
}

/** Letters to add, drop, change or swap with their neighbour. */
function editDistance(from: string, to: string): number {
  let last: number[] = [];
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1];
      let cost = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1])
        cost = Math.min(cost, (last[j - 2] ?? 0) + 1);
      next.push(cost);
    }
    [last, row] = [row, next];
  }
  return row[to.length] ?? 0;
}
