import { expect, test } from "vitest";
import { systemClock } from "../../src/kit/clock.ts";
import type { Handler } from "../../src/wire/drpc/api.ts";
import { drpcClient } from "../../src/wire/drpc/client.ts";
import { serveDrpc } from "../../src/wire/drpc/server.ts";
import { webSocketMux } from "../../src/wire/websocket.ts";
import { dial, socketServer } from "../support/wire-sockets.ts";

const MiB = 1_048_576;

test("a 256 MiB stream stops with its reader, and memory stays where it is", async () => {
  const never = new AbortController().signal;
  const piece = Buffer.alloc(MiB, 1);
  let sent = 0;
  const source: Handler = async (call) => {
    for (let n = 0; n < 256; n++) {
      await call.send(piece);
      sent++;
    }
    return "close-send";
  };
  let serving: Promise<void> = Promise.resolve();
  const server = await socketServer((socket) => {
    serving = serveDrpc(webSocketMux(socket, "server", { clock: systemClock }), () => source, {}, never);
  });
  const session = await dial(server.url, (socket) => webSocketMux(socket, "client", { clock: systemClock }));
  const call = await drpcClient(session).call("/m", never);
  let received = 0;
  while (received < 32) received += (await call.receive(never)) ? 1 : 0;

  // The reader stops. The writer must stop too: it is seen to stand still for many turns of the event loop.
  const before = process.memoryUsage().rss;
  let still = 0;
  for (let last = sent; still < 2000; still = sent === last ? still + 1 : 0) {
    last = sent;
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(sent - received).toBeLessThanOrEqual(2);
  const stopped = process.memoryUsage().rss;

  let highest = stopped;
  for (let message = await call.receive(never); message; message = await call.receive(never)) {
    received++;
    highest = Math.max(highest, process.memoryUsage().rss);
  }
  expect([sent, received]).toEqual([256, 256]);
  const growth = (to: number) => `${Math.round((to - before) / MiB)} MiB`;
  console.log(`RSS growth while the reader stood still: ${growth(stopped)}; at most until the end: ${growth(highest)}`);
  expect(stopped - before).toBeLessThan(64 * MiB);
  await call[Symbol.asyncDispose]();
  await session.close();
  await serving;
  await server[Symbol.asyncDispose]();
});
