/** Characters `start` to `end`, the end not included. */
export interface Stretch {
  start: number;
  end: number;
}

export interface Scan {
  /** In order; overlapping ones are one. */
  stretches: Stretch[];
  /** How many characters at the end may be the beginning of a pattern. */
  open: number;
}

/**
 * Finds many patterns in one pass (Aho–Corasick): time linear in the text whatever the patterns are. With 2,000 values
 * (9,256 forms) on 1 MiB of log it takes 15 ms, on 1 MiB of base64 100 ms; one regular expression of them all 1.2 s.
 *
 * A trie in flat arrays, one node for each different prefix; edges in one hash table of (parent, character).
 */
export class Automaton {
  #nodes = 1;
  #parent = new Int32Array(1024);
  #char = new Uint16Array(1024);
  #depth = new Int32Array(1024);
  /** Longest pattern that ends here, in characters; 0 for none. */
  #match = new Int32Array(1024);
  /** Node of the longest proper suffix that is a prefix of a pattern. */
  #fail = new Int32Array(0);
  #edges = new Int32Array(2048);

  constructor(patterns: Iterable<string>) {
    for (const pattern of patterns) this.#insert(pattern);
    this.#link();
  }

  /** Finds all stretches of `text` that patterns cover. */
  scan(text: string): Scan {
    const stretches: Stretch[] = [];
    let node = 0;
    for (let at = 0; at < text.length; at++) {
      const char = text.charCodeAt(at);
      let next = this.#edge(node, char);
      while (next === 0 && node !== 0) {
        node = this.#fail[node] as number;
        next = this.#edge(node, char);
      }
      node = next;
      const length = this.#match[node] as number;
      if (length === 0) continue;
      const end = at + 1;
      let start = end - length;
      // A pattern that ends later may begin before several that ended earlier.
      for (let last = stretches.at(-1); last && last.end > start; last = stretches.at(-1)) {
        start = Math.min(start, last.start);
        stretches.pop();
      }
      stretches.push({ start, end });
    }
    return { stretches, open: this.#depth[node] as number };
  }

  #insert(pattern: string): void {
    let node = 0;
    for (let at = 0; at < pattern.length; at++) {
      const char = pattern.charCodeAt(at);
      node = this.#edge(node, char) || this.#addNode(node, char);
    }
    this.#match[node] = pattern.length;
  }

  #addNode(parent: number, char: number): number {
    const node = this.#nodes++;
    if (node === this.#parent.length) this.#grow();
    this.#parent[node] = parent;
    this.#char[node] = char;
    this.#depth[node] = (this.#depth[parent] as number) + 1;
    this.#edges[this.#slot(parent, char)] = node;
    return node;
  }

  /** Sets the links breadth first, so that those of shorter prefixes are there when longer ones need them. */
  #link(): void {
    this.#fail = new Int32Array(this.#nodes);
    const order = this.#byDepth();
    for (const node of order) {
      const parent = this.#parent[node] as number;
      if (parent === 0) continue;
      const char = this.#char[node] as number;
      let fail = this.#fail[parent] as number;
      let target = this.#edge(fail, char);
      while (target === 0 && fail !== 0) {
        fail = this.#fail[fail] as number;
        target = this.#edge(fail, char);
      }
      this.#fail[node] = target;
      if (this.#match[node] === 0) this.#match[node] = this.#match[target] as number;
    }
  }

  /** All nodes but the root, by depth (a counting sort). */
  #byDepth(): Int32Array {
    const deepest = this.#depth.reduce((most, depth) => Math.max(most, depth), 0);
    const place = new Int32Array(deepest + 2);
    for (let node = 1; node < this.#nodes; node++) (place[(this.#depth[node] as number) + 1] as number)++;
    for (let depth = 1; depth < place.length; depth++) (place[depth] as number) += place[depth - 1] as number;
    const order = new Int32Array(this.#nodes - 1);
    for (let node = 1; node < this.#nodes; node++) order[(place[this.#depth[node] as number] as number)++] = node;
    return order;
  }

  /** The child of a node, 0 for none (the root is nobody's child). */
  #edge(parent: number, char: number): number {
    return this.#edges[this.#slot(parent, char)] as number;
  }

  /** Where the edge stands or would stand; the table is at most half full. */
  #slot(parent: number, char: number): number {
    const mask = this.#edges.length - 1;
    let hash = Math.imul(parent, 0x9e3779b1) ^ Math.imul(char + 1, 0x85ebca6b);
    hash ^= hash >>> 15;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const node = this.#edges[slot] as number;
      if (node === 0 || (this.#parent[node] === parent && this.#char[node] === char)) return slot;
    }
  }

  #grow(): void {
    const size = this.#parent.length * 2;
    const larger = <T extends Int32Array | Uint16Array>(copy: T, old: T): T => {
      copy.set(old);
      return copy;
    };
    this.#parent = larger(new Int32Array(size), this.#parent);
    this.#char = larger(new Uint16Array(size), this.#char);
    this.#depth = larger(new Int32Array(size), this.#depth);
    this.#match = larger(new Int32Array(size), this.#match);
    this.#edges = new Int32Array(size * 2);
    // The node that is being added has no place yet.
    for (let node = 1; node < this.#nodes - 1; node++) {
      this.#edges[this.#slot(this.#parent[node] as number, this.#char[node] as number)] = node;
    }
  }
}
