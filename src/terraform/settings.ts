export interface TerraformSettings {
  engine: { path: string; version: string; flavor: "terraform" | "opentofu" };
  workRoot: string;
  cacheRoot: string;
  environment: Record<string, string>;
  cliConfig: string;
  bootstrapScripts: Record<string, string>;
  exitTimeoutMs: number;
  keepFolder?: boolean;
}
export function parseTerraformSettings(bytes: Uint8Array): TerraformSettings {
  return JSON.parse(Buffer.from(bytes).toString());
}
