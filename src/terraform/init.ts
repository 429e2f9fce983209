import { type ExtractOptions, extractTar } from "../archive/extract.ts";
import { JobError } from "../kit/errors.ts";
import type { InitFacts, InitInput } from "../session/types.ts";
import { initArguments } from "./arguments.ts";
import { checkBackend, foreignBackends, neutralizeBackend, refuseBackend } from "./backend.ts";
import type { Bench } from "./bench.ts";
import { basicEnvironment } from "./environment.ts";
import { moduleFiles, usedModules } from "./modules.ts";
import { cacheWarning } from "./provider-cache/attempts.ts";
import { type Lease, openLease } from "./provider-cache/lease.ts";
import type { EngineRecord } from "./records.ts";
import { readTemplateFiles } from "./template-files.ts";
import { stageRow, TimingCollector } from "./timings.ts";

/** How many names a warning lists. */
const maxNames = 10;

/** Template and modules into a fresh folder, then `init` (spec/03 §0.3). `own` takes the job's lease of the provider cache. */
export async function initialize(
  bench: Bench,
  input: InitInput,
  own: (lease: Lease) => void,
  signal: AbortSignal,
): Promise<InitFacts> {
  const { settings, folder, log, clock } = bench;
  bench.begin();
  await folder.make(clock);
  await extract(bench, input.templateArchive, { kind: "template", limits: settings.templateLimits }, signal);
  if (input.moduleArchive.length > 0) {
    await extract(bench, input.moduleArchive, { kind: "modules", limits: settings.moduleLimits }, signal);
  }
  await settleBackend(bench, !input.omitModuleFiles);

  const startMs = clock.now();
  const lease = await openLease(
    {
      folder: settings.cacheRoot === "" ? undefined : settings.cacheRoot,
      platform: `${process.platform}_${process.arch === "x64" ? "amd64" : process.arch}`,
      operatorBlocks: settings.cliConfig,
      workFolder: folder.path,
      say: (line) => log.info(line),
      clock,
    },
    signal,
  );
  own(lease);
  const run = await lease.init((cliConfig) => runInit(bench, cliConfig, signal), signal);
  if (run.end !== undefined) throw new JobError(`initialize terraform: ${run.end}`);
  const timings = [...run.collector.rows(), stageRow("init", startMs, clock.now(), true)];
  await checkBackend(folder.path);

  const modules = await usedModules(folder.path, log);
  const files = input.omitModuleFiles ? new Uint8Array() : await moduleFiles(folder.path, log, signal);
  return { modules, moduleFiles: files, timings };
}

async function runInit(bench: Bench, cliConfig: string, signal: AbortSignal) {
  const { settings, folder } = bench;
  await folder.writeCliConfig(cliConfig);
  const collector = new TimingCollector("init");
  const input = { environment: basicEnvironment(settings, folder) };
  const run = await bench.runLogged(initArguments(settings.engine), input, collector, signal, isCacheWarning);
  return { end: run.end, failure: run.end === undefined ? undefined : run.errors || run.end, collector };
}

/** A warning about a lock file that ends with the job. */
const isCacheWarning = ({ message }: EngineRecord) => message.includes(cacheWarning);

async function extract(bench: Bench, tar: Uint8Array, options: ExtractOptions, signal: AbortSignal): Promise<void> {
  const { folder, log } = bench;
  const { skippedLinks, dropped } = await extractTar(tar, folder.path, options, signal);
  if (skippedLinks.length > 0)
    log.warn(`links and devices in the ${options.kind} archive are skipped: ${names(skippedLinks)}`);
  if (dropped.length > 0)
    log.warn(`files that would change what the job does are left out of the template: ${names(dropped)}`);
}

function names(all: string[]): string {
  const more = all.length > maxNames ? ` and ${all.length - maxNames} more` : "";
  return all.slice(0, maxNames).join(", ") + more;
}

/** An import refuses a backend that would take the state away; builds of versions that were imported before override it. */
async function settleBackend(bench: Bench, isImport: boolean): Promise<void> {
  const { folder, log } = bench;
  const [backend] = foreignBackends(await readTemplateFiles(folder.path));
  if (!backend) return;
  if (isImport) throw refuseBackend(backend);
  await neutralizeBackend(folder.path);
  const { block, file, line } = backend;
  log.warn(`the template's ${block} block (${file} line ${line}) is overridden: the control plane keeps the state`);
}
