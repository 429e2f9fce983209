import { createServer, type IncomingMessage } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";

export interface TestProxy extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`, with the credentials that it wants. */
  url: string;
  /** Targets of CONNECT requests as they came, in order. */
  connects: string[];
  /** Sockets that are open, both ways. */
  readonly open: number;
  /** Resolves when `fact` holds; it is looked at whenever a request comes or a socket closes. */
  until(fact: () => boolean): Promise<void>;
  /** Plain requests (no CONNECT) that came, by their URL. */
  plain: string[];
}

export interface TestProxyOptions {
  /** Names that only this proxy can resolve, each to a port of 127.0.0.1. */
  hosts?: Record<string, number>;
  user?: string;
  password?: string;
  /** Answers every CONNECT with this status instead of a tunnel. */
  refuseWith?: number;
  /** Takes CONNECT requests and never answers. */
  hang?: boolean;
}

/** A real CONNECT proxy on loopback. */
export async function startProxy(options: TestProxyOptions = {}): Promise<TestProxy> {
  const connects: string[] = [];
  const plain: string[] = [];
  const sockets = new Set<Socket>();
  const watchers = new Set<() => void>();
  const changed = () => {
    for (const look of [...watchers]) look();
  };
  const track = (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => {
      sockets.delete(socket);
      changed();
    });
  };
  const server = createServer((request, response) => {
    plain.push(request.url ?? "");
    response.writeHead(501).end();
  });
  const wanted = options.user === undefined ? undefined : `Basic ${btoa(`${options.user}:${options.password ?? ""}`)}`;
  server.on("connection", (socket: Socket) => track(socket));
  server.on("connect", (request: IncomingMessage, client: Socket) => {
    client.on("error", () => undefined);
    const target = request.url ?? "";
    connects.push(target);
    changed();
    if (options.hang) {
      client.once("end", () => client.destroy()).resume();
      return;
    }
    if (options.refuseWith) return void client.end(`HTTP/1.1 ${options.refuseWith} No\r\nContent-Length: 0\r\n\r\n`);
    if (wanted && request.headers["proxy-authorization"] !== wanted) {
      return void client.end("HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n");
    }
    const [host = "", port = ""] = target.split(/:(?=\d+$)/);
    const known = options.hosts?.[host];
    const upstream = known ? connect(known, "127.0.0.1") : connect(Number(port), host);
    track(upstream);
    upstream.on("error", () => client.destroy());
    upstream.once("connect", () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      client.pipe(upstream).pipe(client);
    });
    client.once("close", () => upstream.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const credentials =
    options.user === undefined
      ? ""
      : `${encodeURIComponent(options.user)}:${encodeURIComponent(options.password ?? "")}@`;
  return {
    url: `http://${credentials}127.0.0.1:${port}`,
    connects,
    plain,
    get open() {
      return sockets.size;
    },
    until: (fact) =>
      new Promise((resolve) => {
        const look = () => {
          if (!fact()) return;
          watchers.delete(look);
          resolve();
        };
        watchers.add(look);
        look();
      }),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
