import { ContentReader } from "./content.ts";
import { Diagnostics } from "./diagnostics.ts";
import { Evaluator } from "./evaluate.ts";
import type { TemplateFile } from "./files.ts";
import { type DataSource, loadModule } from "./module.ts";
import { isRequired } from "./parse.ts";
import type { Expression } from "./syntax.ts";
import { toText } from "./value.ts";

/** Something that a person may have to give a template: a root variable or a `coder_parameter`. */
export interface Input {
  kind: "variable" | "parameter";
  name: string;
  /** As written: `list(string)`; empty where nothing is said. A parameter's is `string` then. */
  type: string;
  /** Neither a default nor, for a variable, a default of null. */
  required: boolean;
  /** Text of a default that is a constant string, number or bool; undefined for every other. */
  default: string | undefined;
  /** Values of a parameter's options, as far as they are constants. */
  options: string[];
  file: string;
  line: number;
}

/**
 * The inputs of a template's root folder, variables first, each group in reading order, as far as constants tell: what
 * functions and references come to, only the engine knows. Throws JobError as `parseTemplate` does.
 */
export function findInputs(files: ReadonlyArray<TemplateFile>): Input[] {
  const module = loadModule(files);
  const variables = module.variables.map((variable): Input => {
    const { name, type, defaultValue, source, line } = variable;
    const text = defaultValue && toText(defaultValue);
    const place = { file: source.name, line };
    return { kind: "variable", name, type, required: isRequired(variable), default: text, options: [], ...place };
  });
  const parameters = module.dataSources.filter(({ type }) => type === "coder_parameter").map(parameterOf);
  return [...variables, ...parameters];
}

function parameterOf({ name, source, line, body }: DataSource): Input {
  // Nothing here is wrong for not being a constant.
  const ignored = new Diagnostics();
  const reader = new ContentReader(source, ignored);
  const evaluator = new Evaluator(source, ignored);
  const constant = (expression: Expression | undefined) => expression && toText(evaluator.quietly(expression));
  const { attributes, blocks } = reader.read(body, { attributes: ["name", "type", "default"], blocks: { option: [] } });
  const options = blocks.map((option) => {
    const { attributes: values } = reader.read(option.body, { attributes: ["value"], blocks: {} });
    return constant(values.get("value")?.value);
  });
  const given = attributes.get("default");
  return {
    kind: "parameter",
    name: constant(attributes.get("name")?.value) ?? name,
    type: constant(attributes.get("type")?.value) ?? "string",
    required: given === undefined || given.value.kind === "null",
    default: constant(given?.value),
    options: options.filter((value) => value !== undefined),
    file: source.name,
    line,
  };
}
