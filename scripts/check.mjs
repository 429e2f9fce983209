// `npm run check`: the whole law, one step after the other, each named, each timed; ends at the first that fails.
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root, setUp } from "./setup.mjs";

setUp({ build: false });
const bin = (name) => join(root, "node_modules", ".bin", name);

function generatedIsCurrent() {
  const before = mkdtempSync(join(tmpdir(), "outpost-gen-"));
  cpSync(join(root, "src/gen"), before, { recursive: true });
  const gen = spawnSync(bin("buf"), ["generate"], { cwd: root, stdio: "inherit" });
  const diff = spawnSync("diff", ["-r", before, join(root, "src/gen")], { stdio: "inherit" });
  rmSync(before, { recursive: true });
  return gen.status === 0 && diff.status === 0;
}

const command = (program, args) => () => spawnSync(program, args, { cwd: root, stdio: "inherit" }).status === 0;
const steps = [
  ["types", command(bin("tsc"), ["-p", "tsconfig.json"])],
  ["lint and format", command(bin("biome"), ["check", "."])],
  ["rooms", command(bin("depcruise"), ["src", "--config", ".dependency-cruiser.cjs"])],
  ["dead code", command(bin("knip"), [])],
  ["generated code is current", generatedIsCurrent],
  ["conformance list is current", command(process.execPath, ["scripts/coverage-spec.mjs", "--check"])],
  ["docs of settings are current", command(process.execPath, ["scripts/docs-settings.mjs", "--check"])],
  ["build", command(process.execPath, ["scripts/build.mjs"])],
  ["tests", command(process.execPath, ["scripts/test.mjs"])],
  ["smoke", command(process.execPath, ["scripts/smoke.mjs"])],
];
const withoutTests = process.argv.includes("--without-tests");
for (const [name, step] of steps) {
  if (withoutTests && name === "tests") continue;
  const since = performance.now();
  console.log(`\n== ${name}`);
  if (!step()) {
    console.error(`check: ${name}: failed`);
    process.exit(1);
  }
  console.log(`== ${name}: ok, ${((performance.now() - since) / 1000).toFixed(1)} s`);
}
