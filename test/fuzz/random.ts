/** Numbers in [0, 1) that are the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A whole number from 0 to below `limit`. */
export function upTo(random: () => number, limit: number): number {
  return Math.floor(random() * limit);
}

export function pick<T>(random: () => number, values: readonly T[]): T {
  return values[upTo(random, values.length)] as T;
}

/** Bytes of chance. */
export function bytesOf(random: () => number, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => upTo(random, 256));
}

/** Damages a sequence of pieces: drops, repeats, swaps, cuts and overwrites, mostly a little. */
export function mutate(random: () => number, pieces: readonly Uint8Array[]): Uint8Array[] {
  const list = [...pieces];
  for (let n = upTo(random, 4); n > 0 && list.length > 0; n--) {
    const at = upTo(random, list.length);
    const piece = list[at] as Uint8Array;
    switch (upTo(random, 6)) {
      case 0:
        list.splice(at, 1);
        break;
      case 1:
        list.splice(at, 0, piece);
        break;
      case 2: {
        const other = upTo(random, list.length);
        [list[at], list[other]] = [list[other] as Uint8Array, piece];
        break;
      }
      case 3:
        list[at] = piece.subarray(0, upTo(random, piece.length));
        break;
      case 4:
        list.splice(at, 0, bytesOf(random, 1 + upTo(random, 20)));
        break;
      default: {
        const copy = Uint8Array.from(piece);
        for (let flips = 1 + upTo(random, 3); flips > 0 && copy.length > 0; flips--)
          copy[upTo(random, copy.length)] = upTo(random, 256);
        list[at] = copy;
      }
    }
  }
  return list;
}

/** The same bytes in other pieces. */
export function* recut(random: () => number, pieces: readonly Uint8Array[]): Generator<Uint8Array> {
  const bytes = Buffer.concat(pieces);
  const longest = pick(random, [1, 3, 17, 200, bytes.length + 1]);
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + upTo(random, longest);
    yield bytes.subarray(at, at + size);
    at += size;
  }
}
