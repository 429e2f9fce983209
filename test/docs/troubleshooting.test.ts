import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

function* sources(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* sources(path);
    else if (path.endsWith(".ts")) yield readFileSync(path, "utf8");
  }
}

test("every error code is a heading of the troubleshooting page, and every heading is a code", () => {
  const codes = new Set([...sources(join(root, "src"))].flatMap((text) => text.match(/(?<=")OUT-[A-Z-]+(?=")/g) ?? []));
  const page = readFileSync(join(root, "docs/troubleshooting.md"), "utf8");
  const headings = new Set(page.match(/(?<=^### )OUT-[A-Z-]+$/gm));
  expect([...codes].filter((code) => !headings.has(code))).toEqual([]);
  expect([...headings].filter((code) => !codes.has(code))).toEqual([]);
});
