import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { packTemplate } from "../src/archive/pack.ts";
import { providerMirror } from "../test/support/providers.ts";
import { BenchAgent, mirrorFile, never, residentMb } from "./agent.ts";
import { type Figure, median } from "./figure.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const run = promisify(execFile);
const rounds = 5;

/** The six commands of a build, bare, one after the other, in a plain environment. */
async function bareBuild(template: string): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "outpost-bare-"));
  try {
    await run("cp", ["-r", `${root}/terraform-fixtures/${template}/.`, folder]);
    const env = {
      PATH: process.env["PATH"] ?? "",
      HOME: folder,
      CHECKPOINT_DISABLE: "1",
      TF_CLI_CONFIG_FILE: providerMirror ? await mirrorFile(folder, providerMirror) : "/dev/null",
    };
    const terraform = (...args: string[]) => run("terraform", args, { cwd: folder, env });
    const since = performance.now();
    await terraform("init", "-input=false", "-no-color", "-json");
    await terraform("plan", "-input=false", "-no-color", "-json", "-out=p");
    await terraform("show", "-json", "-no-color", "p");
    await terraform("apply", "-input=false", "-no-color", "-json", "-auto-approve", "p");
    await terraform("show", "-json", "-no-color");
    await terraform("graph", "-type=plan");
    return performance.now() - since;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Pick-up, job kinds against bare commands, memory, and how an agent does with many builds at once. */
export async function benchJobs(): Promise<Figure[]> {
  const figures: Figure[] = [];
  const templates = ["hello", ...(providerMirror ? ["workspace"] : [])];
  const pickUps: number[] = [];
  {
    await using agent = await BenchAgent.open(1);
    const { plane } = agent;
    const idle = await residentMb(agent.pid);
    figures.push({ name: "idle: agent's resident memory", value: idle.own, unit: "MB", note: "aim 80" });
    figures.push({ name: "idle: agent and its warm worker", value: idle.tree, unit: "MB", note: "aim 130" });
    for (const template of templates) {
      const { archive } = await packTemplate(`${root}/terraform-fixtures/${template}`);
      const walls = { import: [] as number[], start: [] as number[], stop: [] as number[], delete: [] as number[] };
      const bare: number[] = [];
      for (let round = 0; round < rounds; round++) {
        let templateId = "";
        const imported = await agent.timed(() => {
          const started = plane.importTemplate({ template: `${template}-${round}`, archive });
          templateId = started.template.id;
          return started;
        });
        let workspaceId = "";
        const start = await agent.timed(() => {
          const started = plane.createWorkspace({ templateId, name: `${template}-${round}` });
          workspaceId = started.workspace.id;
          return started;
        });
        const stop = await agent.timed(() => plane.build(workspaceId, { transition: "stop" }));
        const gone = await agent.timed(() => plane.build(workspaceId, { transition: "delete" }));
        for (const [kind, { pickUp, wall }] of Object.entries({ import: imported, start, stop, delete: gone })) {
          pickUps.push(pickUp);
          walls[kind as keyof typeof walls].push(wall);
        }
        bare.push(await bareBuild(template));
      }
      for (const [kind, values] of Object.entries(walls)) {
        figures.push({ name: `${template}: ${kind}`, value: median(values), unit: "ms" });
      }
      figures.push({
        name: `${template}: the six commands of a build, bare, in series`,
        value: median(bare),
        unit: "ms",
      });
      figures.push({
        name: `${template}: start against bare`,
        value: median(walls.start) / median(bare),
        unit: "×",
        note: "aim 0.75",
      });
    }
    figures.push({ name: "pick-up: job created to job started", value: median(pickUps), unit: "ms", note: "aim 10" });
  }
  for (const at of [1, 4, 16]) figures.push(...(await buildsAtOnce(at)));
  return figures;
}

/** `count` builds of hello at once in one agent. */
async function buildsAtOnce(count: number): Promise<Figure[]> {
  await using agent = await BenchAgent.open(count);
  const { plane } = agent;
  const { archive } = await packTemplate(`${root}/terraform-fixtures/hello`);
  let templateId = "";
  await agent.timed(() => {
    const started = plane.importTemplate({ template: "hello", archive });
    templateId = started.template.id;
    return started;
  });
  const since = performance.now();
  const builds = Array.from({ length: count }, (_, index) => plane.createWorkspace({ templateId, name: `w${index}` }));
  await Promise.all(builds.map(({ job }) => plane.ended(job.id, never)));
  const wall = performance.now() - since;
  const { own } = await residentMb(agent.pid);
  return [
    { name: `${count} builds of hello at once`, value: wall, unit: "ms" },
    { name: `${count} builds at once: agent's resident memory after`, value: own, unit: "MB" },
  ];
}
