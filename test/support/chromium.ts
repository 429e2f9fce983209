import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/** A Chromium of this machine, or undefined. */
export const chromium = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) =>
  existsSync(path),
);

/** What a page is after `virtualMs` of its own time, in which timers run at once and requests are waited for. */
export async function domAfter(url: string, virtualMs: number, flags: readonly string[] = []): Promise<string> {
  const profile = await mkdtemp(join(tmpdir(), "outpost-chromium-"));
  const args = ["--headless", "--no-sandbox", "--disable-gpu", `--user-data-dir=${profile}`, ...flags];
  try {
    const { stdout } = await promisify(execFile)(
      chromium ?? "",
      [...args, `--virtual-time-budget=${virtualMs}`, "--dump-dom", url],
      { timeout: 60_000, maxBuffer: 16 * 1024 ** 2, killSignal: "SIGKILL" },
    );
    return stdout;
  } finally {
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
