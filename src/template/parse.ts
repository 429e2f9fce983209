import { create } from "@bufbuild/protobuf";
import { type TemplateVariable, TemplateVariableSchema } from "../gen/provisioner_pb.ts";
import { TemplateError } from "./diagnostics.ts";
import type { TemplateFile } from "./files.ts";
import { loadModule, type Variable } from "./module.ts";
import { workspaceTags } from "./tags.ts";
import { compareBytes, sizeOf, toJson } from "./value.ts";

export interface ParsedTemplate {
  /** Sorted by file name, then line. */
  templateVariables: TemplateVariable[];
  /** Source texts, not values. */
  workspaceTags: Record<string, string>;
}

/**
 * Reads a template as far as ParseComplete needs it: variables and workspace tags (spec/04 §7). `files` are those of the
 * root folder, in any order; which of them count is decided here. Throws JobError with the texts of spec/04 §7.5.
 */
export function parseTemplate(files: ReadonlyArray<TemplateFile>): ParsedTemplate {
  const module = loadModule(files);
  const tags = workspaceTags(module);
  const variables = module.variables.sort((a, b) => compareBytes(a.source.name, b.source.name) || a.line - b.line);
  return { templateVariables: variables.map(templateVariable), workspaceTags: tags };
}

function templateVariable(variable: Variable): TemplateVariable {
  const { name, description, type, sensitive } = variable;
  return create(TemplateVariableSchema, {
    name,
    description,
    type,
    sensitive,
    defaultValue: defaultText(variable),
    required: isRequired(variable),
  });
}

/** A variable without a default, or with null for one, must be given (spec/04 §7.2). */
export function isRequired({ defaultValue }: Variable): boolean {
  return defaultValue === undefined || defaultValue.kind === "null";
}

/** All that one message may hold (spec/04 §7.3): parts that loops share could print to far more than their source. */
const maxDefaultSize = 4_194_304;

/** A string as it is, anything else as JSON. */
function defaultText({ name, defaultValue }: Variable): string {
  if (!defaultValue || defaultValue.kind === "null") return "";
  if (defaultValue.kind === "string") return defaultValue.text;
  const json = sizeOf(defaultValue) > maxDefaultSize ? undefined : toJson(defaultValue);
  if (json !== undefined) return json;
  throw new TemplateError("template_variables", `default of "${name}": too large, or a number beyond 1.8e308`);
}
