/** `npm run soak [NAME …]`: long runs against the real clock. Names: outage-cut, outage-frozen, provider-cache. Ends with 1 if one fails. */
import { existsSync } from "node:fs";
import { outage } from "./outage.ts";

const runs: Record<string, () => Promise<void>> = {
  "outage-cut": () => outage("cut", 45_000),
  "outage-frozen": () => outage("frozen", 45_000),
};
if (existsSync(new URL("./provider-cache.ts", import.meta.url))) {
  runs["provider-cache"] = async () => (await import("./provider-cache.ts")).run();
}

const wanted = process.argv.slice(2);
let failed = 0;
for (const [name, run] of Object.entries(runs)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const since = performance.now();
  try {
    await run();
    console.log(`ok    ${name}  ${((performance.now() - since) / 1000).toFixed(0)} s`);
  } catch (error) {
    failed++;
    console.log(`FAIL  ${name}  ${error instanceof Error ? error.stack : error}`);
  }
}
process.exit(failed === 0 ? 0 : 1);
