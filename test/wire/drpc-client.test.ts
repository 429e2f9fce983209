import { describe, expect, test } from "vitest";
import { PeerError, RefusedError, TooBigError, TransientError } from "../../src/kit/errors.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import { drpcClient } from "../../src/wire/drpc/client.ts";
import { flag, frameType } from "../../src/wire/yamux/frame.ts";
import { yamuxSession } from "../../src/wire/yamux/session.ts";
import { dataFrame, frame, hex, TestPipe } from "../support/wire-pipes.ts";

const never = new AbortController().signal;
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

const updateJob = "/provisionerd.ProvisionerDaemon/UpdateJob";
const failJob = "/provisionerd.ProvisionerDaemon/FailJob";
const acquire = "/provisionerd.ProvisionerDaemon/AcquireJobWithCancel";
const download = "/provisionerd.ProvisionerDaemon/DownloadFile";

/** A client with the test as its server. */
function setUp() {
  const pipe = new TestPipe();
  const session = yamuxSession(pipe, "client", { clock: new FakeClock() });
  const rpc = drpcClient(session);
  /** What the client has sent since the last call, one line of hex per message of the pipe. */
  const sent = () => pipe.sent.splice(0).map((message) => Buffer.from(message).toString("hex"));
  /** The server answers with Data frames on stream 1. */
  const answer = (...bodies: string[]) => {
    for (const body of bodies) pipe.push(dataFrame(1, hex(body)));
  };
  return { pipe, session, rpc, sent, answer };
}

const lines = (...texts: string[]) => texts.map((text) => Buffer.from(hex(text)).toString("hex"));
const synFrame = "00 01 0001 00000001 00000000";
const ackFrame = hex("00 01 0002 00000001 00000000");
const finFrame = "00 01 0004 00000001 00000000";
const closeFrame = (message: string) => `00 00 0000 00000001 00000004 0b 01 ${message} 00`;

describe("worked examples", () => {
  const updateRequest = hex(
    "0a2435663066306135322d396133632d346135652d386633622d306436663266316337653130121c080110021880d0dfb4ab332208506c616e6e696e672a0568656c6c6f",
  );

  test("01#72 01#74 01#85 A: a unary call", async () => {
    const { pipe, rpc, sent, answer, session } = setUp();
    const call = rpc.unary(updateJob, updateRequest, never);
    await turn();
    expect(sent()).toEqual(
      lines(
        synFrame,
        `00 00 0000 00000001 00000079
         03 01 01 29 2f70726f766973696f6e6572642e50726f766973696f6e65724461656d6f6e2f5570646174654a6f62
         05 01 02 44 0a2435663066306135322d396133632d346135652d386633622d306436663266316337653130121c080110021880d0dfb4ab332208506c616e6e696e672a0568656c6c6f
         0d 01 03 00`,
      ),
    );
    pipe.push(ackFrame);
    await turn();
    expect(sent()).toEqual([]);
    answer("05 01 01 02 0801", "0d 01 02 00");
    expect(Buffer.from(await call).toString("hex")).toBe("0801");
    expect(sent()).toEqual(lines(closeFrame("04"), finFrame));
    pipe.push(hex(finFrame));
    expect(session.openStreams).toBe(0);
  });

  test("A: Close is left out where the server's CloseSend came with the answer", async () => {
    const { rpc, sent, answer } = setUp();
    const call = rpc.unary(updateJob, updateRequest, never);
    await turn();
    sent();
    answer("05 01 01 02 0801 0d 01 02 00");
    await call;
    expect(sent()).toEqual(lines(finFrame));
  });

  test("01#72 01#94 B: an acquire sends Invoke and nothing more; CancelAcquire is a message; the answer is read", async () => {
    const { pipe, rpc, sent, answer } = setUp();
    const call = await rpc.call(acquire, never);
    await turn();
    expect(sent()).toEqual(lines(synFrame));
    const received = call.receive(never);
    await turn();
    expect(sent()).toEqual(
      lines(
        `00 00 0000 00000001 00000038 03 01 01 34
         2f70726f766973696f6e6572642e50726f766973696f6e65724461656d6f6e2f416371756972654a6f625769746843616e63656c`,
      ),
    );
    pipe.push(ackFrame);
    for (let n = 0; n < 3; n++) await turn();
    expect(sent()).toEqual([]);
    await call.send(new Uint8Array(0));
    expect(sent()).toEqual(lines("00 00 0000 00000001 00000004 05 01 02 00"));
    answer("05 01 01 00");
    expect(await received).toEqual(hex(""));
    answer("0b 01 02 00");
    expect(await call.receive(never)).toBeUndefined();
    await call[Symbol.asyncDispose]();
    expect(sent()).toEqual(lines(finFrame));
  });

  test("01#72 C: a job is delivered", async () => {
    const { rpc, sent, answer } = setUp();
    const call = await rpc.call(acquire, never);
    const received = call.receive(never);
    await turn();
    sent();
    const job = "0a024a311080d0dfb4ab331a097465727261666f726d2203616e612a037461723a0d0a0b0a0968747470733a2f2f63";
    answer(`05 01 01 2f ${job}`, "0b 01 02 00");
    expect(Buffer.from((await received) ?? []).toString("hex")).toBe(job);
    expect(await call.receive(never)).toBeUndefined();
    await call[Symbol.asyncDispose]();
    expect(sent()).toEqual(lines(finFrame));
  });

  test("01#72 01#96 D: Close without a message is the end of the answer, not an error", async () => {
    const { rpc, answer } = setUp();
    const call = await rpc.call(acquire, never);
    const received = call.receive(never);
    answer("0b 01 01 00");
    expect(await received).toBeUndefined();
  });

  test("01#72 01#92 E: an Error reply is a refusal with the server's text", async () => {
    const { rpc, sent, answer } = setUp();
    const request = hex("0a2435663066306135322d396133632d346135652d386633622d306436663266316337653130 1204626f6f6d");
    const call = rpc.unary(failJob, request, never);
    call.catch(() => undefined);
    await turn();
    expect(sent()[1]).toBe(
      lines(
        `00 00 0000 00000001 0000005f
         03 01 01 27 2f70726f766973696f6e6572642e50726f766973696f6e65724461656d6f6e2f4661696c4a6f62
         05 01 02 2c 0a2435663066306135322d396133632d346135652d386633622d306436663266316337653130 1204626f6f6d
         0d 01 03 00`,
      )[0],
    );
    answer("07 01 01 1d 0000000000000000 6a6f6220616c726561647920636f6d706c65746564");
    await expect(call).rejects.toMatchObject({ message: "job already completed", rpcCode: 0n });
    await expect(call).rejects.toBeInstanceOf(RefusedError);
    expect(sent()).toEqual(lines(finFrame));
  });

  test("01#72 F: a download: request, CloseSend, messages until CloseSend", async () => {
    const { rpc, sent, answer } = setUp();
    const request = "0a2430623765346430652d336135352d346338612d396135352d3761326635623964366331311001";
    const call = await rpc.call(download, never);
    await call.send(hex(request));
    await call.closeSend();
    expect(sent()).toEqual(
      lines(
        synFrame,
        `00 00 0000 00000001 0000005c
         03 01 01 2c 2f70726f766973696f6e6572642e50726f766973696f6e65724461656d6f6e2f446f776e6c6f616446696c65
         05 01 02 28 ${request}`,
        "00 00 0000 00000001 00000004 0d 01 03 00",
      ),
    );
    const first = "0a28080112202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b982418052001";
    const second = "12290a0568656c6c6f12202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    answer(`05 01 01 2a ${first}`, `05 01 02 2b ${second}`, "0d 01 03 00");
    expect(Buffer.from((await call.receive(never)) ?? []).toString("hex")).toBe(first);
    expect(Buffer.from((await call.receive(never)) ?? []).toString("hex")).toBe(second);
    expect(await call.receive(never)).toBeUndefined();
    await call[Symbol.asyncDispose]();
    expect(sent()).toEqual(lines(finFrame));
  });

  test("01#72 01#81 G: a message of 400000 bytes, window by window", async () => {
    const { pipe, rpc } = setUp();
    const call = rpc.unary("/provisionerd.ProvisionerDaemon/CompleteJob".slice(0, 41), new Uint8Array(400_000), never);
    call.catch(() => undefined);
    await turn();
    pipe.push(hex("00 01 0002 00000001 00000000"));
    expect(pipe.take().map(({ length }) => length)).toEqual([0, 65_536, 65_536, 65_536, 65_536]);
    pipe.frame("windowUpdate", 0, 1, 192_563);
    await turn();
    const bodies = [...pipe.sent.slice(1)].map((message) => message.subarray(12));
    const bytes = Buffer.concat(bodies);
    const frames = [
      ...Array(6).fill("040102808004".padEnd(12 + 131_072, "0")),
      "0501028035".padEnd(10 + 13_568, "0"),
      "0d010300",
    ];
    expect(bytes.toString("hex", 45)).toBe(frames.join(""));
  });
});

describe("calls", () => {
  test("01#80 an answer in yamux frames of one byte is put together; an empty message is a message (01#84)", async () => {
    const { rpc, answer } = setUp();
    const call = rpc.unary(updateJob, hex(""), never);
    await turn();
    for (const byte of hex("05 01 01 02 0801 0d 01 02 00")) answer(byte.toString(16).padStart(2, "0"));
    expect(Buffer.from(await call)).toEqual(Buffer.from([8, 1]));
    const empty = setUp();
    const second = empty.rpc.unary(updateJob, hex(""), never);
    empty.answer("05 01 01 00");
    expect((await second).length).toBe(0);
  });

  test("01#82 4194305 bytes are refused locally, before a stream is opened; 4194304 go out", async () => {
    const { rpc, pipe } = setUp();
    await expect(rpc.unary(updateJob, new Uint8Array(4_194_305), never)).rejects.toBeInstanceOf(TooBigError);
    expect(pipe.sent).toEqual([]);
    const call = await rpc.call(updateJob, never);
    await expect(call.send(new Uint8Array(4_194_305))).rejects.toMatchObject({ bytes: 4_194_305, maxBytes: 4_194_304 });
    pipe.take();
    pipe.frame("windowUpdate", 0, 1, 8_000_000);
    await call.send(new Uint8Array(4_194_304));
    const bytes = pipe.take().reduce((sum, { length }) => sum + length, 0);
    expect(bytes).toBe(45 + 4_194_304 + 64 * 6);
  });

  test("01#83 01#76 01#78 01#79 a violation by the server gets FIN and nothing else, on that stream only", async () => {
    const violations = [
      "05 01 01 81 80 80 02", // above 4 MiB
      "05 01 02 00 05 01 02 00", // an id again
      "04 01 01 00 07 01 01 00", // a kind change
      "11 01 01 00", // an unknown kind
      "05 80 80 80 80 80 80 80 80 80 80 01", // a bad varint
      "05 02 01 00", // another stream id
      "03 01 01 01 61", // a server does not call
    ];
    for (const violation of violations) {
      const { pipe, rpc, sent, answer, session } = setUp();
      const call = await rpc.call(updateJob, never);
      const receiving = (async () => {
        while (await call.receive(never));
      })();
      receiving.catch(() => undefined);
      await turn();
      sent();
      answer(violation);
      await expect(receiving, violation).rejects.toBeInstanceOf(PeerError);
      expect(sent(), violation).toEqual(lines(finFrame));
      expect([pipe.ending, session.openStreams]).toEqual([undefined, 1]);
      await call[Symbol.asyncDispose]();
      expect(sent()).toEqual([]);
    }
  });

  test("01#79 an unknown kind with the control flag is ignored", async () => {
    const { rpc, answer } = setUp();
    const call = rpc.unary(updateJob, hex(""), never);
    answer("91 01 01 01 61 05 01 02 00");
    expect((await call).length).toBe(0);
  });

  test.each([
    ["Close", "0b 01 01 00"],
    ["CloseSend", "0d 01 01 00"],
    ["Cancel", "89 01 01 00"],
    ["FIN", undefined],
    ["RST", undefined],
    ["a lost session", undefined],
  ])("01#93 %s without a response is a transport error: to be tried again", async (name, bytes) => {
    const { pipe, rpc, answer } = setUp();
    const call = rpc.unary(updateJob, hex(""), never);
    call.catch(() => undefined);
    await turn();
    if (bytes) answer(bytes);
    if (name === "FIN") pipe.frame("windowUpdate", flag.fin, 1, 0);
    if (name === "RST") pipe.frame("windowUpdate", flag.rst, 1, 0);
    if (name === "a lost session") pipe.lose(new TransientError("connection lost"));
    await expect(call).rejects.toBeInstanceOf(TransientError);
  });

  test("01#93 a violation on the session is a lost connection for its calls", async () => {
    const { pipe, rpc } = setUp();
    const call = rpc.unary(updateJob, hex(""), never);
    call.catch(() => undefined);
    await turn();
    pipe.push(hex("01 00 0000 00000000 00000000"));
    await expect(call).rejects.toBeInstanceOf(TransientError);
  });

  test("an answer that is whole counts, though the connection is lost right behind it", async () => {
    const { pipe, rpc, answer } = setUp();
    const call = rpc.unary(updateJob, hex(""), never);
    await turn();
    answer("05 01 01 01 78");
    pipe.lose(new TransientError("connection lost"));
    expect(Buffer.from(await call).toString()).toBe("x");
  });

  test("an Error that comes while the request still waits for credit ends the call at once", async () => {
    const { rpc, sent, answer } = setUp();
    const call = rpc.unary(updateJob, new Uint8Array(1_000_000), never);
    call.catch(() => undefined);
    await turn();
    sent();
    answer("07 01 01 0a 000000000000000c 6e6f");
    await expect(call).rejects.toMatchObject({ message: "no", rpcCode: 12n });
    expect(sent()).toEqual(lines(finFrame));
  });

  test("aborting is plain FIN", async () => {
    const { rpc, sent } = setUp();
    const stop = new AbortController();
    const call = await rpc.call(acquire, stop.signal);
    const received = call.receive(never);
    received.catch(() => undefined);
    await turn();
    sent();
    stop.abort(new Error("stop"));
    await expect(received).rejects.toThrow("stop");
    expect(sent()).toEqual(lines(finFrame));
    await call[Symbol.asyncDispose]();
    await expect(call.send(hex(""))).rejects.toThrow("stop");
    expect(sent()).toEqual([]);
  });

  test("a receive that was given up loses no message", async () => {
    const { rpc, answer } = setUp();
    const call = await rpc.call(acquire, never);
    const impatient = new AbortController();
    const first = call.receive(impatient.signal);
    impatient.abort(new Error("later"));
    await expect(first).rejects.toThrow("later");
    answer("05 01 01 01 61");
    expect(Buffer.from((await call.receive(never)) ?? []).toString()).toBe("a");
  });

  test("after CloseSend of the server a late Error is still seen, as long as we have not closed", async () => {
    const { rpc, answer } = setUp();
    const call = await rpc.call("/provisionerd.ProvisionerDaemon/UploadFile", never);
    await call.send(hex("00"));
    answer("05 01 01 00", "0d 01 02 00");
    expect((await call.receive(never))?.length).toBe(0);
    expect(await call.receive(never)).toBeUndefined();
    const late = call.receive(never);
    late.catch(() => undefined);
    answer("07 01 03 0b 0000000000000000 626164");
    await expect(late).rejects.toMatchObject({ message: "bad" });
  });

  test("a call that is disposed before it began sends nothing but FIN", async () => {
    const { rpc, sent } = setUp();
    const call = await rpc.call(acquire, never);
    sent();
    await call[Symbol.asyncDispose]();
    expect(sent()).toEqual(lines(finFrame));
  });

  test("01#117 what arrives after our FIN is dropped", async () => {
    const { pipe, rpc, session, answer } = setUp();
    const call = await rpc.call(download, never);
    await call.send(hex("00"));
    await call[Symbol.asyncDispose]();
    answer("05 01 01 01 61", "05 01 02 01 62");
    pipe.push(frame("windowUpdate", flag.fin, 1, 0));
    expect([pipe.ending, session.openStreams]).toEqual([undefined, 0]);
    expect(pipe.take().filter(({ type }) => type === frameType.goAway)).toEqual([]);
  });
});
