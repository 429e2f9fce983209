import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { packTemplate } from "../../src/archive/pack.ts";
import {
  ExternalAuthProviderResourceSchema,
  LogLevel,
  ModuleSchema,
  PresetSchema,
  type Resource,
  ResourceSchema,
  RichParameterSchema,
} from "../../src/gen/provisioner_pb.ts";
import type { Plane } from "../../src/plane/plane.ts";
import { type Build, type Job, jobStatus } from "../../src/plane/rows.ts";
import { fixture } from "./outpost.ts";

const never = new AbortController().signal;
const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** A template on a plane: its jobs, one after the other, as somebody else's agent runs them. */
export class RealLife {
  private constructor(
    readonly plane: Plane,
    readonly templateId: string,
    readonly versionId: string,
  ) {}

  /** Imports a template; throws when that fails. */
  static async import(plane: Plane, template: string, tags: Record<string, string> = {}): Promise<RealLife> {
    const { archive } = await packTemplate(fixture(template));
    const imported = plane.importTemplate({ template, archive, tags });
    await succeeded(plane, imported.job);
    return new RealLife(plane, imported.template.id, imported.version.id);
  }

  /** What the plane knows of the version, but for its plan and its archive. */
  get version() {
    const row = this.plane.version(this.versionId);
    const { parameters, presets, externalAuth, startModules } = row;
    return {
      parameters: parameters.map((parameter) => toJson(RichParameterSchema, parameter)),
      presets: presets.map((preset) => toJson(PresetSchema, preset)),
      externalAuth: externalAuth.map((provider) => toJson(ExternalAuthProviderResourceSchema, provider)),
      modules: startModules.map((module) => toJson(ModuleSchema, module)),
      workspaceTags: row.workspaceTags,
      variables: row.variables,
      start: shown(row.startResources),
      stop: shown(row.stopResources),
      readme: row.readme,
    };
  }

  /** Resources that a workspace with these parameters would have. */
  async dryRun(parameters: Record<string, string>): Promise<JsonValue[]> {
    const job = this.plane.dryRun({ versionId: this.versionId, parameters });
    return shown((await succeeded(this.plane, job)).dryRun?.resources ?? []);
  }

  /** Makes a workspace and starts it. */
  async create(parameters: Record<string, string>, preset?: string): Promise<RealWorkspace> {
    const { templateId } = this;
    const { name } = this.plane.template(templateId);
    const made = { templateId, name, parameters, ...(preset ? { preset } : {}) };
    const { workspace, build, job } = this.plane.createWorkspace(made);
    await succeeded(this.plane, job);
    return new RealWorkspace(this.plane, workspace.id, this.plane.buildRow(build.id));
  }
}

/** A workspace with what its newest build left. */
export class RealWorkspace {
  constructor(
    readonly plane: Plane,
    readonly id: string,
    public newest: Build,
  ) {}

  /** Runs a further build; throws when it fails. */
  async build(transition: "start" | "stop" | "delete", parameters: Record<string, string> = {}): Promise<void> {
    const { build, job } = this.plane.build(this.id, { transition, parameters });
    await succeeded(this.plane, job);
    this.newest = this.plane.buildRow(build.id);
  }

  /** Runs a build that must fail; the job with its error. */
  async failingBuild(transition: "start", parameters: Record<string, string>): Promise<Job & { error: string }> {
    const { job } = this.plane.build(this.id, { transition, parameters });
    const ended = await this.plane.ended(job.id, never);
    if (!ended.error) throw new Error(`build with ${JSON.stringify(parameters)}: must fail, but succeeded`);
    return { ...ended, error: ended.error };
  }

  get resources(): JsonValue[] {
    return shown(this.newest.resources);
  }

  /** Parameter values of the newest build. */
  get parameters(): Record<string, string> {
    return Object.fromEntries(this.newest.parameters.map(({ name, value }) => [name, value]));
  }

  /** Attributes of all instances of a type in the state. */
  inState(type: string): Attributes[] {
    const { resources } = this.#state;
    return resources.filter((row) => row.type === type).flatMap((row) => row.instances.map((one) => one.attributes));
  }

  /** Tokens and ids that the plane was told; and those in the state, which are what a workspace knows of itself. */
  get identities(): { told: string[]; stated: string[] } {
    const agents = this.newest.resources.flatMap((resource) => resource.agents);
    const containers = agents.flatMap((agent) => agent.devcontainers);
    const apps = [...agents, ...containers].flatMap((parent) => parent.apps);
    const tokens = this.inState("coder_agent").filter(({ auth }) => auth === "token");
    return {
      told: [
        ...agents.flatMap(({ auth }) => (auth.case === "token" ? [auth.value] : [])),
        ...containers.flatMap(({ id, subagentId }) => [id, subagentId]),
        ...apps.map(({ slug, id }) => `${slug} ${id}`),
      ].sort(),
      stated: [
        ...tokens.map(({ token }) => token),
        ...this.inState("coder_devcontainer").flatMap(({ id, subagent_id }) => [id, subagent_id]),
        ...this.inState("coder_app").map(({ slug, id }) => `${slug} ${id}`),
      ].sort(),
    };
  }

  /** Addresses of what the state still manages. */
  get managed(): string[] {
    const managed = this.#state.resources.filter((row) => row.mode === "managed");
    return managed.map(({ module, type, name }) => [module, type, name].filter(Boolean).join("."));
  }

  get #state(): { resources: StateRow[] } {
    return JSON.parse(Buffer.from(this.newest.state).toString());
  }
}

/** Attributes that tests ask about; each type of resource has some of them. */
interface Attributes {
  id: string;
  auth: string;
  token: string;
  init_script: string;
  slug: string;
  subagent_id: string;
  input: { value: unknown };
}

interface StateRow {
  module?: string;
  mode: "managed" | "data";
  type: string;
  name: string;
  instances: Array<{ attributes: Attributes }>;
}

/** Resources as JSON; ids and tokens, which differ each time, are `ID`. */
function shown(resources: readonly Resource[]): JsonValue[] {
  return resources.map((resource) => {
    const text = JSON.stringify(toJson(ResourceSchema, resource));
    return JSON.parse(text.replaceAll(uuid, "ID")) as JsonValue;
  });
}

async function succeeded(plane: Plane, { id }: Job): Promise<Job> {
  const job = await plane.ended(id, never);
  if (jobStatus(job) === "succeeded") return job;
  const lines = plane.logs(id).filter(({ level }) => level >= LogLevel.WARN);
  throw new Error(`${job.error}\n${lines.map(({ output }) => output).join("\n")}`);
}
