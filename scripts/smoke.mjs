// Smoke test of the built command: it starts, knows its version, teaches, and refuses nonsense with the right codes.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { root } from "./setup.mjs";

const cases = [
  [["--version"], 0, /^\d+\.\d+\.\d+/],
  [["--help"], 0, /outpost run/],
  [["start", "--help"], 0, /CODER_PROVISIONER_DAEMON_KEY/],
  [["plane", "--help"], 0, /curl/],
  [["no-such-command"], 64, /no-such-command/],
  [["start"], 64, /CODER_URL/],
  [["run", "/no/such/folder"], 64, /\/no\/such\/folder/],
];
let failed = 0;
for (const [args, status, pattern] of cases) {
  const env = { PATH: process.env.PATH, HOME: process.env.HOME };
  const done = spawnSync(process.execPath, [join(root, "dist/main.js"), ...args], {
    encoding: "utf8",
    env,
    timeout: 20_000,
  });
  const ok = done.status === status && pattern.test(done.stdout + done.stderr);
  console.log(`${ok ? "ok  " : "FAIL"} outpost ${args.join(" ")}`);
  if (!ok) {
    failed++;
    console.log(`     exit ${done.status}, expected ${status}\n${done.stdout}${done.stderr}`);
  }
}
process.exit(failed === 0 ? 0 : 1);
