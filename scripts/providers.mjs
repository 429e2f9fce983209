// Builds the real Terraform providers that tests use, with Go, into a filesystem mirror under .cache/providers.
// Does nothing for a provider that is there; without Go it says so and succeeds, and the tests that need one skip.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const mirror = join(root, ".cache", "providers");
const providers = [
  { address: "coder/coder", version: "2.18.0", module: "github.com/coder/terraform-provider-coder/v2" },
  { address: "hashicorp/time", version: "0.14.2", module: "github.com/hashicorp/terraform-provider-time" },
];

/** `linux_amd64`, as Terraform names the folders of a mirror. */
function platformOfGo() {
  try {
    const [system, architecture] = execFileSync("go", ["env", "GOOS", "GOARCH"], { encoding: "utf8" }).split("\n");
    return `${system}_${architecture}`;
  } catch {
    return undefined;
  }
}

/** Builds one provider; the finished file appears in the mirror in one step, so a broken build leaves nothing there. */
function build(provider, target) {
  const name = provider.address.replace(/.*\//, "terraform-provider-");
  mkdirSync(dirname(target), { recursive: true });
  const temporary = mkdtempSync(join(root, ".cache", "build-"));
  try {
    const { status } = spawnSync("go", ["install", "-trimpath", `${provider.module}@v${provider.version}`], {
      cwd: temporary,
      env: { ...process.env, GOBIN: temporary, CGO_ENABLED: "0" },
      stdio: ["ignore", "inherit", "inherit"],
    });
    if (status !== 0) return false;
    renameSync(join(temporary, name), target);
    return true;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

const platform = platformOfGo();
if (!platform) {
  console.log("providers: no Go on this machine, so no real providers are built; tests that need them skip");
  process.exit(0);
}
let failed = false;
for (const provider of providers) {
  const name = provider.address.replace(/.*\//, "terraform-provider-");
  const folder = join(mirror, "registry.terraform.io", provider.address, provider.version, platform);
  const target = join(folder, `${name}_v${provider.version}`);
  const label = `${provider.address} ${provider.version} ${platform}`;
  if (existsSync(target)) {
    console.log(`providers: ${label} is there: ${relative(root, target)}`);
    continue;
  }
  console.log(`providers: building ${label} …`);
  const started = performance.now();
  const built = build(provider, target);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`providers: ${label} ${built ? "built" : "FAILED"} in ${seconds} s`);
  failed ||= !built;
}
process.exitCode = failed ? 1 : 0;
