// Bundles src/main.ts into dist/: ES modules, split, so that each command loads only what it needs.
import { chmodSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const { version } = JSON.parse(readFileSync(`${root}/package.json`, "utf8"));
// Built beside and put in place whole: a build that fails leaves the last one, and nobody sees half of one.
const outdir = `${root}/dist.new`;
const target = `${root}/dist`;
rmSync(outdir, { recursive: true, force: true });

await build({
  absWorkingDir: root,
  entryPoints: ["src/main.ts"],
  outdir,
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20.19",
  minifySyntax: true,
  legalComments: "none",
  chunkNames: "chunks/[name]-[hash]",
  define: { "process.env.OUTPOST_BUILD_VERSION": JSON.stringify(version) },
  // CommonJS packages inside an ES module bundle still call require.
  banner: {
    js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  },
  logLevel: "warning",
});

const main = `${outdir}/main.js`;
writeFileSync(main, `#!/usr/bin/env node\n${readFileSync(main, "utf8")}`);
chmodSync(main, 0o755);
rmSync(target, { recursive: true, force: true });
renameSync(outdir, target);
