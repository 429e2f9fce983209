// Which numbered conformance tests does no test name? Prints the totals and writes docs/conformance.md.
// --check: fails when docs/conformance.md is not what would be written.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const chapters = {
  "01": ["Transport", 118],
  "02": ["Jobs", 87],
  "03": ["Terraform", 94],
  "04": ["Graph and parse", 134],
};
const exceptions = JSON.parse(readFileSync(join(root, "test/conformance-exceptions.json"), "utf8"));

function* files(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* files(path);
    else if (entry.name.endsWith(".test.ts")) yield path;
  }
}

/** number → files whose test names carry it */
const named = new Map();
for (const path of files(join(root, "test"))) {
  for (const [, chapter, number] of readFileSync(path, "utf8").matchAll(/\b(0[1-4])#(\d{1,3})\b/g)) {
    const id = `${chapter}#${Number(number)}`;
    const where = path.slice(root.length);
    named.set(id, (named.get(id) ?? new Set()).add(where));
  }
}

const lines = [
  "# Conformance",
  "",
  "Written by `npm run coverage:spec`. Chapter numbers are those of the protocol description; a test names the sentences that it proves.",
  "",
  "| chapter | numbered tests | named by a test | exceptions | missing |",
  "| --- | --- | --- | --- | --- |",
];
const details = [];
for (const [chapter, [title, count]] of Object.entries(chapters)) {
  const ids = Array.from({ length: count }, (_, index) => `${chapter}#${index + 1}`);
  const covered = ids.filter((id) => named.has(id));
  const excepted = ids.filter((id) => !named.has(id) && exceptions[id]);
  const missing = ids.filter((id) => !named.has(id) && !exceptions[id]);
  lines.push(`| ${chapter} ${title} | ${count} | ${covered.length} | ${excepted.length} | ${missing.length} |`);
  console.log(
    `${chapter} ${title}: ${covered.length}/${count} named, ${excepted.length} exceptions, ${missing.length} missing${missing.length ? `: ${missing.join(" ")}` : ""}`,
  );
  details.push("", `## ${chapter} ${title}`, "");
  if (excepted.length + missing.length === 0) details.push("Every number is named by a test.");
  for (const id of excepted) details.push(`- ${id}: exception: ${exceptions[id]}`);
  for (const id of missing) details.push(`- ${id}: no test yet`);
}
const text = `${[...lines, ...details].join("\n")}\n`;
const target = join(root, "docs/conformance.md");
if (process.argv.includes("--check")) {
  if (readFileSync(target, "utf8") !== text) {
    console.error("docs/conformance.md is not current: run npm run coverage:spec");
    process.exit(1);
  }
} else writeFileSync(target, text);
