import { PeerError, RefusedError, TransientError } from "../../src/kit/errors.ts";
import type { Handler } from "../../src/wire/drpc/api.ts";
import { callOn } from "../../src/wire/drpc/client.ts";
import { encodePacket, packetKind } from "../../src/wire/drpc/packet.ts";
import { encodeError } from "../../src/wire/drpc/packet-data.ts";
import { serveStream } from "../../src/wire/drpc/server.ts";
import { encodeVarint } from "../../src/wire/drpc/varint.ts";
import { memoryPair } from "../../src/wire/memory.ts";
import { bytesOf, mutate, pick, recut, upTo } from "./random.ts";
import { settles } from "./settle.ts";

const never = new AbortController().signal;

/** Damaged packet sequences against a server's stream and a client's call. */
export const drpcFuzz = {
  name: "drpc",
  async run(random: () => number, count: number): Promise<void> {
    for (let n = 0; n < count; n++) await (upTo(random, 2) === 0 ? fuzzServer(random) : fuzzClient(random));
  },
};

async function fuzzServer(random: () => number): Promise<void> {
  const [client, server] = memoryPair({ oneByte: upTo(random, 4) === 0 });
  let running = 0;
  const handler =
    (behave: Handler): Handler =>
    async (call) => {
      running++;
      try {
        return await behave(call);
      } finally {
        running--;
      }
    };
  const find = (method: string) => (method === "/m" ? handler(pick(random, behaviours)) : undefined);
  const served = serveStream(server, find, {}, never);
  const draining = drain(client);
  for (const piece of recut(random, mutate(random, clientPackets(random)))) {
    // The server may have left after a violation.
    await client.write(piece).catch(() => undefined);
  }
  if (upTo(random, 2) === 0) await client.end();
  else client.abort(new Error("gone"));
  await settles("the served stream", Promise.all([served, draining]));
  if (running > 0) throw new Error(`${running} handlers are left`);
}

const behaviours: Handler[] = [
  async (call) => {
    for await (const message of call.requests) await call.send(message);
    return "close-send";
  },
  async () => "close",
  async () => {
    throw new Error("no");
  },
  (call) => new Promise((_resolve, reject) => call.signal.addEventListener("abort", () => reject(call.signal.reason))),
  async (call) => {
    for await (const _message of call.requests) break;
    await call.send(new Uint8Array(10));
    return "close";
  },
];

async function fuzzClient(random: () => number): Promise<void> {
  const [ours, theirs] = memoryPair({ oneByte: upTo(random, 4) === 0 });
  const draining = drain(theirs);
  const call = callOn(ours, "/m", never);
  const using = (async () => {
    try {
      if (upTo(random, 2) === 0) await call.send(bytesOf(random, upTo(random, 20)));
      if (upTo(random, 2) === 0) await call.closeSend();
      while (await call.receive(never)) if (upTo(random, 6) === 0) break;
    } catch (error) {
      const sorted = error instanceof PeerError || error instanceof RefusedError || error instanceof TransientError;
      if (!sorted && !/disposed|ended here|closed here/.test(String(error))) throw error;
    } finally {
      await call[Symbol.asyncDispose]();
    }
  })();
  for (const piece of recut(random, mutate(random, packets(random, 1 + upTo(random, 6)))))
    await theirs.write(piece).catch(() => undefined);
  await theirs.end();
  await settles("the call", Promise.all([using, draining]));
  await using;
}

async function drain(stream: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    for await (const _chunk of stream);
  } catch {
    // An end as good as any.
  }
}

function clientPackets(random: () => number): Uint8Array[] {
  const method = Buffer.from(pick(random, ["/m", "/m", "/m", "/nope", ""]));
  const metadata = pick(random, ["", "0a060a0161120162", "0a06"]);
  const first =
    upTo(random, 4) === 0 ? encodePacket(packet(packetKind.invokeMetadata, 1n, 1n, Buffer.from(metadata, "hex"))) : [];
  return [
    ...first,
    ...encodePacket(packet(packetKind.invoke, 1n, 2n, method)),
    ...packets(random, upTo(random, 6), 2n),
  ];
}

function packets(random: () => number, count: number, after = 0n): Uint8Array[] {
  let [stream, message] = [1n, after];
  const list: Uint8Array[] = [];
  for (let n = 0; n < count; n++) {
    message += BigInt(1 + upTo(random, 2));
    if (upTo(random, 12) === 0) [stream, message] = [stream + 1n, 1n];
    const kind = pick(random, [2, 2, 2, 2, 1, 3, 4, 5, 6, 7, 0, 9, 63]);
    const data =
      kind === packetKind.error
        ? encodeError(0n, "no")
        : kind === 1
          ? Buffer.from("/m")
          : bytesOf(random, upTo(random, 40));
    if (upTo(random, 15) === 0) list.push(hugeHeader(random, stream, message));
    else list.push(...encodePacket({ ...packet(kind, stream, message, data), control: upTo(random, 3) === 0 }));
  }
  return list;
}

const packet = (kind: number, stream: bigint, message: bigint, data: Uint8Array) => ({
  kind,
  control: false,
  stream,
  message,
  data,
});

/** A frame that promises much: nothing may be set aside for it. */
function hugeHeader(random: () => number, stream: bigint, message: bigint): Uint8Array {
  const length = pick(random, [4_194_304n, 4_194_305n, 2n ** 32n, 2n ** 64n - 1n]);
  return Uint8Array.from([
    pick(random, [4, 5]),
    ...encodeVarint(stream),
    ...encodeVarint(message),
    ...encodeVarint(length),
  ]);
}
