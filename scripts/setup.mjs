// Set-up that needs no installed package: installs when node_modules is missing or older than the lock file,
// builds when a source is newer than the build, and says what it did and how long it took.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));
const stamp = join(root, "node_modules", ".outpost-installed");

/** Runs a program in the checkout; ends this process with its code when it fails. */
export function run(program, args, options = {}) {
  const done = spawnSync(program, args, { cwd: root, stdio: "inherit", ...options });
  if (done.error) {
    console.error(`error: run ${program}: ${done.error.message}`);
    process.exit(70);
  }
  if (done.status !== 0) {
    if (options.stdio === "pipe") process.stderr.write(`${done.stdout ?? ""}${done.stderr ?? ""}`);
    process.exit(done.status ?? 70);
  }
  return done;
}

const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;

/** True when the packages that the lock file names are installed. */
function installed() {
  return existsSync(stamp) && statSync(stamp).mtimeMs >= statSync(join(root, "package-lock.json")).mtimeMs;
}

function newest(folder) {
  let time = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    time = Math.max(time, entry.isDirectory() ? newest(path) : statSync(path).mtimeMs);
  }
  return time;
}

function built() {
  const output = join(root, "dist", "main.js");
  if (!existsSync(output)) return false;
  const sources = Math.max(newest(join(root, "src")), statSync(join(root, "scripts", "build.mjs")).mtimeMs);
  return statSync(output).mtimeMs >= Math.max(sources, statSync(stamp).mtimeMs);
}

/** Node 20.19 is the oldest that the packages support. */
function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  console.error(
    `error: Node ${process.versions.node} is too old\n  cause  Outpost needs Node 20.19 or newer\n  cure   install a newer Node, then run the command again`,
  );
  process.exit(78);
}

/** Makes the checkout ready; returns one line per thing that was done. */
export function setUp({ build = true } = {}) {
  checkNode();
  const did = [];
  if (!installed()) {
    const since = performance.now();
    console.error("packages: installing (npm ci) …");
    // npm's stdout would mix with the output of a command in a pipe.
    run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    writeFileSync(stamp, "");
    const now = new Date();
    utimesSync(stamp, now, now);
    did.push(["packages", `installed in ${seconds(since)}`]);
  }
  if (build && !built()) {
    const since = performance.now();
    run(process.execPath, [join(root, "scripts", "build.mjs")], { stdio: "pipe" });
    did.push(["build", seconds(since)]);
  }
  return did;
}
