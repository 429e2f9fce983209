/**
 * Bounds on documents that a template's author controls, each far above what Terraform itself survives. Memory of one
 * conversion stays below 3 × the document (bytes, and the strings kept out of it) + 250 bytes × `jsonValues`.
 */
export const limits = {
  /** Bytes of one plan or state. A file travels up to 100 MiB (spec/01 §4.15); the rest is room for the engine's padding. */
  documentBytes: 128 * 1024 * 1024,
  /** Kept JSON values of one document: resources (6 each) and the attributes that the tables need. An empty object takes
   *  250 bytes of memory and 3 of text, so the size of the document bounds nothing. */
  jsonValues: 1_000_000,
  /** Nested brackets; 10,000 nested modules take 20,001. One small integer of memory each. */
  jsonDepth: 65_536,
  /** Characters of one DOT text: a graph of 100,000 resources has about 40 MB. */
  dotChars: 64 * 1024 * 1024,
  dotNodes: 500_000,
  dotEdges: 2_000_000,
  /** Nested subgraphs; Terraform prints one. */
  dotDepth: 65_536,
  /** Bytes of agents and metadata that are repeated for the further instances of counted resources: a few bytes of input
   *  multiply here, and an answer above 4 MiB does not reach the server anyway (spec/01 §4.5). */
  repeatedBytes: 64 * 1024 * 1024,
  /** Devcontainers over all agents: agents that share an id multiply them. */
  devcontainers: 100_000,
  /** Characters of an address that is parsed for its module path. */
  addressChars: 65_536,
  /** Characters of an error or a note: they quote names out of the document, and travel. */
  messageChars: 16_384,
  /** Characters of one value in the replacement log; the server stores 1,024 of a line (spec/02 §3.3). */
  logValueChars: 4_096,
  /** Lines of the replacement log; the server keeps 1 MiB of a job's log (spec/02 §3.3). */
  logLines: 5_000,
} as const;
