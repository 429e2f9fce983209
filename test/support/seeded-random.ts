/** Chance that can be had again: the seed is printed where a test fails, and `SEED=n` takes it up. */
export function seededRandom(): { random: () => number; seed: number } {
  const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  let state = seed;
  const random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { random, seed };
}
