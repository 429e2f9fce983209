import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdir, readFile, readdir, writeFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { create } from "@bufbuild/protobuf";
import { extractTar } from "../archive/extract.ts";
import { LogLevel, TimingSchema, TimingState, WorkspaceTransition, type Metadata } from "../gen/provisioner_pb.ts";
import { convertPlan, convertState } from "../graph/convert.ts";
import { planFacts } from "../graph/plan-facts.ts";
import { parseTemplate } from "../template/parse.ts";
import type { Clock } from "../kit/clock.ts";
import { JobError } from "../kit/errors.ts";
import type { Provisioner } from "../session/types.ts";
import type { TerraformSettings } from "./settings.ts";

export function terraformProvisioner(settings: TerraformSettings, _deps: { clock: Clock }): Provisioner {
  return {
    async open({ onLog }) {
      const folder = join(settings.workRoot, `Session${randomUUID()}`);
      const log = (level: LogLevel, output: string) => onLog({ level, output, createdAt: Date.now() });
      const env = { CHECKPOINT_DISABLE: "1", TF_IN_AUTOMATION: "1", TF_INPUT: "0", HOME: folder, ...settings.environment, TF_CLI_CONFIG_FILE: join(settings.workRoot, "rc") };
      const timings: any[] = [];
      const exec = (args: string[], extra: Record<string, string>, signal: AbortSignal, collect: boolean) =>
        new Promise<string>((resolve, reject) => {
          const child = spawn(settings.engine.path, args, { cwd: folder, env: { ...env, ...extra }, stdio: ["ignore", "pipe", "pipe"], detached: true });
          signal.addEventListener("abort", () => child.kill("SIGINT"));
          if (signal.aborted) child.kill("SIGINT");
          let out = "";
          if (collect) child.stdout.on("data", (d) => { out += d; });
          else createInterface({ input: child.stdout }).on("line", (line) => {
            try {
              const r = JSON.parse(line);
              log(({ error: 4, warn: 3, debug: 1 } as any)[r["@level"]] ?? LogLevel.INFO, r["@message"]);
              if (r.diagnostic?.detail) log(4, `on ${r.diagnostic.range?.filename} line ${r.diagnostic.range?.start.line}: ${r.diagnostic.detail}`);
              if (r.type === "apply_complete") timings.push(create(TimingSchema, { stage: "apply", action: r.hook.action, resource: r.hook.resource.addr, state: TimingState.COMPLETED, start: { seconds: 1n }, end: { seconds: 1n } }));
            } catch { log(LogLevel.INFO, line); }
          });
          createInterface({ input: child.stderr }).on("line", (line) => log(LogLevel.ERROR, line));
          child.on("close", (code, s) => code === 0 ? resolve(out) : reject(new JobError(s ? `signal: ${s}` : `exit status ${code}`)));
        });
      const meta = (m: Metadata) => ({ CODER_WORKSPACE_TRANSITION: ["start", "stop", "destroy"][m.workspaceTransition] ?? "start", CODER_WORKSPACE_OWNER_GROUPS: "null", CODER_WORKSPACE_OWNER_RBAC_ROLES: "null", CODER_WORKSPACE_NAME: m.workspaceName, CODER_WORKSPACE_ID: m.workspaceId, CODER_WORKSPACE_OWNER: m.workspaceOwner });
      const planFile = join(folder, "terraform.tfplan");
      const graphText = (signal: AbortSignal) => exec(["graph", "-type=plan"], {}, signal, true);
      return {
        async init(input, signal) {
          await mkdir(folder, { recursive: true, mode: 0o700 });
          await writeFile(join(settings.workRoot, "rc"), settings.cliConfig);
          await extractTar(input.templateArchive, folder, { kind: "template" }, signal);
          await exec(["init", "-no-color", "-input=false", "-json"], {}, signal, false).catch((e) => { throw new JobError(`initialize terraform: ${e.message}`); });
          return {
            facts: { modules: [], moduleFiles: new Uint8Array(), timings: [] },
            async parse() {
              const files = [];
              for (const name of await readdir(folder)) if (/\.tf(\.json)?$/.test(name)) files.push({ name, bytes: await readFile(join(folder, name)) });
              return { ...parseTemplate(files), readme: new Uint8Array() };
            },
            async plan(input, signal) {
              if (input.state.length) await writeFile(join(folder, "terraform.tfstate"), input.state, { mode: 0o600 });
              const vars = input.variableValues.flatMap((v) => ["-var", `${v.name}=${v.value}`]);
              const destroy = input.metadata.workspaceTransition === WorkspaceTransition.DESTROY ? ["-destroy"] : [];
              await exec(["plan", "-no-color", "-input=false", "-json", "-refresh=true", `-out=${planFile}`, ...destroy, ...vars], meta(input.metadata), signal, false).catch((e) => { throw new JobError(`terraform plan: ${e.message}`); });
              const plan = Buffer.from(await exec(["show", "-json", "-no-color", planFile], {}, signal, true));
              const facts = planFacts(plan);
              return {
                facts: { plan, dailyCost: facts.dailyCost, aiTaskCount: facts.aiTaskCount, resourceReplacements: facts.resourceReplacements, timings: [] },
                async graph(signal) { return { ...convertPlan(plan, await graphText(signal), log), timings: [] }; },
                async apply(metadata, _onState, signal) {
                  let error: string | undefined;
                  await exec(["apply", "-no-color", "-auto-approve", "-input=false", "-json", planFile], meta(metadata), signal, false).catch((e) => { error = `terraform apply: ${e.message}`; });
                  const state = await readFile(join(folder, "terraform.tfstate")).catch(() => new Uint8Array());
                  return {
                    state, timings, ...(error ? { error } : {}),
                    async graph(signal) { return { ...convertState(Buffer.from(await exec(["show", "-json", "-no-color"], {}, signal, true)), await graphText(signal), log), timings: [] }; },
                  };
                },
              };
            },
          };
        },
        async [Symbol.asyncDispose]() { if (!settings.keepFolder) await rm(folder, { recursive: true, force: true }); },
      };
    },
  };
}
