import { createHash } from "node:crypto";
import { mkdir, readdir, stat, utimes, writeFile } from "node:fs/promises";
import * as http from "node:http";
import * as https from "node:https";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import forge from "node-forge";
import { expect, test } from "vitest";
import { cachedEngine } from "../../src/engine/download.ts";
import { type FindEngineOptions, findEngine } from "../../src/engine/find.ts";
import { takeFileLock, takeLock } from "../../src/engine/lock.ts";
import { systemClock } from "../../src/kit/clock.ts";
import { exitCode, OperatorError } from "../../src/kit/errors.ts";
import { FakeClock } from "../../src/kit/fake-clock.ts";
import { fakeEngine, temporaryFolder, versionJson, zipOf } from "./fake.ts";

const never = new AbortController().signal;
const zip = zipOf({ "LICENSE.txt": "words", terraform: fakeEngine(versionJson("1.11.4")) });
const pins = { version: "1.11.4", zips: { test_cpu: createHash("sha256").update(zip).digest("hex") } };
const path = "/terraform/1.11.4/terraform_1.11.4_test_cpu.zip";

type Handler = (request: http.IncomingMessage, response: http.ServerResponse) => void;

/** A mirror on loopback: its address, and the requests it got. */
async function mirror(handler: Handler, tls?: https.ServerOptions) {
  const requests: string[] = [];
  const onRequest: Handler = (request, response) => {
    requests.push(request.url ?? "");
    handler(request, response);
  };
  const server = tls ? https.createServer(tls, onRequest) : http.createServer(onRequest);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `${tls ? "https" : "http"}://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    requests,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function options(root: string, baseUrl: string, more: Partial<FindEngineOptions> = {}): FindEngineOptions {
  const download = { baseUrl, agent: undefined, onProgress: () => undefined };
  return {
    pathVariable: "/nowhere",
    cacheFolder: join(root, "cache"),
    download,
    clock: systemClock,
    pins,
    platform: "test_cpu",
    ...more,
  };
}

const target = (root: string) => cachedEngine({ pins, platform: "test_cpu", cacheFolder: join(root, "cache") });

/** The search fails, in words that match, and leaves nothing behind but the lock's file. */
async function expectFailure(root: string, found: Promise<unknown>, words: RegExp, code = "OUT-NO-ENGINE") {
  const error = await found.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(OperatorError);
  expect(error).toMatchObject({ code, exit: exitCode.unfit, reason: expect.stringMatching(words) });
  expect(await readdir(dirname(target(root)))).toEqual(["lock"]);
}

test("the pinned release is downloaded, checked, unpacked and used, and found in the cache the next time", async () => {
  await using root = await temporaryFolder();
  await using server = await mirror((_request, response) => response.setHeader("content-length", zip.length).end(zip));
  const progress: [number, number | undefined][] = [];
  const given = options(root.path, `${server.url}/`);
  const download = {
    baseUrl: `${server.url}/`,
    agent: undefined,
    onProgress: (got: number, all: number | undefined) => void progress.push([got, all]),
  };
  const engine = await findEngine({ ...given, download }, never);
  expect(engine).toMatchObject({ path: target(root.path), version: "1.11.4", source: "download" });
  expect(server.requests).toEqual([path]);
  expect(progress.at(-1)).toEqual([zip.length, zip.length]);
  expect((await stat(engine.path)).mode & 0o777).toBe(0o700);
  expect((await readdir(dirname(engine.path))).sort()).toEqual(["lock", "terraform"]);
  expect(await findEngine({ ...given, download: undefined }, never)).toMatchObject({ source: "cache" });
});

test("03#34 parallel installs into one folder make one download, and a later one does not touch the file", async () => {
  await using root = await temporaryFolder();
  await using server = await mirror((_request, response) => response.end(zip));
  const given = options(root.path, server.url);
  const engines = await Promise.all([1, 2, 3].map(() => findEngine(given, never)));
  expect(new Set(engines.map((engine) => engine.path)).size).toBe(1);
  expect(server.requests.length).toBe(1);
  const before = await stat(target(root.path));
  await findEngine(given, never);
  const after = await stat(target(root.path));
  expect([after.ino, after.mtimeMs, after.ctimeMs]).toEqual([before.ino, before.mtimeMs, before.ctimeMs]);
  expect(server.requests.length).toBe(1);
});

test("a zip with another hash is refused before it is unpacked", async () => {
  await using root = await temporaryFolder();
  await using server = await mirror((_request, response) => response.end(zipOf({ terraform: "other" })));
  await expectFailure(root.path, findEngine(options(root.path, server.url), never), /SHA-256/, "OUT-ENGINE-HASH");
});

test("a zip with the right hash and no engine in it is refused", async () => {
  await using root = await temporaryFolder();
  const other = zipOf({ "bin/terraform": "x" });
  const zips = { test_cpu: createHash("sha256").update(other).digest("hex") };
  await using server = await mirror((_request, response) => response.end(other));
  const given = options(root.path, server.url, { pins: { ...pins, zips } });
  await expectFailure(root.path, findEngine(given, never), /no "terraform" in it/);
});

test("a download that is cut, missing or refused fails in words", async () => {
  await using root = await temporaryFolder();
  const answers: [Handler, RegExp][] = [
    [
      (_request, response) => response.setHeader("content-length", 9999).write(zip, () => response.destroy()),
      /after \d+ bytes/,
    ],
    [(_request, response) => response.writeHead(404).end(), /status 404/],
    [(_request, response) => response.writeHead(403).end(), /status 403/],
    [(_request, response) => response.destroy(), /hang up/],
    [(_request, response) => response.writeHead(302, { location: path }).end(), /redirect/],
    [(_request, response) => response.writeHead(302, { location: "ftp://127.0.0.1/x" }).end(), /redirect/],
  ];
  for (const [handler, words] of answers) {
    await using server = await mirror(handler);
    await expectFailure(root.path, findEngine(options(root.path, server.url), never), words);
  }
  await using closed = await mirror(() => undefined);
  await closed[Symbol.asyncDispose]();
  await expectFailure(root.path, findEngine(options(root.path, closed.url), never), /ECONNREFUSED/);
});

test("a server that goes silent is given up after 30 s, before its answer and in the middle of it", async () => {
  await using root = await temporaryFolder();
  for (const [handler, words] of [
    [() => undefined, /no answer for 30 s/],
    [(_request, response) => response.write(zip.subarray(0, 100)), /no byte for 30 s, after 100 bytes/],
  ] as [Handler, RegExp][]) {
    await using server = await mirror(handler);
    const clock = new FakeClock();
    let received = 0;
    const onProgress = (bytes: number) => {
      received = bytes;
    };
    const download = { baseUrl: server.url, agent: undefined, onProgress };
    const found = findEngine(options(root.path, server.url, { clock, download }), never);
    const failed = expectFailure(root.path, found, words);
    await expect.poll(() => server.requests.length).toBe(1);
    if (words.source.includes("byte")) await expect.poll(() => received).toBe(100);
    await clock.advance(29_999);
    expect(clock.pending).toBe(1);
    await clock.advance(1);
    await failed;
    expect(clock.pending).toBe(0);
  }
});

test("a redirect is followed, but not from https to http or back", async () => {
  await using root = await temporaryFolder();
  await using store = await mirror((_request, response) => response.end(zip));
  const toStore: Handler = (_request, response) =>
    response.writeHead(302, { location: `${store.url}/store.zip` }).end();
  await using plain = await mirror(toStore);
  await using secure = await mirror(toStore, selfSigned());
  const agent = new https.Agent({ rejectUnauthorized: false });
  const download = { baseUrl: secure.url, agent, onProgress: () => undefined };
  await expectFailure(root.path, findEngine(options(root.path, "", { download }), never), /all with https:/);
  expect(store.requests).toEqual([]);
  await using back = await mirror((_request, response) => response.writeHead(302, { location: secure.url }).end());
  await expectFailure(root.path, findEngine(options(root.path, back.url), never), /all with http:/);
  expect(await findEngine(options(root.path, plain.url), never)).toMatchObject({ source: "download" });
  expect(store.requests).toEqual(["/store.zip"]);
});

test("an aborted download throws the signal's reason and leaves nothing behind", async () => {
  await using root = await temporaryFolder();
  await using server = await mirror((_request, response) => response.write("PK"));
  const controller = new AbortController();
  const found = findEngine(options(root.path, server.url), controller.signal);
  const reason = new Error("stop");
  const failed = expect(found).rejects.toBe(reason);
  await expect.poll(() => server.requests.length).toBe(1);
  controller.abort(reason);
  await failed;
  expect(await readdir(dirname(target(root.path)))).toEqual(["lock"]);
});

test("a platform without a pinned release says so, an unusable cached engine is replaced, a dead owner's folder goes", async () => {
  await using root = await temporaryFolder();
  await using server = await mirror((_request, response) => response.end(zip));
  const given = options(root.path, server.url);
  await expect(findEngine({ ...given, platform: "plan9_mips" }, never)).rejects.toMatchObject({
    reason: expect.stringContaining("no pinned release for plan9_mips"),
  });
  await mkdir(join(dirname(target(root.path)), ".download-dead"), { recursive: true });
  await writeFile(target(root.path), "broken", { mode: 0o700 });
  expect(await findEngine(given, never)).toMatchObject({ version: "1.11.4", source: "download" });
  expect((await readdir(dirname(target(root.path)))).sort()).toEqual(["lock", "terraform"]);
});

test("the lock has one owner at a time", async () => {
  await using root = await temporaryFolder();
  for (const take of [takeLock, takeFileLock]) {
    const file = join(root.path, take.name);
    const order: string[] = [];
    const first = await take(file, systemClock, never);
    const second = take(file, systemClock, never).then((lock) => {
      order.push("second");
      return lock;
    });
    const controller = new AbortController();
    const third = take(file, systemClock, controller.signal);
    controller.abort(new Error("tired"));
    await expect(third).rejects.toThrow("tired");
    order.push("first");
    await first[Symbol.asyncDispose]();
    await (await second)[Symbol.asyncDispose]();
    expect(order).toEqual(["first", "second"]);
  }
});

test("without a kernel lock a dead owner's lock is taken over after 60 s, a living one's never", async () => {
  await using root = await temporaryFolder();
  const file = join(root.path, "lock");
  await writeFile(file, "");
  const clock = new FakeClock();
  let owner: AsyncDisposable | undefined;
  const taking = takeFileLock(file, clock, never).then((lock) => {
    owner = lock;
  });
  const turn = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 1000) {
      // The waiter's next look at the file is the fact to wait for.
      await expect.poll(() => owner !== undefined || clock.pending > 0, { interval: 1 }).toBe(true);
      if (!owner) await clock.advance(1000);
    }
  };
  await turn(50_000);
  await utimes(file, 1, 1);
  await turn(50_000);
  expect(owner).toBeUndefined();
  await turn(20_000);
  await taking;
  const before = await stat(file);
  await clock.advance(5_000);
  await expect.poll(async () => (await stat(file)).mtimeMs).not.toBe(before.mtimeMs);
  await (owner as unknown as AsyncDisposable)[Symbol.asyncDispose]();
  expect(clock.pending).toBe(0);
});

function selfSigned(): https.ServerOptions {
  const keys = forge.pki.rsa.generateKeyPair(2048);
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = keys.publicKey;
  certificate.serialNumber = "01";
  certificate.validity.notAfter = new Date(Date.now() + 3_600_000);
  certificate.setSubject([{ name: "commonName", value: "127.0.0.1" }]);
  certificate.setIssuer(certificate.subject.attributes);
  certificate.sign(keys.privateKey, forge.md.sha256.create());
  return { key: forge.pki.privateKeyToPem(keys.privateKey), cert: forge.pki.certificateToPem(certificate) };
}
