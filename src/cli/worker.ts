import { systemClock } from "../kit/clock.ts";
import { exitCode, messageOf } from "../kit/errors.ts";
import { serveSession } from "../session/host.ts";
import { terraformProvisioner } from "../terraform/provisioner.ts";
import { parseTerraformSettings } from "../terraform/settings.ts";
import { nodeStream } from "../wire/stdio.ts";

/**
 * The process of one job: it does everything that touches what a template controls, over standard input and output.
 * It leaves when its input ends. Only the worker signals the engine: what a terminal or a supervisor sends to the group
 * is the agent's business.
 */
export async function worker(): Promise<number> {
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const) process.on(name, () => undefined);
  const life = new AbortController();
  try {
    await serveSession(
      nodeStream(process.stdin, process.stdout),
      (settings) => terraformProvisioner(parseTerraformSettings(settings), { clock: systemClock }),
      life.signal,
    );
    return exitCode.ok;
  } catch (error) {
    process.stderr.write(`worker: ${messageOf(error)}\n`);
    return exitCode.bug;
  }
}
