import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { tarEnd, tarEntry } from "../../src/archive/tar-write.ts";
import { LogLevel, type Metadata, MetadataSchema, WorkspaceTransition } from "../../src/gen/provisioner_pb.ts";
import { type Clock, systemClock } from "../../src/kit/clock.ts";
import type {
  Applied,
  Graph,
  InitInput,
  Initialized,
  LogLine,
  PlanInput,
  Planned,
  Session,
} from "../../src/session/types.ts";
import { type TerraformDeps, terraformProvisioner } from "../../src/terraform/provisioner.ts";
import type { TerraformSettings } from "../../src/terraform/settings.ts";
import { FakeTerraform, type Scenario } from "../support/fake-terraform.ts";

export const never = new AbortController().signal;

export const metadataOf = (fields: MessageInitShape<typeof MetadataSchema> = {}): Metadata =>
  create(MetadataSchema, { coderUrl: "https://coder.example", workspaceBuildId: "build", ...fields });

export const planInputOf = (fields: Partial<PlanInput> = {}): PlanInput => ({
  metadata: metadataOf(),
  variableValues: [],
  richParameterValues: [],
  previousParameterValues: [],
  externalAuthProviders: [],
  state: new Uint8Array(),
  ...fields,
});

export const destroyOf = (state: string): PlanInput =>
  planInputOf({
    metadata: metadataOf({ workspaceTransition: WorkspaceTransition.DESTROY }),
    state: Buffer.from(state),
  });

/** A tar of files. */
export const tarOf = (files: Record<string, string>): Uint8Array =>
  Buffer.concat([
    ...Object.entries(files).map(([name, text]) => tarEntry({ name, mode: 0o644, data: Buffer.from(text) })),
    tarEnd,
  ]);

export const initInputOf = (files: Record<string, string> = { "main.tf": "" }, isImport = false): InitInput => ({
  templateArchive: tarOf(files),
  moduleArchive: new Uint8Array(),
  omitModuleFiles: !isImport,
});

export const stateText = (serial = 1, more = ""): string =>
  JSON.stringify({ version: 4, serial, lineage: "line", resources: [], more });

export interface WorldOptions {
  scenario?: Scenario;
  settings?: Partial<TerraformSettings>;
  logLevel?: string;
  deps?: Partial<TerraformDeps>;
  clock?: Clock;
}

/** One session with an engine, a work root of its own, and all that it logged. */
export class World implements AsyncDisposable {
  private constructor(
    readonly fake: FakeTerraform,
    readonly session: Session,
    readonly workRoot: string,
    readonly logs: LogLine[],
  ) {}

  static async open({
    scenario = {},
    settings,
    logLevel = "",
    deps,
    clock = systemClock,
  }: WorldOptions = {}): Promise<World> {
    const fake = await FakeTerraform.make(scenario);
    const workRoot = mkdtempSync(join(tmpdir(), "outpost-terraform-"));
    const logs: LogLine[] = [];
    const provisioner = terraformProvisioner(
      {
        engine: { path: fake.path, version: "1.11.4", flavor: "terraform" },
        workRoot,
        cacheRoot: "",
        environment: { PATH: process.env["PATH"] ?? "" },
        cliConfig: "",
        bootstrapScripts: {},
        exitTimeoutMs: 180_000,
        ...settings,
      },
      { clock, ...deps },
    );
    const options = { logLevel, templateId: "", templateVersionId: "", onLog: (line: LogLine) => void logs.push(line) };
    return new World(fake, await provisioner.open(options, never), workRoot, logs);
  }

  /** `LEVEL text` of each line. */
  get lines(): string[] {
    return this.logs.map(({ level, output }) => `${LogLevel[level]} ${output}`);
  }

  /** Name of the one session folder, or undefined where there is none. */
  get folderName(): string | undefined {
    return readdirSync(this.workRoot).find((name) => /^Session[^.]*$/.test(name));
  }

  get folder(): string {
    if (!this.folderName) throw new Error("there is no session folder");
    return join(this.workRoot, this.folderName);
  }

  async init(input: InitInput = initInputOf(), signal = never): Promise<Initialized> {
    return this.session.init(input, signal);
  }

  async plan(input: PlanInput = planInputOf(), signal = never): Promise<Planned> {
    return (await this.init()).plan(input, signal);
  }

  async apply(input: PlanInput = planInputOf(), signal = never): Promise<Applied> {
    const planned = await this.plan(input);
    return planned.apply(input.metadata, async () => undefined, signal);
  }

  /** Init to the graph of the state. */
  async build(input: PlanInput = planInputOf()): Promise<{ applied: Applied; graph: Graph }> {
    const applied = await this.apply(input);
    return { applied, graph: await applied.graph(never) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.session[Symbol.asyncDispose]();
    rmSync(this.workRoot, { recursive: true, force: true });
    this.fake[Symbol.dispose]();
  }
}
