import { parseNative } from "./bodies.ts";
import { type Content, ContentReader, type Schema } from "./content.ts";
import { Diagnostics, diagnosticsText, TemplateError } from "./diagnostics.ts";
import { Evaluator } from "./evaluate.ts";
import { inReadingOrder, type TemplateFile } from "./files.ts";
import { readJson } from "./json-reader.ts";
import { checkRequiredProviders } from "./required-providers.ts";
import { Source } from "./source.ts";
import type { Attribute, Block, Body, Expression } from "./syntax.ts";
import { toBool, toText, type Value } from "./value.ts";

/** A root variable. Of several blocks of one name the last counts, whole (spec/04 §7.1). */
export interface Variable {
  name: string;
  description: string;
  /** Source text, or the string that the expression is; empty where there is none. */
  type: string;
  /** Undefined where there is none. */
  defaultValue: Value | undefined;
  sensitive: boolean;
  source: Source;
  line: number;
}

/** A data source block in the file that it stands in. */
export interface DataSource {
  type: string;
  name: string;
  source: Source;
  line: number;
  body: Body;
}

export interface Module {
  variables: Variable[];
  /** The block that counts of each type and name. */
  dataSources: DataSource[];
  /** All data blocks of all files, in reading order. */
  dataBlocks: DataSource[];
}

const rootSchema: Schema = {
  attributes: [],
  blocks: {
    terraform: [],
    variable: ["name"],
    output: ["name"],
    provider: ["name"],
    resource: ["type", "name"],
    data: ["type", "name"],
    module: ["name"],
  },
};

/** Attributes whose values must be constants, with what they must be (spec/04 §7.1). */
const constants: Record<string, Record<string, "string" | "bool">> = {
  terraform: { required_version: "string" },
  output: { description: "string", sensitive: "bool" },
  provider: { version: "string", alias: "string" },
  module: { source: "string", version: "string" },
};

/** Reads a root module as far as Parse needs it; throws TemplateError with everything that is wrong (spec/04 §7.1, §7.5). */
export function loadModule(files: readonly TemplateFile[]): Module {
  const diagnostics = new Diagnostics();
  const variables = new Map<string, Variable>();
  const dataSources = new Map<string, DataSource>();
  const dataBlocks: DataSource[] = [];
  for (const file of inReadingOrder(files)) {
    const reader = new FileReader(new Source(file.name, file.bytes), diagnostics);
    for (const block of reader.blocks()) {
      const variable = reader.check(block);
      if (variable) replace(variables, variable.name, variable);
      if (block.type !== "data") continue;
      const data = reader.dataSource(block);
      dataBlocks.push(data);
      replace(dataSources, JSON.stringify([data.type, data.name]), data);
    }
  }
  if (diagnostics.count > 0)
    throw new TemplateError("load_module", diagnosticsText(diagnostics.kept), diagnostics.kept);
  return { variables: [...variables.values()], dataSources: [...dataSources.values()], dataBlocks };
}

/** The later one stands where it was written, not where the earlier one was. */
function replace<T>(table: Map<string, T>, key: string, value: T): void {
  table.delete(key);
  table.set(key, value);
}

class FileReader {
  readonly #content: ContentReader;
  readonly #evaluator: Evaluator;

  constructor(
    readonly source: Source,
    readonly diagnostics: Diagnostics,
  ) {
    this.#content = new ContentReader(source, diagnostics);
    this.#evaluator = new Evaluator(source, diagnostics);
  }

  blocks(): Block[] {
    const body: Body = this.source.name.endsWith(".json")
      ? { kind: "json", value: readJson(this.source, this.diagnostics) }
      : parseNative(this.source, this.diagnostics);
    return this.#content.read(body, rootSchema).blocks;
  }

  dataSource({ labels: [type = "", name = ""], at, body }: Block): DataSource {
    return { type, name, source: this.source, line: this.source.line(at), body };
  }

  /** Checks what must be constant in a block; a variable comes back. */
  check(block: Block): Variable | undefined {
    if (block.type === "variable") return this.#variable(block);
    if (block.type === "resource" || block.type === "data") {
      const { attributes } = this.#read(block, ["provider"]);
      this.#provider(attributes.get("provider"));
      return undefined;
    }
    const wanted = constants[block.type] ?? {};
    const blocks = block.type === "terraform" ? { required_providers: [] } : {};
    const content = this.#read(block, Object.keys(wanted), blocks);
    for (const [name, target] of Object.entries(wanted)) {
      if (target === "string") this.#string(content.attributes.get(name));
      else this.#bool(content.attributes.get(name));
    }
    for (const inner of content.blocks) {
      checkRequiredProviders(this.#content.justAttributes(inner.body), this.#evaluator);
    }
    return undefined;
  }

  #read(block: Block, attributes: readonly string[], blocks: Schema["blocks"] = {}): Content {
    return this.#content.read(block.body, { attributes, blocks });
  }

  #variable(block: Block): Variable {
    const { attributes } = this.#read(block, ["type", "description", "default", "sensitive"]);
    const type = attributes.get("type");
    const value = attributes.get("default");
    return {
      name: block.labels[0] ?? "",
      type: type ? this.#type(type.value) : "",
      description: this.#string(attributes.get("description")),
      defaultValue: value && this.#evaluator.evaluate(value.value),
      sensitive: this.#bool(attributes.get("sensitive")),
      source: this.source,
      line: this.source.line(block.at),
    };
  }

  /** A constant string is the type; anything else is told by its source text, character for character (spec/04 §7.2). */
  #type(expression: Expression): string {
    return toText(this.#evaluator.quietly(expression)) ?? this.source.slice(expression.span);
  }

  #string(attribute: Attribute | undefined): string {
    return attribute ? (this.#converted(attribute.value, toText, "string required") ?? "") : "";
  }

  #bool(attribute: Attribute | undefined): boolean {
    return attribute ? (this.#converted(attribute.value, toBool, "bool required") ?? false) : false;
  }

  #converted<T>(expression: Expression, convert: (value: Value) => T | undefined, wanted: string): T | undefined {
    const value = this.#evaluator.evaluate(expression);
    const converted = convert(value);
    if (converted !== undefined) return converted;
    const reasons: Partial<Record<Value["kind"], string>> = {
      null: "null value is not allowed",
      unknown: "value must be known",
    };
    const detail = `Unsuitable value: ${reasons[value.kind] ?? wanted}`;
    this.diagnostics.add(this.source, expression.span, "Unsuitable value type", detail);
    return undefined;
  }

  /** A bare reference, `aws.x`, or the same in quotes. */
  #provider(attribute: Attribute | undefined): void {
    if (!attribute || isReference(attribute.value)) return;
    const text = toText(this.#evaluator.quietly(attribute.value));
    if (text?.split(".").every((word) => /^[\p{ID_Start}_][\p{ID_Continue}-]*$/u.test(word))) return;
    const detail = 'Provider argument requires a provider name followed by an optional alias, like "aws.foo".';
    this.diagnostics.add(this.source, attribute.value.span, "Invalid provider reference", detail);
  }
}

function isReference(expression: Expression): boolean {
  if (expression.kind === "steps") {
    return expression.from.kind === "reference" && expression.steps.every((step) => step.kind !== "splat");
  }
  return expression.kind === "reference";
}
