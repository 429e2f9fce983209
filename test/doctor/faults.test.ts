import { chmod, mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa, execaSync } from "execa";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { lockStateFolder } from "../../src/agent/state-lock.ts";
import { errorLines } from "../../src/cli/terminal.ts";
import { exitCode, OperatorError } from "../../src/kit/errors.ts";
import { startPlane } from "../../src/plane/plane.ts";
import { makeCa } from "../support/certs.ts";
import { DoctorsOffice } from "../support/doctor.ts";
import { startFakeCoderd } from "../support/fake-coderd.ts";
import { startProxy } from "../support/proxy.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const someKey = "A".repeat(43);
const isRoot = process.getuid?.() === 0;
const canMount = isRoot && execaSync("unshare", ["--mount", "true"], { reject: false }).exitCode === 0;
const canDropUser = !isRoot || execaSync("setpriv", ["--version"], { reject: false }).exitCode === 0;

let office: DoctorsOffice;
beforeEach(() => {
  office = new DoctorsOffice();
});
afterEach(() => office[Symbol.asyncDispose]());

/** What was said, for the page that shows it: `FAULTS_TABLE=1 npx vitest run test/doctor/faults.test.ts`. */
const told: string[][] = [];
afterAll(() => {
  if (!process.env["FAULTS_TABLE"]) return;
  const cell = (text: string) =>
    text
      .trim()
      .replaceAll(/\s{2,}/g, " ")
      .replaceAll("|", "\\|");
  const rows = told.map((cells) => `| ${cells.map(cell).join(" | ")} |`);
  console.log(["| fault | what is said | what to do |", "| --- | --- | --- |", ...rows].join("\n"));
});

/** The first error must name the cause, in its own line or the one that explains it, and the next line the cure. */
function expectTold(fault: string, text: string | readonly string[], cause: RegExp, cure: RegExp): void {
  // A finding that was broken into lines is one again.
  const lines = (typeof text === "string" ? text : text.join("\n")).replaceAll(/\n {23}/g, " ").split("\n");
  const first = lines.findIndex((line) => /^(error:| {2}FAIL )/.test(line));
  const last = lines.findIndex((line, index) => index > first && /^ +cure/.test(line));
  expect(first, lines.join("\n")).toBeGreaterThanOrEqual(0);
  expect(last - first, lines.join("\n")).toBeLessThanOrEqual(2);
  const said = lines.slice(first, last).join(" ").replaceAll(/ +/g, " ");
  expect(said).toMatch(cause);
  expect(said).toMatch(/\[OUT-[A-Z-]+\]/);
  expect(lines[last]).toMatch(cure);
  told.push([fault, said, (lines[last] ?? "").replace(/^ +cure:?/, "")]);
}

interface Start {
  environment: Record<string, string>;
  /** What stands before the program. */
  before?: string[];
}

/** `outpost start` as built, until it ends. */
async function start({ environment, before = [] }: Start): Promise<{ text: string; code: number | undefined }> {
  const [program = "", ...args] = [...before, process.execPath, `${root}/dist/main.js`, "start"];
  const { all, exitCode: code } = await execa(program, [...args, "--health-address", "off"], {
    env: {
      PATH: process.env["PATH"] ?? "",
      HOME: office.folder,
      OUTPOST_STATE_DIRECTORY: join(office.folder, "state"),
      CODER_CACHE_DIRECTORY: join(office.folder, "cache"),
      OUTPOST_WORK_DIRECTORY: join(office.folder, "work"),
      CODER_PROVISIONER_DAEMON_KEY: someKey,
      ...environment,
    },
    extendEnv: false,
    all: true,
    reject: false,
    timeout: 25_000,
  });
  return { text: all, code };
}

describe("twelve faults: the first error names the cause, the next line the cure", () => {
  test("a host name without an address", async () => {
    const diagnosis = await office.visit({ flags: { url: "https://no-such-host.invalid", key: someKey } });
    expectTold("DNS", diagnosis.quote, /host "no-such-host.invalid" has no address: ENOTFOUND/, /--url/);
  });

  test("a proxy that does not let us through", async () => {
    await using proxy = await startProxy({ refuseWith: 403 });
    const { text, code } = await start({ environment: { CODER_URL: "http://coder.test", HTTP_PROXY: proxy.url } });
    expectTold("proxy", text, /proxy 127.0.0.1:\d+ of HTTP_PROXY answered 403/, /allow it, or .* NO_PROXY/);
    expect(code).toBe(exitCode.failed);
  });

  test("a certificate of an issuer that nobody trusts", async () => {
    await using plane = await startPlane({ tls: makeCa("Corp Root CA").issue(["127.0.0.1"]) });
    const { text, code } = await start({ environment: { CODER_URL: plane.url } });
    expectTold("CA", text, /certificate of https.* can't be verified/, /--extra-ca-file PATH/);
    expect(code).toBe(exitCode.failed);
  });

  test("a URL that redirects", async () => {
    const redirect = { status: 307, headers: { location: "https://coder.example.com" } };
    await using coderd = await startFakeCoderd({ rest: () => redirect, handshake: () => redirect });
    const { text, code } = await start({ environment: { CODER_URL: coderd.url } });
    expectTold(
      "redirect",
      text,
      /redirect \(307\) to "https:\/\/coder.example.com"/,
      /--url https:\/\/coder.example.com/,
    );
    expect(code).toBe(exitCode.failed);
  });

  test("a deployment without the licence", async () => {
    await using plane = await startPlane({ entitled: false });
    const environment = { CODER_URL: plane.url, CODER_PROVISIONER_DAEMON_KEY: plane.createKey("k").secret };
    const { text, code } = await start({ environment });
    expectTold("licence", text, /licence has no external provisioners/, /Licenses page/);
    expect(code).toBe(exitCode.refused);
  });

  test("a key with a line end inside", async () => {
    await using plane = await startPlane();
    const key = plane.createKey("k").secret;
    const environment = { CODER_URL: plane.url, CODER_PROVISIONER_DAEMON_KEY: `${key.slice(0, 20)}\n${key.slice(20)}` };
    const { text } = await start({ environment });
    expectTold("newline in the key", text, /provisioner key: has 44 characters/, /copy the whole line/);
    expect(text).not.toContain(key.slice(0, 20));
  });

  test("a key that was deleted", async () => {
    await using plane = await startPlane();
    const key = plane.createKey("k").secret;
    plane.deleteKey("k");
    const { text, code } = await start({ environment: { CODER_URL: plane.url, CODER_PROVISIONER_DAEMON_KEY: key } });
    expectTold("deleted key", text, /no key with fingerprint sha256:\w+… is known/, /coder provisioner keys list/);
    expect(code).toBe(exitCode.refused);
  });

  test("a server from before the protocol had versions", async () => {
    await using coderd = await startFakeCoderd({ version: "v2.6.1", apiVersion: "" });
    const diagnosis = await office.visit({ flags: { url: coderd.url, key: someKey } });
    expectTold("old server", diagnosis.quote, /v2.6.1 knows no protocol versions/, /update the control plane/);
  });

  test("no engine", async () => {
    const programs = join(office.folder, "bin");
    await mkdir(programs);
    for (const name of ["flock", "sh", "rm", "chmod"]) {
      const { stdout } = execaSync("sh", ["-c", `command -v ${name}`]);
      await symlink(stdout, join(programs, name));
    }
    const environment = { CODER_URL: "http://127.0.0.1:1", PATH: programs, OUTPOST_ENGINE_DOWNLOAD: "false" };
    const { text, code } = await start({ environment });
    expectTold("no engine", text, /no Terraform or OpenTofu.*terraform: not in PATH/, /--engine PATH/);
    expect(code).toBe(exitCode.unfit);
  });

  test.skipIf(!canMount)("a full disk", async () => {
    const script = 'mount -t tmpfs -o size=1m tmpfs "$1" && shift && exec "$@"';
    const child = [process.execPath, "--import", "tsx", `${root}test/support/doctor-child.ts`, "--pre"];
    const disk = join(office.folder, "disk");
    await mkdir(disk);
    const folders = ["--state-dir", disk, "--cache-dir", disk, "--work-dir", office.folder];
    const args = ["--mount", "sh", "-c", script, "sh", disk, ...child, ...folders];
    const environment = { ...process.env, TF_CLI_CONFIG_FILE: "/dev/null" };
    const done = await execa("unshare", args, { cwd: root, env: environment, reject: false, timeout: 25_000 });
    const lines = done.stdout.split("\n");
    const at = lines.findIndex((line) => line.includes("folders"));
    expectTold("full disk", lines.slice(at), /state folder: .* [01] MiB free: want at least 64 MiB/, /make room/);
    expect(done.exitCode).toBe(exitCode.failed);
  });

  test.skipIf(!canDropUser)("a folder that belongs to somebody else", async () => {
    const closed = join(office.folder, "closed");
    await mkdir(closed);
    await chmod(closed, isRoot ? 0o700 : 0o500);
    await chmod(office.folder, 0o755);
    const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    const environment = { CODER_URL: "http://127.0.0.1:1", OUTPOST_STATE_DIRECTORY: join(closed, "state") };
    const cache = join(office.folder, "open");
    await mkdir(cache);
    await chmod(cache, 0o777);
    const { text, code } = await start({
      environment: {
        ...environment,
        CODER_CACHE_DIRECTORY: join(cache, "c"),
        OUTPOST_WORK_DIRECTORY: join(cache, "w"),
      },
      before: isRoot ? nobody : [],
    });
    expectTold("no permission", text, /make state folder .*EACCES/, /--state-dir PATH/);
    expect(code).toBe(exitCode.usage);
  });

  test("a name that another agent has", async () => {
    const state = join(office.folder, "state");
    await mkdir(state);
    await using _first = await lockStateFolder(state);
    const error = await lockStateFolder(state).catch((thrown: unknown) => thrown);
    if (!(error instanceof OperatorError)) throw error;
    const plain = (text: string) => text;
    const lines = errorLines(error, { bold: plain, red: plain, columns: 100 });
    expectTold("name taken", lines, /another agent is using it.*process \d+ on \S+ runs on it/, /--state-dir PATH/);
    expect(error.exit).toBe(exitCode.busy);
  });
});
