// `npm test`: makes the checkout ready, builds the providers that some tests need where Go is present, runs every test.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { root, setUp } from "./setup.mjs";

for (const [what, text] of setUp()) console.error(`${what}: ${text}`);
spawnSync(process.execPath, [join(root, "scripts/providers.mjs")], { stdio: "inherit" });
const tests = spawnSync(
  process.execPath,
  [join(root, "node_modules/vitest/vitest.mjs"), "run", ...process.argv.slice(2)],
  {
    cwd: root,
    stdio: "inherit",
  },
);
process.exit(tests.status ?? 70);
