import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { WebSocket, WebSocketServer } from "ws";
import { webSocketClientOptions, webSocketServerOptions } from "../../src/wire/websocket.ts";

interface SocketServer extends AsyncDisposable {
  url: string;
  /** TCP connections that are open. */
  sockets: Set<Socket>;
}

/** A real WebSocket server on loopback. `onSocket` runs in the turn in which a socket opens. */
export async function socketServer(onSocket: (socket: WebSocket, tcp: Socket) => void): Promise<SocketServer> {
  const http = createServer();
  const webSockets = new WebSocketServer(webSocketServerOptions);
  const sockets = new Set<Socket>();
  http.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  http.on("upgrade", (request, socket, head) => {
    webSockets.handleUpgrade(request, socket, head, (opened) => onSocket(opened, socket as Socket));
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  return {
    url: `ws://127.0.0.1:${(http.address() as AddressInfo).port}/`,
    sockets,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      http.close();
      await once(http, "close");
    },
  };
}

/** Dials and hands the socket over in the turn in which it opens. */
export async function dial<T>(url: string, onOpen: (socket: WebSocket) => T): Promise<T> {
  const socket = new WebSocket(url, webSocketClientOptions);
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("open", () => {
      socket.off("error", reject);
      resolve(onOpen(socket));
    });
  });
}
