import type { VariableValue } from "../gen/provisioner_pb.ts";
import type { TerraformSettings } from "./settings.ts";
import { atLeast } from "./version.ts";

type Engine = TerraformSettings["engine"];

/*
 * The argument lists of spec/03 §3.2, exactly. Variables that are not sensitive go here, in the request's order;
 * sensitive ones go by the environment, since every process of the host can read an argument list.
 */

export function initArguments(engine: Engine): string[] {
  return ["init", "-no-color", "-input=false", ...(atLeast(engine.version, "1.9.0") ? ["-json"] : [])];
}

export function planArguments(planFile: string, destroy: boolean, variables: readonly VariableValue[]): string[] {
  const flags = ["plan", "-no-color", "-input=false", "-json", "-refresh=true", `-out=${planFile}`];
  if (destroy) flags.push("-destroy");
  for (const { name, value, sensitive } of variables) if (!sensitive) flags.push("-var", `${name}=${value}`);
  return flags;
}

export const applyArguments = (planFile: string): string[] => [
  "apply",
  "-no-color",
  "-auto-approve",
  "-input=false",
  "-json",
  planFile,
];

export const showPlanArguments = (planFile: string): string[] => ["show", "-json", "-no-color", planFile];
export const showPlanForPeopleArguments = (planFile: string): string[] => ["show", "-no-color", planFile];
export const showStateArguments = (): string[] => ["show", "-json", "-no-color"];

export function graphArguments(engine: Engine): string[] {
  return ["graph", ...(atLeast(engine.version, "1.7.0") ? ["-type=plan"] : [])];
}
