import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP relay in front of a server that can be shut, as a network does it. */
export class Gate implements AsyncDisposable {
  readonly #sockets = new Set<Socket>();
  #state: "open" | "cut" | "frozen" = "open";
  readonly #server = createServer((near) => {
    if (this.#state === "cut") return void near.resetAndDestroy();
    const far = connect(this.port);
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.on("error", () => undefined).on("close", () => this.#sockets.delete(socket));
      if (this.#state === "frozen") socket.pause();
    }
    near.pipe(far).pipe(near);
  });

  constructor(readonly port: number) {}

  /** Listens on a free port and answers its URL. */
  async open(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Resets every connection and refuses new ones. */
  cut(): void {
    this.#state = "cut";
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Connections stay up and nothing passes. */
  freeze(): void {
    this.#state = "frozen";
    for (const socket of this.#sockets) {
      socket.unpipe();
      socket.pause();
    }
  }

  /** Lets new connections pass; frozen ones are reset, as a NAT that lost its table does. */
  restore(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
    this.#state = "open";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
