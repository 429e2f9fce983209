import { convertPlan } from "../src/graph/convert.ts";
import { planFacts } from "../src/graph/plan-facts.ts";
import { type Figure, median } from "./figure.ts";

const sizes = [100, 1_000, 10_000];

/** Time and memory of a plan's conversion by the number of resources, and what ten times as many cost. */
export async function benchGraph(): Promise<Figure[]> {
  const figures: Figure[] = [];
  let before: { convert: number; facts: number; heap: number } | undefined;
  for (const count of sizes) {
    const { plan, dot } = template(count);
    const runs = count >= 10_000 ? 5 : 15;
    const convert = timeMs(runs, () => convertPlan(plan, dot, () => undefined));
    const facts = timeMs(runs, () => planFacts(plan));
    const heap = heapMb(() => convertPlan(plan, dot, () => undefined));
    const growth = (now: number, then: number | undefined) =>
      then ? { note: `× ${(now / then).toFixed(1)} for × 10 resources` } : {};
    const megabytes = (plan.length / 1e6).toFixed(1);
    figures.push(
      {
        name: `plan of ${count} resources (${megabytes} MB): graph`,
        value: convert,
        unit: "ms",
        ...growth(convert, before?.convert),
      },
      { name: `plan of ${count} resources: facts`, value: facts, unit: "ms", ...growth(facts, before?.facts) },
      {
        name: `plan of ${count} resources: heap for the graph`,
        value: heap,
        unit: "MB",
        ...growth(heap, before?.heap),
      },
    );
    before = { convert, facts, heap };
  }
  return figures;
}

/** A template with one agent for 20 machines, an app and a metadata block each, a replacement for every tenth. */
function template(count: number): { plan: Uint8Array; dot: string } {
  const resources: unknown[] = [];
  const changes: unknown[] = [];
  const lines: string[] = [];
  const node = (label: string) => `"[root] ${label} (expand)"`;
  const add = (type: string, name: string, values: unknown, ...dependencies: string[]) => {
    const address = `${type}.${name}`;
    resources.push({
      address,
      mode: "managed",
      type,
      name,
      provider_name: "registry.terraform.io/x/x",
      schema_version: 0,
      values,
    });
    lines.push(`\t\t${node(address)} [label = "${address}", shape = "box"]`);
    for (const to of dependencies) lines.push(`\t\t${node(address)} -> ${node(to)}`);
  };
  for (let index = 0; resources.length < count; index++) {
    const agent = `coder_agent.a${index}`;
    add("coder_agent", `a${index}`, {
      os: "linux",
      arch: "amd64",
      startup_script: "echo\n".repeat(50),
      metadata: [{ key: "cpu", script: "x", interval: 5 }],
    });
    add("coder_app", `p${index}`, { slug: `p${index}`, url: "http://localhost" }, agent);
    for (let machine = 0; machine < 17; machine++) {
      const name = `m${index}-${machine}`;
      add(
        "aws_instance",
        name,
        { ami: "ami-1", tags: { a: "b" }, user_data: "x".repeat(500), root: [{ size: 1 }] },
        agent,
      );
      if (machine % 10 === 0) {
        const change = {
          actions: ["delete", "create"],
          replace_paths: [["ami"]],
          before: { ami: "ami-0" },
          after: { ami: "ami-1" },
        };
        changes.push({ address: `aws_instance.${name}`, type: "aws_instance", change });
      }
    }
    add("coder_metadata", `d${index}`, { daily_cost: 1, item: [{ key: "k", value: "v" }] }, `aws_instance.m${index}-0`);
  }
  const plan = {
    format_version: "1.2",
    planned_values: { root_module: { resources } },
    resource_changes: changes,
    configuration: { root_module: { resources } },
  };
  return {
    plan: new TextEncoder().encode(JSON.stringify(plan)),
    dot: `digraph {\n\tsubgraph "root" {\n${lines.join("\n")}\n\t}\n}\n`,
  };
}

function timeMs(runs: number, work: () => unknown): number {
  work();
  const times = Array.from({ length: runs }, () => {
    const start = performance.now();
    work();
    return performance.now() - start;
  });
  return median(times);
}

/** Growth of the heap while a result is held; a collection in between can only make it smaller, so the largest of a few counts. */
function heapMb(work: () => unknown): number {
  let most = 0;
  for (let run = 0; run < 3; run++) {
    globalThis.gc?.();
    const before = process.memoryUsage().heapUsed;
    const result = work();
    most = Math.max(most, process.memoryUsage().heapUsed - before);
    if (result === undefined) throw new Error("expected a result");
  }
  return most / 1e6;
}
