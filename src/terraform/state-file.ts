import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { type StateHead, scanState } from "../kit/state-scan.ts";

/** A whole state that is one: its bytes, never touched, and what its top level says. */
export interface State {
  bytes: Uint8Array;
  head: StateHead;
}

export type StateReading =
  | { kind: "state"; state: State }
  | { kind: "missing" }
  /** There is a file, but it is no state now: empty, cut, too big, a link, no regular file, not readable. */
  | { kind: "unusable"; why: string; bytes: number };

/**
 * Reads a state file of the job without trusting it: no link is followed, nothing that could block is waited for, only
 * a regular file with one name and of limited size is read. Never throws for what the job did.
 */
export async function readState(path: string, maxBytes: number): Promise<StateReading> {
  const contents = await readPrivateFile(path, maxBytes);
  if (contents.kind !== "file") return contents;
  const { bytes } = contents;
  const head = scanState(bytes);
  if (head) return { kind: "state", state: { bytes, head } };
  return {
    kind: "unusable",
    why: bytes.length === 0 ? "the file is empty" : "it is no whole state",
    bytes: bytes.length,
  };
}

/** The state in a file that a job left, or undefined: what the agent asks for once the job's processes are gone. */
export async function readStateFile(path: string, maxBytes = 60 * 1024 * 1024): Promise<Uint8Array | undefined> {
  const reading = await readState(path, maxBytes);
  return reading.kind === "state" ? reading.state.bytes : undefined;
}

export type FileReading = Exclude<StateReading, { kind: "state" }> | { kind: "file"; bytes: Uint8Array };

/** The bytes of a file in a folder that a job can write to, by the rules of `readState`. */
export async function readPrivateFile(path: string, maxBytes: number): Promise<FileReading> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const facts = await file.stat();
    const { size } = facts;
    if (!facts.isFile()) return { kind: "unusable", why: "it is no regular file", bytes: 0 };
    if (facts.nlink !== 1) return { kind: "unusable", why: `it has ${facts.nlink} names`, bytes: size };
    if (size > maxBytes) return { kind: "unusable", why: `${size} bytes: at most ${maxBytes} are read`, bytes: size };
    return { kind: "file", bytes: await readUpTo(file, size) };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return { kind: "missing" };
    return { kind: "unusable", why: code === "ELOOP" ? "it is a link" : message, bytes: 0 };
  } finally {
    await file?.close();
  }
}

/** The file's first `size` bytes, or fewer where it shrank meanwhile. */
async function readUpTo(file: FileHandle, size: number): Promise<Uint8Array> {
  const bytes = Buffer.alloc(size);
  let at = 0;
  while (at < size) {
    const { bytesRead } = await file.read(bytes, at, size - at, at);
    if (bytesRead === 0) break;
    at += bytesRead;
  }
  return bytes.subarray(0, at);
}
