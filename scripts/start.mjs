// `npm start`: makes the checkout ready and shows a template's whole life on this machine.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { root, setUp } from "./setup.mjs";

const did = setUp();
const child = spawn(
  process.execPath,
  [join(root, "dist/main.js"), "demo", "terraform-fixtures/hello", ...process.argv.slice(2)],
  {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, OUTPOST_SETUP: JSON.stringify(did) },
  },
);
// Ctrl-C reaches the child by the terminal's process group; only a kill of this script alone must be passed on.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => child.kill("SIGTERM"));
child.on("error", (error) => {
  console.error(`error: start outpost: ${error.message}`);
  process.exit(70);
});
child.on("exit", (code, signal) => process.exit(signal ? 130 : (code ?? 70)));
