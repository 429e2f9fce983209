import type { Agent, App, Resource, RichParameter } from "../gen/provisioner_pb.ts";
import { ParameterFormType } from "../gen/provisioner_pb.ts";
import { RefusedError } from "../kit/errors.ts";
import { isUuid } from "./chance.ts";

const agentNamePattern = /^[a-z0-9](-?[a-z0-9])*$/i;
const appSlugPattern = /^[a-z0-9](-?[a-z0-9])*$/;

/**
 * What CompleteJob refuses of the resources that it is given (spec/02 §5.7): throws RefusedError.
 * `ofOtherWorkspace` tells whether an app id is another workspace's.
 */
export function checkResources(resources: readonly Resource[], ofOtherWorkspace: (appId: string) => boolean): void {
  for (const resource of resources) {
    const names = new Set<string>();
    const slugs = new Set<string>();
    for (const agent of resource.agents) {
      checkAgent(agent, names);
      for (const app of agent.apps) checkApp(app, slugs, ofOtherWorkspace);
    }
  }
}

/** Agent names are unique in a whole build, too: the database has a trigger for it (spec/02 §5.7). */
export function checkBuildAgents(resources: readonly Resource[]): void {
  const names = new Set<string>();
  for (const { name } of resources.flatMap((resource) => resource.agents)) {
    if (names.has(name.toLowerCase()))
      refuse(`insert agent: workspace agent name "${name}" already exists in this workspace build`);
    names.add(name.toLowerCase());
  }
}

/** Throws RefusedError for a parameter whose form type has no name (spec/02 §5.7). */
export function checkParameters(parameters: readonly RichParameter[]): void {
  for (const { name, formType } of parameters) {
    if (ParameterFormType[formType] === undefined) refuse(`insert parameter "${name}": unknown form type: ${formType}`);
  }
}

function checkAgent(agent: Agent, names: Set<string>): void {
  if (agent.name === "") refuse("agent name cannot be empty");
  if (!agentNamePattern.test(agent.name)) {
    refuse(`agent name "${agent.name}": must be letters and digits with single hyphens between them`);
  }
  if (names.has(agent.name.toLowerCase())) refuse(`duplicate agent name "${agent.name}"`);
  names.add(agent.name.toLowerCase());
  if (agent.auth.case === "token" && agent.auth.value !== "" && !isUuid(agent.auth.value)) {
    refuse(`agent "${agent.name}": invalid auth token: it is no UUID`);
  }
  const given = new Set(Object.keys(agent.env));
  for (const { name, mergeStrategy } of agent.extraEnvs) {
    if (mergeStrategy === "error" && given.has(name)) {
      refuse(`agent "${agent.name}": duplicate env "${name}" with merge_strategy "error"`);
    }
    given.add(name);
  }
}

function checkApp(app: App, slugs: Set<string>, ofOtherWorkspace: (appId: string) => boolean): void {
  if (app.slug === "") refuse("app must have a slug or name set");
  if (!appSlugPattern.test(app.slug)) {
    refuse(`app slug "${app.slug}": must be lower-case letters and digits with single hyphens between them`);
  }
  if (slugs.has(app.slug)) refuse(`duplicate app slug, must be unique per template: "${app.slug}"`);
  slugs.add(app.slug);
  if (app.id === "") return;
  if (!isUuid(app.id)) refuse(`parse app uuid: invalid UUID "${app.id}"`);
  if (ofOtherWorkspace(app.id)) refuse(`upsert app: workspace app "${app.id}" belongs to another workspace`);
}

function refuse(text: string): never {
  throw new RefusedError(text);
}
