import { spawn } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../kit/clock.ts";
import { makePrivateFolder } from "../kit/files.ts";
import type { PrivatePaths } from "./environment.ts";

/** Tries to remove a folder, and the gap between them (spec/03 §1.6). */
const removal = { tries: 5, gapMs: 250 };

/**
 * The folders of one session. Neither exists before Init: `path` holds the template and is where the engine runs,
 * `privatePath` beside it holds what must not mix with the template: HOME, TMPDIR, the CLI configuration.
 */
export class SessionFolder implements PrivatePaths {
  readonly path: string;
  readonly privatePath: string;
  readonly home: string;
  readonly temporary: string;
  readonly cliConfig: string;
  readonly state: string;
  readonly plan: string;

  /** `random` yields [0, 1). */
  constructor(
    readonly workRoot: string,
    random: () => number,
  ) {
    const id = uuid(random);
    this.path = join(workRoot, `Session${id}`);
    // Short: plugins make their sockets in TMPDIR, and the kernel takes no path of a socket above 107 bytes.
    this.privatePath = join(workRoot, `p${id.slice(0, 8)}`);
    this.home = join(this.privatePath, "home");
    this.temporary = join(this.privatePath, "tmp");
    this.cliConfig = join(this.privatePath, "engine.tfrc");
    this.state = join(this.path, "terraform.tfstate");
    this.plan = join(this.path, "terraform.tfplan");
  }

  /** Makes both folders, empty. */
  async make(clock: Clock): Promise<void> {
    await makePrivateFolder(this.workRoot);
    await this.remove(clock);
    // Not recursive: a folder of somebody else under this name must not be taken over.
    for (const folder of [this.path, this.privatePath, this.home, this.temporary]) await mkdir(folder, { mode: 0o700 });
  }

  async writeCliConfig(text: string): Promise<void> {
    await writeFile(this.cliConfig, text, { mode: 0o600 });
  }

  /** Removes both folders. Throws when that does not work out, for whoever can tell it. */
  async remove(clock: Clock): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        for (const folder of [this.path, this.privatePath]) await rm(folder, { recursive: true, force: true });
        return;
      } catch (error) {
        // Folders without permissions or nested too deeply: Node gives up there, these two programs don't.
        await forceRemoval(this.path);
        await forceRemoval(this.privatePath);
        if (tries === removal.tries) throw error;
        await clock.sleep(removal.gapMs, new AbortController().signal);
      }
    }
  }
}

function forceRemoval(folder: string): Promise<void> {
  const script = 'chmod -R u+rwX -- "$1" 2>/dev/null; rm -rf -- "$1"';
  return new Promise((resolve) => {
    const child = spawn("/bin/sh", ["-c", script, "sh", folder], { stdio: "ignore", env: { PATH: "/usr/bin:/bin" } });
    child.once("error", () => resolve());
    child.once("exit", () => resolve());
  });
}

/** A version 4 UUID. */
function uuid(random: () => number): string {
  const bytes = Uint8Array.from({ length: 16 }, () => Math.floor(random() * 256));
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  const hex = Buffer.from(bytes).toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
