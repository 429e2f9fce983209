import { create } from "@bufbuild/protobuf";
import { type RichParameter, type RichParameterValue, RichParameterValueSchema } from "../gen/provisioner_pb.ts";
import { HttpRefusal } from "./refusal.ts";

/** Where a build's parameter values come from, strongest first. */
export interface ParameterSources {
  /** What the caller asks for. */
  readonly given: Readonly<Record<string, string>>;
  /** Values of the chosen preset. */
  readonly preset: Readonly<Record<string, string>>;
  /** Values of the build before; undefined for the first build. */
  readonly previous: readonly RichParameterValue[] | undefined;
}

/**
 * The values with which a build runs: given, preset, previous (not for ephemeral parameters), default. Throws HttpRefusal 400
 * for a required parameter without a value, a changed immutable one, and a value that is no option. Ranges and patterns
 * are the provider's to check.
 */
export function resolveParameters(
  parameters: readonly RichParameter[],
  sources: ParameterSources,
): RichParameterValue[] {
  for (const name of Object.keys(sources.given)) {
    if (!parameters.some((parameter) => parameter.name === name)) {
      throw new HttpRefusal(400, `set parameter "${name}": the template has no such parameter`);
    }
  }
  return parameters.map((parameter) => {
    const { name } = parameter;
    const previous = sources.previous?.find((value) => value.name === name)?.value;
    const kept = parameter.ephemeral ? undefined : previous;
    const given = sources.given[name] ?? sources.preset[name];
    if (!parameter.mutable && previous !== undefined && given !== undefined && given !== previous) {
      throw new HttpRefusal(400, `set parameter "${name}": it is immutable and has the value "${previous}"`);
    }
    const value = given ?? kept ?? (parameter.required ? undefined : parameter.defaultValue);
    if (value === undefined) throw new HttpRefusal(400, `set parameter "${name}": it is required and has no value`);
    checkOption(parameter, value);
    return create(RichParameterValueSchema, { name, value });
  });
}

function checkOption({ name, type, options }: RichParameter, value: string): void {
  if (options.length === 0 || type === "list(string)") return;
  if (options.some((option) => option.value === value)) return;
  const known = options.map((option) => `"${option.value}"`).join(", ");
  throw new HttpRefusal(400, `set parameter "${name}" to "${value}": must be one of ${known}`);
}
