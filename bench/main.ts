/**
 * `npm run bench [NAME …]`: prints medians and ratios, each measured in this run. Names: wire, graph, template, jobs, habits.
 * Absolute figures move from machine to machine; compare ratios.
 */
import { cpus, totalmem } from "node:os";
import type { Figure } from "./figure.ts";

const benches: Record<string, () => Promise<Figure[]>> = {
  wire: async () => (await import("./wire.ts")).benchWire(),
  graph: async () => (await import("./graph.ts")).benchGraph(),
  template: async () => (await import("./template.ts")).benchTemplate(),
  jobs: async () => (await import("./jobs.ts")).benchJobs(),
  habits: async () => (await import("./habits.ts")).benchHabits(),
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in benches));
if (unknown.length > 0) {
  console.error(`error: no bench "${unknown.join(", ")}": there are ${Object.keys(benches).join(", ")}`);
  process.exit(64);
}
console.log(
  `Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
);
for (const [name, bench] of Object.entries(benches)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  console.log(`\n${name}`);
  for (const figure of await bench()) {
    const value = Number.isInteger(figure.value) ? String(figure.value) : figure.value.toPrecision(3);
    console.log(
      `  ${figure.name.padEnd(56)} ${value.padStart(9)} ${figure.unit.padEnd(6)} ${figure.note ?? ""}`.trimEnd(),
    );
  }
}
