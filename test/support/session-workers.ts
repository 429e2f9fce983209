import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { remoteProvisioner } from "../../src/session/client.ts";
import type { WorkerConnection } from "../../src/session/conversation.ts";
import { serveSession } from "../../src/session/host.ts";
import type { Provisioner } from "../../src/session/types.ts";
import { memoryPair } from "../../src/wire/memory.ts";
import { nodeStream } from "../../src/wire/stdio.ts";
import { type Script, scriptedSession } from "./session-provisioner.ts";

const settingsOf = (script: Script) => () => new TextEncoder().encode(JSON.stringify(script));
const scriptIn = (settings: Uint8Array) => JSON.parse(new TextDecoder().decode(settings)) as Script;

/** A worker in this process, at the other end of a pair of streams. */
export function memoryWorker(script: Script, options: { oneByte?: boolean } = {}): Provisioner {
  const connect = (): Promise<WorkerConnection> => {
    const [ours, theirs] = memoryPair(options);
    const signal = new AbortController();
    const served = serveSession(theirs, (settings) => scriptedSession(scriptIn(settings)), signal.signal);
    return Promise.resolve({
      stream: ours,
      lost: new Promise<Error>(() => undefined),
      async dispose() {
        signal.abort(new Error("disposed"));
        await served;
      },
    });
  };
  return remoteProvisioner(connect, settingsOf(script));
}

/** A worker in a process of its own, at the other end of its standard input and output. */
export function childWorker(script: Script): Provisioner {
  return remoteProvisioner(() => Promise.resolve(connectChild()), settingsOf(script));
}

function connectChild(): WorkerConnection {
  const program = fileURLToPath(new URL("session-child.ts", import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", program], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise<string>((resolve) => {
    child.once("close", (code, signal) => resolve(signal ? `signal ${signal}` : `exit code ${code}`));
  });
  return {
    stream: nodeStream(child.stdout, child.stdin),
    lost: ended.then((how) => new Error(how)),
    async dispose() {
      // A worker whose stdin ends leaves by itself; one that doesn't is killed.
      if (running(child)) child.stdin.end();
      const patience = setTimeout(() => child.kill("SIGKILL"), 5_000);
      await ended;
      clearTimeout(patience);
    },
  };
}

const running = (child: ChildProcess) => child.exitCode === null && child.signalCode === null;
