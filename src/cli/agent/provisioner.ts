import type { Clock } from "../../kit/clock.ts";
import { PeerError } from "../../kit/errors.ts";
import { WarmPool } from "../../sandbox/warm-pool.ts";
import { startWorker, type WorkerExit } from "../../sandbox/worker-process.ts";
import { remoteProvisioner } from "../../session/client.ts";
import type { Provisioner } from "../../session/types.ts";
import { terraformProvisioner } from "../../terraform/provisioner.ts";
import type { TerraformSettings } from "../../terraform/settings.ts";
import { readLeftState } from "./left-state.ts";

/** Where jobs run: makes a provisioner for each job out of that job's settings. */
export interface Workers extends AsyncDisposable {
  /** Gets a worker ready before anybody asks for one. */
  warm(): void;
  provisioner(settings: TerraformSettings): Provisioner;
}

export interface WorkersOptions {
  isolation: "process" | "none";
  /** The program that a worker is: our own main file. */
  main: string;
  cwd: string;
  clock: Clock;
}

/** Jobs run in worker processes of their own, one kept warm; with `none` they run inside this process. */
export function makeWorkers({ isolation, main, cwd, clock }: WorkersOptions): Workers {
  if (isolation === "none") {
    return {
      warm: () => undefined,
      provisioner: (settings) => terraformProvisioner(settings, { clock }),
      [Symbol.asyncDispose]: async () => undefined,
    };
  }
  const command = { program: process.execPath, args: [main, "worker"], cwd };
  const pool = new WarmPool((signal) => startWorker(command, clock, signal), true);
  return {
    warm: () => pool.warm(),
    provisioner: (settings) =>
      remoteProvisioner(
        async (signal) => {
          const worker = await pool.take(signal);
          return {
            stream: worker.stream,
            lost: worker.exited.then(lostWords),
            dispose: () => worker.kill(),
            lastState: async () => {
              await worker.kill();
              return readLeftState(settings.workRoot);
            },
          };
        },
        () => Buffer.from(JSON.stringify(settings)),
        clock,
      ),
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  };
}

function lostWords({ code, signal, stderrTail }: WorkerExit): Error {
  const how = signal ? `was ended by ${signal}` : `ended with code ${code}`;
  const said = stderrTail.trim();
  return new PeerError(`the job's worker ${how}${said ? `: ${said.split("\n").slice(-3).join(" | ")}` : ""}`);
}
