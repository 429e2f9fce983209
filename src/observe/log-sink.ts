import { closeSync, fstatSync, openSync, renameSync, writeSync } from "node:fs";

/** A log file is set aside when it has grown to this size, once: with the old one it takes twice as much (spec/02 §6.1). */
const maxFileBytes = 5 * 1024 * 1024;

/** A stream of the process, as far as a log needs it. */
export interface LogStream {
  write(text: string): unknown;
  isTTY?: boolean;
  on(event: "error", listener: (error: Error) => void): unknown;
}

export interface Streams {
  stdout: LogStream;
  stderr: LogStream;
}

/** Takes whole lines; never throws, for no job may fail for a log. */
export interface Sink {
  write(line: string): void;
  readonly terminal: boolean;
  /** Lines that did not get there. */
  readonly dropped: number;
  close(): Promise<void>;
}

/** What a log setting names (spec/02 §6.1); undefined for nowhere. Throws where a file can't be opened. */
export function openSink(path: string, { stdout, stderr }: Streams): Sink | undefined {
  if (path === "" || path === "/dev/null") return undefined;
  if (path === "/dev/stdout") return streamSink(stdout);
  if (path === "/dev/stderr") return streamSink(stderr);
  return new FileSink(path);
}

function streamSink(stream: LogStream): Sink {
  let dropped = 0;
  // A reader that went away must not end the agent, and its jobs with it.
  stream.on("error", () => {
    dropped++;
  });
  return {
    write: (line) => void stream.write(`${line}\n`),
    terminal: stream.isTTY === true,
    get dropped() {
      return dropped;
    },
    close: () => new Promise((resolve) => setImmediate(resolve)),
  };
}

/** A file of the agent's user alone. Lines are written at once: the last ones before a crash are those that matter. */
class FileSink implements Sink {
  readonly terminal = false;
  #file: number | undefined;
  #bytes = 0;
  #dropped = 0;

  constructor(readonly path: string) {
    this.#open();
  }

  get dropped(): number {
    return this.#dropped;
  }

  write(line: string): void {
    const bytes = Buffer.from(`${line}\n`);
    try {
      if (this.#bytes > 0 && this.#bytes + bytes.length > maxFileBytes) this.#rotate();
      const file = this.#file ?? this.#open();
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
      this.#bytes += bytes.length;
    } catch {
      this.#dropped++;
    }
  }

  async close(): Promise<void> {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  #open(): number {
    const file = openSync(this.path, "a", 0o600);
    this.#file = file;
    this.#bytes = fstatSync(file).size;
    return file;
  }

  /** The file becomes `<path>.1`, in place of the one before. */
  #rotate(): void {
    const file = this.#file;
    this.#file = undefined;
    this.#bytes = 0;
    if (file !== undefined) closeSync(file);
    renameSync(this.path, `${this.path}.1`);
  }
}
