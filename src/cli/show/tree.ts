import type {
  Agent,
  App,
  Devcontainer,
  Env,
  Preset,
  Resource,
  RichParameter,
  Script,
  TemplateVariable,
} from "../../gen/provisioner_pb.ts";
import { AppSharingLevel } from "../../gen/provisioner_pb.ts";
import { type Branch, drawn } from "./draw.ts";
import { harmless, padded, type ShowOptions, widthOf } from "./text.ts";

/** What a template or a build consists of, as far as it is known. */
export interface Shown {
  resources?: readonly Resource[];
  parameters?: readonly RichParameter[];
  presets?: readonly Preset[];
  variables?: readonly TemplateVariable[];
  tags?: Readonly<Record<string, string>>;
  externalAuthProviders?: readonly { id: string; optional: boolean }[];
}

/** Everything there is, a heading for each kind that has something. */
export function templateTree(shown: Shown, options: ShowOptions): string[] {
  return [
    ...variableTree(shown.variables ?? [], options),
    ...parameterTree(shown.parameters ?? [], options),
    ...presetTree(shown.presets ?? [], options),
    ...tagTree(shown.tags ?? {}, options),
    ...authTree(shown.externalAuthProviders ?? [], options),
    ...resourceTree(shown.resources ?? [], options),
  ];
}

/** Resources with their agents, and what one day of them costs. */
export function resourceTree(resources: readonly Resource[], options: ShowOptions): string[] {
  const cost = dailyCost(resources);
  const heading = cost === 0 ? "" : `, daily cost ${cost}`;
  const branches = resources.map((resource) => resourceBranch(resource, options));
  return section("resources", branches, options, heading);
}

/** Sum of the resources' daily costs, in the smallest unit of the currency. */
export function dailyCost(resources: readonly Resource[]): number {
  return resources.reduce((sum, resource) => sum + resource.dailyCost, 0);
}

/** Parameters with type, default and options. */
export function parameterTree(parameters: readonly RichParameter[], options: ShowOptions): string[] {
  const rows = parameters.map((parameter) => {
    const { name, type, required, defaultValue, mutable, ephemeral } = parameter;
    const value = required ? "required" : `= ${valueText(defaultValue, type || "string")}`;
    const flags = ephemeral ? "ephemeral" : mutable ? "mutable" : "";
    return [name, type || "string", value, allowedText(parameter), flags];
  });
  return section("parameters", table(rows, options), options);
}

/** Presets with their values; the default one is marked. */
export function presetTree(presets: readonly Preset[], options: ShowOptions): string[] {
  const rows = presets.map(({ name, default: isDefault, parameters, prebuild }) => {
    const values = parameters.map((parameter) => `${parameter.name} = ${valueText(parameter.value, "string")}`);
    const instances = prebuild?.instances ?? 0;
    const prebuilds = instances > 0 ? `prebuilds ${instances}` : "";
    return [name, isDefault ? "default" : "", values.join(", "), prebuilds];
  });
  return section("presets", table(rows, options), options);
}

/** Tags: values or their source texts, whichever the caller has. */
export function tagTree(tags: Readonly<Record<string, string>>, options: ShowOptions): string[] {
  const rows = Object.entries(tags).map(([key, value]) => [key, `= ${value}`]);
  return section("tags", table(rows, options), options);
}

/** Variables with type and default; a sensitive default is not shown. */
export function variableTree(variables: readonly TemplateVariable[], options: ShowOptions): string[] {
  const rows = variables.map(({ name, type, required, defaultValue, sensitive, description }) => {
    const value = sensitive ? "= (sensitive)" : `= ${valueText(defaultValue, type || "any")}`;
    return [name, type || "any", required ? "required" : value, description];
  });
  return section("variables", table(rows, options), options);
}

function authTree(providers: readonly { id: string; optional: boolean }[], options: ShowOptions): string[] {
  const rows = providers.map(({ id, optional }) => [id, optional ? "optional" : "required"]);
  return section("external auth", table(rows, options), options);
}

function section(title: string, branches: readonly Branch[], options: ShowOptions, more = ""): string[] {
  if (branches.length === 0) return [];
  return drawn([{ text: `${title} (${branches.length})${more}`, branches }], options);
}

function resourceBranch(resource: Resource, options: ShowOptions): Branch {
  const { modulePath, type, name, agents, metadata, hide, instanceType, dailyCost: cost } = resource;
  const facts = [cost !== 0 && `daily cost ${cost}`, instanceType, hide && "hidden"].filter(Boolean).join(", ");
  const address = `${modulePath && `${modulePath}.`}${type}.${name}`;
  const items = metadata.map(({ key, value, sensitive, isNull }) => {
    return [key, sensitive ? "(sensitive)" : isNull ? "(null)" : value];
  });
  const branches = [...agents.map((agent) => agentBranch(agent, options)), ...table(items, options)];
  return { text: harmless(facts ? `${address}  ${facts}` : address, options), branches };
}

function agentBranch(agent: Agent, options: ShowOptions): Branch {
  const { name, operatingSystem, architecture, directory, apps, scripts, metadata, extraEnvs, env } = agent;
  const metadataTexts = metadata.map(({ key, displayName, interval }) => `${displayName || key} every ${interval} s`);
  const rows = [
    ...contents(apps, scripts, extraEnvs, Object.keys(env)),
    row("metadata", metadataTexts),
    row("monitors", monitorTexts(agent)),
  ];
  const folder = directory && `  in ${directory}`;
  return {
    text: harmless(`agent ${name} (${operatingSystem}/${architecture})${folder}`, options),
    branches: [...table(rows, options), ...agent.devcontainers.map((one) => devcontainerBranch(one, options))],
  };
}

function devcontainerBranch(devcontainer: Devcontainer, options: ShowOptions): Branch {
  const { name, workspaceFolder, apps, scripts, envs } = devcontainer;
  return {
    text: harmless(`dev container ${name}  in ${workspaceFolder}`, options),
    branches: table(contents(apps, scripts, envs, []), options),
  };
}

const row = (title: string, texts: readonly string[]): string[] => (texts.length > 0 ? [title, texts.join(", ")] : []);

/** Values of the environment are not shown: many are secrets. */
function contents(
  apps: readonly App[],
  scripts: readonly Script[],
  envs: readonly Env[],
  names: readonly string[],
): string[][] {
  const environment = new Set([...names, ...envs.map(({ name }) => name)]);
  return [row("apps", apps.map(appText)), row("scripts", scripts.map(scriptText)), row("env", [...environment])];
}

function appText({ slug, sharingLevel, external, hidden }: App): string {
  const sharing = sharingLevel === AppSharingLevel.OWNER ? "" : AppSharingLevel[sharingLevel]?.toLowerCase();
  const facts = [sharing, external && "external", hidden && "hidden"].filter(Boolean);
  return facts.length > 0 ? `${slug} (${facts.join(", ")})` : slug;
}

function scriptText({ displayName, runOnStart, runOnStop, startBlocksLogin, cron }: Script): string {
  const when = [
    runOnStart && (startBlocksLogin ? "at start, blocks login" : "at start"),
    runOnStop && "at stop",
    cron && `cron ${cron}`,
  ].filter(Boolean);
  return when.length > 0 ? `${displayName} (${when.join(", ")})` : displayName;
}

function monitorTexts({ resourcesMonitoring }: Agent): string[] {
  const { memory, volumes = [] } = resourcesMonitoring ?? {};
  return [
    ...(memory?.enabled ? [`memory ${memory.threshold} %`] : []),
    ...volumes.filter(({ enabled }) => enabled).map(({ path, threshold }) => `${path} ${threshold} %`),
  ];
}

/** What a parameter's value may be: its options, or its bounds. */
function allowedText(parameter: RichParameter): string {
  const { options, validationMin: min, validationMax: max, validationRegex, validationMonotonic } = parameter;
  if (options.length > 0) return `one of ${options.map(({ value }) => value).join("|")}`;
  const bounds =
    min === undefined
      ? max !== undefined && `at most ${max}`
      : max === undefined
        ? `at least ${min}`
        : `${min} to ${max}`;
  return [bounds, validationRegex && `like ${validationRegex}`, validationMonotonic].filter(Boolean).join(", ");
}

/** Strings in quotes, so that an empty one is seen; everything else as it is. */
const valueText = (value: string, type: string): string => (type === "string" || value === "" ? `"${value}"` : value);

/** Widest a column is made for the sake of the ones below it. */
const maxColumn = 30;

/** Rows as branches with columns below each other; empty rows and empty last cells are left out. */
function table(rows: readonly (readonly string[])[], options: ShowOptions): Branch[] {
  const cells = rows.filter((one) => one.length > 0).map((one) => one.map((cell) => harmless(cell, options)));
  const widths: number[] = [];
  for (const one of cells) {
    for (const [index, cell] of one.entries()) {
      widths[index] = Math.min(maxColumn, Math.max(widths[index] ?? 0, widthOf(cell)));
    }
  }
  return cells.map((one) => {
    const columns = one.map((cell, index) => ((widths[index] ?? 0) > 0 ? `${padded(cell, widths[index] ?? 0)}  ` : ""));
    return { text: columns.join("").trimEnd() };
  });
}
