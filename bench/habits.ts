import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { packTemplate } from "../src/archive/pack.ts";
import { systemClock } from "../src/kit/clock.ts";
import { BenchAgent, never, residentMb } from "./agent.ts";
import type { Figure } from "./figure.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const quietSeconds = 20;
const lines = 200_000;

/** How an agent behaves: updates of a quiet job, a flood of log lines, processes that a job starts. */
export async function benchHabits(): Promise<Figure[]> {
  return [...(await quietJob()), ...(await flood()), ...(await processes())];
}

async function template(command: string): Promise<Uint8Array> {
  const folder = await mkdtemp(join(tmpdir(), "outpost-bench-template-"));
  const block = `provisioner "local-exec" {\n    command = "${command}"\n  }`;
  await writeFile(join(folder, "main.tf"), `resource "terraform_data" "t" {\n  ${block}\n}\n`);
  const { archive } = await packTemplate(folder);
  await rm(folder, { recursive: true });
  return archive;
}

/** Starts a workspace of a template that was imported first. */
async function started(agent: BenchAgent, name: string, archive: Uint8Array) {
  let templateId = "";
  await agent.timed(() => {
    const imported = agent.plane.importTemplate({ template: name, archive });
    templateId = imported.template.id;
    return imported;
  });
  return agent.plane.createWorkspace({ templateId, name });
}

/** Each answered UpdateJob moves the job's `updatedAt`. */
async function quietJob(): Promise<Figure[]> {
  await using agent = await BenchAgent.open(1);
  const { job } = await started(agent, "quiet", await template(`sleep ${quietSeconds + 10}`));
  for await (const event of agent.plane.follow(job.id, never)) {
    if (event.kind === "log" && event.log.output.includes("Creating...")) break;
  }
  const seen = new Set<number>();
  const until = performance.now() + quietSeconds * 1000;
  while (performance.now() < until) {
    seen.add(agent.plane.job(job.id).updatedAt);
    await systemClock.sleep(20, never);
  }
  agent.plane.cancel(job.id);
  await agent.plane.ended(job.id, never);
  const perMinute = ((seen.size - 1) / quietSeconds) * 60;
  return [{ name: "UpdateJob calls of a quiet job", value: perMinute, unit: "/min", note: "Coder's daemon: 120" }];
}

async function flood(): Promise<Figure[]> {
  await using agent = await BenchAgent.open(1);
  const since = performance.now();
  const { job } = await started(agent, "flood", await template(`seq 1 ${lines}`));
  let peak = 0;
  let over = false;
  const ended = agent.plane.ended(job.id, never).then((row) => {
    over = true;
    return row;
  });
  while (!over) {
    peak = Math.max(peak, (await residentMb(agent.pid)).own);
    await systemClock.sleep(50, never);
  }
  const { error, logsLength } = await ended;
  if (error) throw new Error(`flood: ${error}`);
  return [
    { name: `a build that prints ${lines} lines`, value: performance.now() - since, unit: "ms" },
    { name: "its log at the control plane", value: logsLength, unit: "bytes", note: "limit 1048576" },
    { name: "agent's resident memory at its peak meanwhile", value: peak, unit: "MB" },
  ];
}

/** An engine that notes each call counts the processes. */
async function processes(): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), "outpost-bench-engine-"));
  const calls = join(folder, "calls");
  const engine = join(folder, "terraform");
  await writeFile(engine, `#!/bin/sh\necho "$1" >> ${calls}\nexec terraform "$@"\n`);
  await chmod(engine, 0o755);
  const figures: Figure[] = [];
  {
    await using agent = await BenchAgent.open(1, ["--engine", engine]);
    const { archive } = await packTemplate(`${root}/terraform-fixtures/hello`);
    const counted = async (name: string, job: () => Promise<unknown>) => {
      await writeFile(calls, "");
      await job();
      const commands = (await readFile(calls, "utf8")).trim().split("\n").filter(Boolean);
      figures.push({ name: `engine processes of ${name}`, value: commands.length, unit: "", note: commands.join(" ") });
    };
    let templateId = "";
    let workspaceId = "";
    await counted("an import", () =>
      agent.timed(() => {
        const imported = agent.plane.importTemplate({ template: "p", archive });
        templateId = imported.template.id;
        return imported;
      }),
    );
    await counted("a start", () =>
      agent.timed(() => {
        const build = agent.plane.createWorkspace({ templateId, name: "p" });
        workspaceId = build.workspace.id;
        return build;
      }),
    );
    await counted("a delete", () => agent.timed(() => agent.plane.build(workspaceId, { transition: "delete" })));
  }
  await rm(folder, { recursive: true });
  return figures;
}
