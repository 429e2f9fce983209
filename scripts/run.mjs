// Runs a TypeScript program of the checkout (bench, fuzz, soak) with this Node: node scripts/run.mjs FILE [ARGS]
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { root, setUp } from "./setup.mjs";

setUp();
const [file, ...args] = process.argv.slice(2);
const done = spawnSync(process.execPath, ["--import", "tsx", join(root, file), ...args], {
  cwd: root,
  stdio: "inherit",
});
process.exit(done.status ?? 70);
