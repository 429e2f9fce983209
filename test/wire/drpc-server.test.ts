import { describe, expect, test } from "vitest";
import { TooBigError } from "../../src/kit/errors.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import type { Handler, ServerCall } from "../../src/wire/drpc/api.ts";
import { serveDrpc, serveStream } from "../../src/wire/drpc/server.ts";
import { memoryPair } from "../../src/wire/memory.ts";
import { flag } from "../../src/wire/yamux/frame.ts";
import { yamuxSession } from "../../src/wire/yamux/session.ts";
import { dataFrame, hex, TestPipe } from "../support/wire-pipes.ts";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A server with the test as its client, which has opened stream 1. */
function setUp(handler: Handler) {
  const pipe = new TestPipe();
  const session = yamuxSession(pipe, "server", { clock: new FakeClock() });
  const stop = new AbortController();
  const log: string[] = [];
  const find = (method: string) => (method === "/m" ? handler : undefined);
  const served = serveDrpc(session, find, { log: (text) => log.push(text) }, stop.signal);
  pipe.frame("windowUpdate", flag.syn, 1, 0);
  pipe.sent.length = 0;
  /** What the server has sent since the last call, one line of hex per message of the pipe. */
  const sent = async () => {
    for (let n = 0; n < 4; n++) await turn();
    return pipe.sent.splice(0).map((message) => Buffer.from(message).toString("hex"));
  };
  const call = (...bodies: string[]) => {
    for (const body of bodies) pipe.push(dataFrame(1, hex(body)));
  };
  const fin = () => pipe.frame("windowUpdate", flag.fin, 1, 0);
  return { pipe, session, stop, served, log, sent, call, fin };
}

const lines = (...texts: string[]) => texts.map((text) => Buffer.from(hex(text)).toString("hex"));
const body = (bytes: string) => `00 00 0000 00000001 ${hex(bytes).length.toString(16).padStart(8, "0")} ${bytes}`;
const finFrame = "00 01 0004 00000001 00000000";
const invoke = "03 01 01 02 2f6d";

/** Answers each message with itself. */
const echo: Handler = async (call) => {
  for await (const message of call.requests) await call.send(message);
  return "close-send";
};

/** Runs until it is canceled. */
function waiting() {
  const calls: ServerCall[] = [];
  const reasons: unknown[] = [];
  const handler: Handler = async (call) => {
    calls.push(call);
    await new Promise((_resolve, reject) => {
      call.signal.addEventListener("abort", () => {
        reasons.push(call.signal.reason);
        reject(call.signal.reason);
      });
    });
    return "close-send";
  };
  return { calls, reasons, handler };
}

describe("worked examples, server side", () => {
  test("01#72 01#75 A: the answer is Message 1, then CloseSend 2, each in a frame; FIN only after the client's", async () => {
    const { sent, call, fin, session } = setUp(async (rpc) => {
      for await (const _request of rpc.requests) break;
      await rpc.send(hex("0801"));
      return "close-send";
    });
    call(`${invoke} 05 01 02 01 78 0d 01 03 00`);
    expect(await sent()).toEqual(lines(body("05 01 01 02 0801"), body("0d 01 02 00")));
    call("0b 01 04 00");
    expect(await sent()).toEqual([]);
    fin();
    expect(await sent()).toEqual(lines(finFrame));
    expect(session.openStreams).toBe(0);
  });

  test("01#72 01#97 01#98 B: an acquire answers with exactly one message, then Close", async () => {
    const { sent, call, fin } = setUp(async (rpc) => {
      const cancel = await rpc.requests[Symbol.asyncIterator]().next();
      expect(cancel).toEqual({ done: false, value: hex("") });
      await rpc.send(new Uint8Array(0));
      return "close";
    });
    call(invoke);
    expect(await sent()).toEqual([]);
    call("05 01 02 00");
    expect(await sent()).toEqual(lines(body("05 01 01 00"), body("0b 01 02 00")));
    fin();
    expect(await sent()).toEqual(lines(finFrame));
  });

  test("01#72 D: Close without a message", async () => {
    const { sent, call } = setUp(async () => "close");
    call(invoke);
    expect(await sent()).toEqual(lines(body("0b 01 01 00")));
  });

  test("01#72 E: a thrown error is an Error packet with code 0 and its text", async () => {
    const { sent, call, fin } = setUp(async () => {
      throw new Error("job already completed");
    });
    call(`${invoke} 05 01 02 01 78 0d 01 03 00`);
    expect(await sent()).toEqual(
      lines(body("07 01 01 1d 0000000000000000 6a6f6220616c726561647920636f6d706c65746564")),
    );
    fin();
    expect(await sent()).toEqual(lines(finFrame));
  });

  test("01#72 01#91 an unknown method: Error code 0 with its quoted path", async () => {
    const { sent, call } = setUp(echo);
    const path = Buffer.from("/provisionerd.ProvisionerDaemon/Nope").toString("hex");
    const text = Buffer.from('protocol error: unknown rpc: "/provisionerd.ProvisionerDaemon/Nope"').toString("hex");
    call(`03 01 01 24 ${path}`);
    expect(await sent()).toEqual(lines(body(`07 01 01 4b 0000000000000000 ${text}`)));
  });
});

describe("serving", () => {
  test("01#80 01#87 Invoke and Message are served without CloseSend, in yamux frames of one byte", async () => {
    const { sent, call } = setUp(echo);
    for (const byte of hex(`${invoke} 04 01 02 01 61 05 01 02 01 62`)) call(byte.toString(16).padStart(2, "0"));
    expect(await sent()).toEqual(lines(body("05 01 01 02 6162")));
  });

  test("01#84 an empty message is delivered as a message", async () => {
    const { sent, call } = setUp(echo);
    call(`${invoke} 05 01 02 00 05 01 03 00 0d 01 04 00`);
    expect(await sent()).toEqual(lines(body("05 01 01 00"), body("05 01 02 00"), body("0d 01 03 00")));
  });

  test("01#86 FIN cancels the handler, with a message unread too, and is answered with FIN and nothing else", async () => {
    const { reasons, handler } = waiting();
    const { sent, call, fin, session } = setUp(handler);
    call(`${invoke} 05 01 02 01 78 05 01 03 01 78`);
    expect(await sent()).toEqual([]);
    fin();
    expect(await sent()).toEqual(lines(finFrame));
    expect(reasons).toMatchObject([{ name: "TransientError" }]);
    expect(session.openStreams).toBe(0);
  });

  test("01#86 RST and a lost session cancel the handler, without FIN", async () => {
    for (const how of ["RST", "lost"]) {
      const { reasons, handler } = waiting();
      const { pipe, sent, call, served } = setUp(handler);
      call(invoke);
      await sent();
      if (how === "RST") pipe.frame("windowUpdate", flag.rst, 1, 0);
      else pipe.lose(new Error("gone"));
      expect(await sent()).toEqual([]);
      expect(reasons).toHaveLength(1);
      if (how === "lost") await served;
    }
  });

  test("01#88 two calls one after the other on one stream, each with ids of its own", async () => {
    const { sent, call } = setUp(echo);
    call(`${invoke} 05 01 02 01 61 0d 01 03 00`);
    expect(await sent()).toEqual(lines(body("05 01 01 01 61"), body("0d 01 02 00")));
    call("03 02 01 02 2f6d 05 02 02 01 62 0d 02 03 00");
    expect(await sent()).toEqual(lines(body("05 02 01 01 62"), body("0d 02 02 00")));
  });

  test("01#88 a packet of a newer call cancels the running one", async () => {
    const { reasons, calls, handler } = waiting();
    const { sent, call } = setUp(handler);
    call(invoke, "03 02 01 02 2f6d");
    expect(await sent()).toEqual([]);
    expect([reasons.length, calls.length, calls[1]?.signal.aborted]).toEqual([1, 2, false]);
    await expect(calls[0]?.send(hex("00"))).rejects.toThrow("gone on to another call");
  });

  test("01#89 a soft cancel cancels the handler, sends nothing, and leaves the connection usable", async () => {
    const { reasons, calls, handler } = waiting();
    const { sent, call } = setUp(handler);
    call(invoke, "89 01 02 00");
    expect(await sent()).toEqual([]);
    expect(reasons).toMatchObject([{ message: 'call "/m": the caller has canceled it' }]);
    // A packet for the call that is over is ignored.
    call("05 01 03 00 03 02 01 02 2f6d");
    await sent();
    expect(calls).toHaveLength(2);
  });

  test("01#90 metadata before Invoke is accepted", async () => {
    const { sent, call } = setUp(echo);
    call("0f 01 01 08 0a 06 0a 01 61 12 01 62 03 01 02 02 2f6d 05 01 03 01 61");
    expect(await sent()).toEqual(lines(body("05 01 01 01 61")));
  });

  test.each([
    ["01#90 malformed metadata", "0f 01 01 02 0a 06"],
    ["01#90 metadata after Invoke", `${invoke} 0f 01 02 08 0a 06 0a 01 61 12 01 62`],
    ["01#83 a packet above 4 MiB", `${invoke} 05 01 02 81 80 80 02`],
    ["01#76 a repeated id", `${invoke} 05 01 02 00 05 01 02 00`],
    ["01#78 a kind change", `${invoke} 04 01 02 00 0d 01 02 00`],
    ["01#79 an unknown kind", `${invoke} 11 01 02 00`],
    ["01#73 a varint of 11 bytes", "03 80 80 80 80 80 80 80 80 80 80 01"],
    ["Invoke for a running call", `${invoke} 03 01 02 02 2f6d`],
    ["a message before Invoke", "05 01 01 00"],
  ])("%s closes the stream with FIN, without an Error, and keeps the session", async (_name, bytes) => {
    const { reasons, calls, handler } = waiting();
    const { pipe, sent, call, session, log } = setUp(async (rpc) => {
      void (async () => {
        for await (const _request of rpc.requests);
      })().catch(() => undefined);
      return handler(rpc);
    });
    call(bytes);
    expect(await sent()).toEqual(lines(finFrame));
    expect(reasons.length).toBe(calls.length);
    expect(log).toHaveLength(1);
    expect(pipe.ending).toBeUndefined();
    pipe.frame("windowUpdate", flag.fin, 1, 0);
    expect(session.openStreams).toBe(0);
  });

  test("01#79 an unknown kind with the control flag is ignored, before and after Invoke", async () => {
    const { sent, call } = setUp(echo);
    call("91 01 01 00 03 01 02 02 2f6d 91 01 03 01 61 05 01 04 01 61");
    expect(await sent()).toEqual(lines(body("05 01 01 01 61")));
  });

  test("Close of the client ends the requests and cancels", async () => {
    const seen: string[] = [];
    const { sent, call } = setUp(async (rpc) => {
      for await (const request of rpc.requests) seen.push(Buffer.from(request).toString());
      seen.push(rpc.signal.aborted ? "aborted" : "running");
      await expect(rpc.send(hex("00"))).rejects.toThrow("the call is over");
      seen.push("refused");
      return "close-send";
    });
    call(`${invoke} 05 01 02 01 61 0b 01 03 00`);
    expect(await sent()).toEqual([]);
    expect(seen).toEqual(["a", "aborted", "refused"]);
  });

  test("an Error of the client fails the requests", async () => {
    const seen: unknown[] = [];
    const { sent, call } = setUp(async (rpc) => {
      await rpc.requests[Symbol.asyncIterator]()
        .next()
        .catch((error) => seen.push(error));
      return "close-send";
    });
    call(`${invoke} 07 01 02 0a 0000000000000000 6e6f`);
    expect(await sent()).toEqual([]);
    expect(seen).toMatchObject([{ message: "no" }]);
  });

  test("a handler that reads nothing stops the client: no credit comes back for what lies unread", async () => {
    const { calls, handler } = waiting();
    const { pipe, sent, call } = setUp(handler);
    call(invoke);
    for (let n = 0; n < 7; n++) {
      pipe.push(dataFrame(1, Uint8Array.from([5, 1, 2 + n, 0x80, 0x80, 0x02, ...new Uint8Array(32_768)])));
    }
    expect(await sent()).toEqual([]);
    expect(calls).toHaveLength(1);
  });

  test("an answer above 4 MiB is refused locally", async () => {
    const errors: unknown[] = [];
    const { sent, call } = setUp(async (rpc) => {
      await rpc.send(new Uint8Array(4_194_305)).catch((error) => errors.push(error));
      return "close";
    });
    call(invoke);
    expect(await sent()).toEqual(lines(body("0b 01 01 00")));
    expect(errors).toMatchObject([expect.any(TooBigError)]);
  });

  test("aborting the server's signal cancels handlers, sends FIN, and resolves when they have settled", async () => {
    const { reasons, handler } = waiting();
    const { stop, served, sent, call } = setUp(handler);
    call(invoke);
    await sent();
    const reason = new Error("shutting down");
    stop.abort(reason);
    await served;
    expect(reasons).toEqual([reason]);
    expect(await sent()).toEqual(lines(finFrame));
  });

  test.each([false, true])(
    "a single stream that is not yamux is served as well (one byte at a time: %s)",
    async (oneByte) => {
      const [client, server] = memoryPair({ oneByte });
      const served = serveStream(server, () => echo, {}, new AbortController().signal);
      await client.write(hex(`${invoke} 05 01 02 01 61 0d 01 03 00`));
      const chunks: Uint8Array[] = [];
      for await (const chunk of client) {
        chunks.push(chunk);
        if (Buffer.concat(chunks).length === 9) break;
      }
      expect(Buffer.concat(chunks).toString("hex")).toBe("0501010161" + "0d010200");
      await client.end();
      await served;
    },
  );
});
