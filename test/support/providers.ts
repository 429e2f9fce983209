import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../../.cache/providers", import.meta.url));

/** Absolute path of the filesystem mirror that `node scripts/providers.mjs` fills, or undefined: such tests skip, visibly. */
export const providerMirror: string | undefined = existsSync(`${folder}/registry.terraform.io/coder/coder`)
  ? folder
  : undefined;

/** Text of a Terraform CLI configuration that takes providers out of `mirror` and nowhere else. */
export function mirrorConfig(mirror: string): string {
  const path = JSON.stringify(mirror);
  return `provider_installation {\n  filesystem_mirror {\n    path = ${path}\n  }\n}\ndisable_checkpoint = true\n`;
}
