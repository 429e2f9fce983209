/**
 * Whether a path (relative, normalised, `/`) is one that a template may not bring along, because it would change what
 * the job does: state, plans, Terraform's own folder, provider plugins, CLI configuration (spec/03 §1.3, §3.7, §9.3).
 * Only names in the root count: deeper ones are data of the template. The module archive is not asked.
 */
export function isReserved(path: string): boolean {
  const lower = path.toLowerCase();
  const [first = "", second] = lower.split("/");
  if (reservedRoots.has(first) || first.includes(".tfstate") || first.endsWith(".tfplan")) return true;
  return first === "terraform.d" && second === "plugins";
}

const reservedRoots = new Set([
  ".terraform",
  // Where HOME is the job's folder these are Terraform's and OpenTofu's own settings and plugins.
  ".terraform.d",
  ".terraformrc",
  "terraform.rc",
  ".tofurc",
  "tofu.rc",
]);
